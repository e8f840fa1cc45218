"""Blocks of one chain that follow each other, as one piece.

An engine stores and evicts blocks by the dozen. What is known of them (who holds them, whether they
were told) is nearly always the same for all, so it is kept once for a run of them: that is what
makes the table small and quick (docs/benchmarks.md). The runs are the nodes of a radix tree.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.relay.encoding import Key
from kvsync.model.events import BlockHash

LONGEST = 64
"""Blocks in one run at most: to find one in it, or to part it, takes a time that grows with it."""

RUN_COST, BLOCK_COST, HASH_COST = 330, 150, 80
"""Bytes that a run takes, that each of its blocks takes beside its tokens, and that a hash of bytes
takes; measured (docs/benchmarks.md)."""

Hashes = list[BlockHash] | None
"""The engine's hashes where they are bytes, else None: they are the keys."""


class Run:
    """At least one block. ``parent`` is the block before the first one, None for that of a prompt.

    ``tokens`` has as many bytes for each block, ``holders`` is a set of bits, ``told`` the pass in
    which it was told (``residency``).
    """

    __slots__ = (
        "children",
        "hashes",
        "holders",
        "keys",
        "octets",
        "parent",
        "queued",
        "tokens",
        "told",
    )

    def __init__(
        self, keys: list[Key], hashes: Hashes, parent: Key | None, tokens: bytes, holders: int
    ) -> None:
        self.keys = keys
        self.hashes = hashes
        self.parent = parent
        self.tokens = tokens
        self.holders = holders
        self.children = 0
        """Resident runs that hang on the last block; on no other one any hangs."""
        self.told = 0
        self.queued = 0
        """How often it stands in the order of the leaves."""
        self.octets = len(tokens) // len(keys)
        """Bytes of one block's tokens."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def cost(self) -> int:
        """Bytes that it takes, about."""
        each = BLOCK_COST + self.octets + (HASH_COST if self.hashes is not None else 0)
        return RUN_COST + each * len(self.keys)

    def place_of(self, key: Key) -> int:
        """Where a block of it stands."""
        last = len(self.keys) - 1  # that is where chains grow and end
        return last if self.keys[last] == key else self.keys.index(key)

    def is_hash(self, place: int, block_hash: BlockHash) -> bool:
        """Whether the block at a place has this hash, of which its key may be a part only."""
        if self.hashes is None:
            return type(block_hash) is int
        return self.hashes[place] == block_hash

    def follow(self, place: int, keys: Sequence[Key], hashes: Hashes, at: int) -> int:
        """How many blocks from ``place`` on are those of ``keys`` from ``at`` on."""
        count = min(len(self.keys) - place, len(keys) - at)
        same = _begin_alike(self.keys[place : place + count], keys[at : at + count])
        return self._same_hashes(range(place, place + same), hashes, at)

    def precede(self, place: int, keys: Sequence[Key], hashes: Hashes, at: int) -> int:
        """How many blocks from ``place`` backwards are those of ``keys`` from ``at`` on."""
        count = min(place + 1, len(keys) - at)
        back = self.keys[place + 1 - count : place + 1][::-1]
        same = _begin_alike(back, keys[at : at + count])
        return self._same_hashes(range(place, place - same, -1), hashes, at)

    def _same_hashes(self, places: range, hashes: Hashes, at: int) -> int:
        if self.hashes is None and hashes is None:
            return len(places)
        for number, place in enumerate(places):
            given = self.keys[place] if hashes is None else hashes[at + number]
            if not self.is_hash(place, given):
                return number
        return len(places)

    def part(self, place: int) -> Run:
        """Keep the blocks before a place; returns a run of the others, which hangs on them."""
        hashes = self.hashes
        rest = Run(
            self.keys[place:],
            None if hashes is None else hashes[place:],
            self.keys[place - 1],
            self.tokens[place * self.octets :],
            self.holders,
        )
        rest.told, rest.children = self.told, self.children
        self.children = 1
        self.cut_end(place)
        return rest

    def cut_end(self, place: int) -> None:
        """Drop the blocks from a place on."""
        del self.keys[place:]
        if self.hashes is not None:
            del self.hashes[place:]
        self.tokens = self.tokens[: place * self.octets]

    def cut_start(self, count: int) -> None:
        """Drop that many of the first blocks; the others hang on the last of them."""
        self.parent = self.keys[count - 1]
        del self.keys[:count]
        if self.hashes is not None:
            del self.hashes[:count]
        self.tokens = self.tokens[count * self.octets :]

    def takes(self, other: Run) -> bool:
        """Whether another one that hangs on this one may become its end."""
        return (
            not self.children
            and not other.children
            and self.holders == other.holders
            and self.told == other.told
            and self.octets == other.octets
            and (self.hashes is None) == (other.hashes is None)
            and len(self.keys) + len(other.keys) <= LONGEST
        )

    def take(self, other: Run) -> None:
        """Have the other one's blocks as the own end."""
        self.keys += other.keys
        if self.hashes is not None and other.hashes is not None:
            self.hashes += other.hashes
        self.tokens += other.tokens


def _begin_alike(some: Sequence[Key], others: Sequence[Key]) -> int:
    """How many of the first ones are equal, of two that are as long."""
    if some == others:
        return len(some)
    return next(n for n, pair in enumerate(zip(some, others, strict=True)) if pair[0] != pair[1])
