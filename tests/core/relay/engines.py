"""An engine's ranks that publish, lose and restart, and what a reader of their events must believe.

The reader is written apart from the relay on purpose: the two are compared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testbed.engine.layouts import Layout, layout_for
from testbed.engine.versions import Version
from testbed.engine.wire import (
    AllBlocksCleared,
    BlockRemoved,
    BlockStored,
    Event,
    encode_batch,
    sequence_frame,
)

SIZE = 2
"""Tokens in a block."""

LAYOUTS = [
    layout_for(Version(*v)) for v in ((0, 9), (0, 10, 2), (0, 16), (0, 22), (0, 24), (0, 33))
]


@dataclass(frozen=True)
class Tree:
    """Prompts that share beginnings: each block's parent by its number, None for a first block."""

    parents: tuple[int | None, ...]

    def hash(self, block: int) -> int:
        return (block + 1) * 0x9E3779B97F4A7C15 % 2**64

    def tokens(self, block: int) -> list[int]:
        return [100 + SIZE * block + n for n in range(SIZE)]

    def path(self, block: int) -> list[int]:
        """The blocks from the first one to this one."""
        parent = self.parents[block]
        return [*(self.path(parent) if parent is not None else []), block]

    def prompt(self, block: int) -> list[int]:
        return [token for each in self.path(block) for token in self.tokens(each)]

    def stored(self, blocks: list[int], medium: str | None = "GPU") -> BlockStored:
        parent = self.parents[blocks[0]]
        return BlockStored(
            [self.hash(block) for block in blocks],
            None if parent is None else self.hash(parent),
            [token for block in blocks for token in self.tokens(block)],
            SIZE,
            medium=medium,
        )

    def copied(self, blocks: list[int]) -> BlockStored:
        """As vLLM's offloading writes it: no tokens, no parent."""
        return BlockStored([self.hash(b) for b in blocks], None, [], 0, medium="CPU")

    def removed(self, blocks: list[int], medium: str | None = "GPU") -> BlockRemoved:
        return BlockRemoved([self.hash(block) for block in blocks], medium=medium)


@dataclass
class Rank:
    """One publisher, with what it keeps for replay."""

    number: int
    layout: Layout
    kept: int = 1000
    log: list[tuple[int, bytes]] = field(default_factory=list)
    sequence: int = 0
    time: float = 1.5
    """Of its messages; no other engine's have it."""

    def message(self, events: list[Event]) -> list[bytes]:
        payload = encode_batch(self.layout, self.time, events, self.number)
        self.log = [*self.log, (self.sequence, payload)][-self.kept :]
        self.sequence += 1
        return [b"kv", sequence_frame(self.sequence - 1), payload]

    def restart(self) -> None:
        self.log, self.sequence = [], 0
        self.time += 1.0


@dataclass
class InputReader:
    """What is resident, by the events that were heard."""

    held: dict[tuple[int, str], set[int]] = field(default_factory=dict)
    parents: dict[int, int | None] = field(default_factory=dict)

    def take(self, rank: int, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, AllBlocksCleared):
                self.forget(rank)
                continue
            held = self.held.setdefault((rank, event.medium or "GPU"), set())
            for number, block_hash in enumerate(event.block_hashes):
                assert isinstance(block_hash, int)
                if isinstance(event, BlockRemoved):
                    held.discard(block_hash)
                elif event.medium == "CPU":
                    if block_hash in held | self.held.get((rank, "GPU"), set()):
                        held.add(block_hash)
                else:
                    before = event.block_hashes[number - 1] if number else event.parent_block_hash
                    assert before is None or isinstance(before, int)
                    self.parents[block_hash] = before
                    held.add(block_hash)

    def forget(self, rank: int) -> None:
        for key in self.held:
            if key[0] == rank:
                self.held[key] = set()

    def resident(self) -> set[int]:
        return set().union(*self.held.values())

    def whole(self) -> set[int]:
        """Those whose whole chain is resident."""
        there = self.resident()
        return whole({block: self.parents[block] for block in there})


def whole(parents: Mapping[int, int | None]) -> set[int]:
    """The blocks from which the parents lead to a first one."""
    found: set[int] = set()
    grown = True
    while grown:
        grown = False
        for block, parent in parents.items():
            if block not in found and (parent is None or parent in found):
                found.add(block)
                grown = True
    return found
