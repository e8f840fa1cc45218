"""The block cache: prompts to full blocks, a hash chain, reuse and least-recently-used eviction.

Follows ``vllm/v1/core/block_pool.py``: one block is set aside, equal blocks are not merged, and a
sequence's last blocks are the first to go.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from testbed.engine.wire import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored, Event


class CacheFullError(Exception):
    """The sequence does not fit into the cache at all."""


@dataclass(slots=True)
class Block:
    """One block of KV memory, and the hash of what it holds once it is full."""

    number: int
    block_hash: bytes | None = None
    parent: bytes | None = None
    """The hash of the block before it; None for a first one."""


@dataclass(slots=True)
class Outcome:
    """What running one sequence did: tokens found in the cache, and the events of each step."""

    cached_tokens: int = 0
    steps: list[list[Event]] = field(default_factory=list)


class BlockCache:
    """The KV blocks of one data-parallel rank."""

    def __init__(
        self,
        blocks: int,
        block_size: int,
        *,
        seed: bytes,
        reuse: bool = True,
        int_hashes: bool = True,
    ) -> None:
        self._block_size = block_size
        self._seed = seed
        self._reuse = reuse
        self._int_hashes = int_hashes
        # vLLM keeps block 0 as a placeholder that is never handed out.
        self._free = OrderedDict((n, Block(n)) for n in range(1, blocks))
        self._held: dict[bytes, dict[int, Block]] = {}

    @property
    def capacity(self) -> int:
        """How many tokens one sequence can have when nothing else runs."""
        return len(self._free) * self._block_size

    def held(self) -> dict[BlockHash, BlockHash | None]:
        """What it holds now: each block's hash, and that of the block before it."""
        blocks = (block for same in list(self._held.values()) for block in list(same.values()))
        return {
            self._outside(block.block_hash): block.parent and self._outside(block.parent)
            for block in blocks
            if block.block_hash is not None
        }

    def run(self, prompt: list[int], output: list[int], salt: str = "") -> Outcome:
        """Prefill ``prompt``, then decode ``output``; raises CacheFullError if it cannot fit."""
        tokens = prompt + output[:-1]  # the last sampled token is never computed
        if len(tokens) > self.capacity:
            raise CacheFullError(f"{len(tokens)} tokens, room for {self.capacity}")
        sequence = _Sequence(tokens, self._chain(tokens, salt), salt)
        outcome = Outcome(self._take_cached(sequence, len(prompt)))
        outcome.steps.append(self._compute(sequence, len(prompt)))
        outcome.steps += [
            self._compute(sequence, end + 1) for end in range(len(prompt), len(tokens))
        ]
        self._release(sequence)
        return outcome

    def clear(self) -> list[Event]:
        """Forget every block; the event goes out with the next step."""
        for blocks in self._held.values():
            for block in blocks.values():
                block.block_hash = None
        self._held.clear()
        return [AllBlocksCleared()] if self._reuse else []

    def _chain(self, tokens: list[int], salt: str) -> list[bytes]:
        if not self._reuse:
            return []
        parent, hashes = self._seed, []
        for start in range(0, len(tokens) - self._block_size + 1, self._block_size):
            block = tokens[start : start + self._block_size]
            extra = salt if start == 0 else ""
            parent = hashlib.sha256(parent + repr((block, extra)).encode()).digest()
            hashes.append(parent)
        return hashes

    def _take_cached(self, sequence: "_Sequence", prompt_length: int) -> int:
        # The last token is always computed, or there would be nothing to sample from.
        for block_hash in sequence.hashes[: (prompt_length - 1) // self._block_size]:
            same = self._held.get(block_hash)
            if not same:
                break
            block = next(iter(same.values()))
            self._free.pop(block.number, None)
            sequence.blocks.append(block)
        sequence.stored = len(sequence.blocks)
        return sequence.stored * self._block_size

    def _compute(self, sequence: "_Sequence", end: int) -> list[Event]:
        events: list[Event] = []
        while len(sequence.blocks) * self._block_size < end:
            sequence.blocks.append(self._allocate(events))
        full = min(end // self._block_size, len(sequence.hashes))
        if full > sequence.stored:
            events.append(self._store(sequence, sequence.stored, full))
            sequence.stored = full
        return events

    def _allocate(self, events: list[Event]) -> Block:
        _, block = self._free.popitem(last=False)
        if block.block_hash is not None:
            events.append(BlockRemoved([self._outside(block.block_hash)]))
            self._forget(block, block.block_hash)
        return block

    def _forget(self, block: Block, block_hash: bytes) -> None:
        block.block_hash = None
        same = self._held[block_hash]
        del same[block.number]
        if not same:
            del self._held[block_hash]

    def _store(self, sequence: "_Sequence", first: int, end: int) -> Event:
        above = sequence.hashes[first - 1] if first else None
        for block, block_hash in zip(
            sequence.blocks[first:end], sequence.hashes[first:end], strict=True
        ):
            block.block_hash = block_hash
            block.parent = above
            above = block_hash
            self._held.setdefault(block_hash, {})[block.number] = block
        size = self._block_size
        return BlockStored(
            block_hashes=[self._outside(h) for h in sequence.hashes[first:end]],
            parent_block_hash=self._outside(sequence.hashes[first - 1]) if first else None,
            token_ids=sequence.tokens[first * size : end * size],
            block_size=size,
            extra_keys=[
                [sequence.salt] if sequence.salt and n == 0 else None for n in range(first, end)
            ],
        )

    def _release(self, sequence: "_Sequence") -> None:
        for block in reversed(sequence.blocks):
            self._free[block.number] = block

    def _outside(self, block_hash: bytes) -> BlockHash:
        return int.from_bytes(block_hash[-8:], "big") if self._int_hashes else block_hash


@dataclass(slots=True)
class _Sequence:
    tokens: list[int]
    hashes: list[bytes]
    salt: str
    blocks: list[Block] = field(default_factory=list)
    stored: int = 0
