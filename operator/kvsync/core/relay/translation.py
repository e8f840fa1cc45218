"""From an engine's events to what is resident.

What counts, and why, stands in docs/decisions/0007-the-relay.md.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import cast

from kvsync.core.relay.counts import LeftOut
from kvsync.core.relay.encoding import MASK, Key, StoredEvents, key_of
from kvsync.core.relay.outbox import Outbox
from kvsync.core.relay.reading import Event, Removed, Stored
from kvsync.core.relay.residency import Block, Residency
from kvsync.model.events import BlockHash

DEVICE, HOST = 1, 2
"""Where a rank holds a block: bits of its holders. A rank has two."""
_BITS = 2

_MEDIA = {
    None: DEVICE,
    "": DEVICE,
    "GPU": DEVICE,
    "CPU": HOST,
    "CPU_PINNED": HOST,
    "CPU_TIER1": HOST,
}
"""vLLM's and SGLang's names of what is inside of the pod; disks and shared stores are not."""

_PARTIAL = frozenset(
    {
        "sliding_window",
        "sliding_window_mla",
        "mamba",
        "chunked_local_attention",
        "encoder_only_attention",
        "cross_attention",
    }
)
"""Kinds of cache groups that keep only a part of a prefix (vLLM's KVCacheSpecKind)."""

GROUPS = 64
"""Cache groups of such kinds that are remembered of a rank; a model has a few."""


class Translation:
    """Carries the events of one rank into the table."""

    def __init__(self, rank: int, residency: Residency, out: Outbox, left_out: LeftOut) -> None:
        self._device = DEVICE << _BITS * rank
        self._host = HOST << _BITS * rank
        self._residency = residency
        self._out = out
        self._left_out = left_out
        self._write = StoredEvents().write
        self._partial: set[int] = set()
        places = {DEVICE: self._device, HOST: self._host}
        self._holders = {medium: places[place] for medium, place in _MEDIA.items()}

    def apply(self, event: Event, *, complete: bool) -> None:
        """Take one event. ``complete``: all that this rank said since its start was heard.

        Where it was not, a removal of a block that is not known is passed on: whoever was here
        before us may have told of it.
        """
        kind = type(event)
        if kind is Removed:
            self._drop(cast(Removed, event), complete)
        elif kind is Stored:
            self._store(cast(Stored, event))
        else:
            self.forget()

    def forget(self) -> None:
        """The rank holds nothing any more."""
        self._residency.release_all(self._device | self._host)

    def _holder(self, medium: str | None, remote: bool) -> int:
        """The bit of a medium; 0 for one that says nothing of this pod."""
        holder = self._holders.get(medium) or self._holders.get((medium or "").upper(), 0)
        if remote or not holder:
            self._left_out.medium += 1
            return 0
        return holder

    def _store(self, event: Stored) -> None:
        holder = self._holder(event.medium, event.remote)
        if not holder:
            return
        if event.kind in _PARTIAL:
            self._left_out.attention += 1
            if event.group is not None and len(self._partial) < GROUPS:
                self._partial.add(event.group)
            return
        if event.group is not None:
            self._partial.discard(event.group)
        if holder == self._host:
            self._keep(event.hashes, holder)
        elif event.tied:
            self._left_out.special += len(event.hashes)
        elif not _fits(event):
            self._left_out.malformed += len(event.hashes) or 1
        else:
            self._take(event, holder)

    def _keep(self, hashes: Sequence[BlockHash], holder: int) -> None:
        """Blocks were copied: those that the rank holds stay as long as the copy does."""
        own = self._device | self._host
        for block_hash in hashes:
            block = self._residency.blocks.get(key_of(block_hash))
            if block is not None and block.full == _full(block_hash) and block.holders & own:
                block.holders |= holder
            else:
                self._left_out.medium += 1

    def _take(self, event: Stored, holder: int) -> None:
        add, write, known = self._residency.add, self._write, self._residency.blocks
        size, tokens = event.size, event.tokens
        special = event.extra if any(event.extra) else None
        above = None if event.parent is None else key_of(event.parent)
        parent = None if above is None else known.get(above)
        broken = parent is not None and parent.full != _full(event.parent)
        tainted = False
        start = 0
        for number, block_hash in enumerate(event.hashes):
            key, full = (
                (block_hash & MASK, None) if type(block_hash) is int else _of_bytes(block_hash)
            )
            block = known.get(key)
            if block is not None and block.full == full:
                block.holders |= holder
                broken = tainted = False
            elif block is not None or broken:
                self._left_out.collision += 1
                broken = True
            elif tainted or (special is not None and special[number]):
                self._left_out.special += 1
                tainted = True  # so is what hangs on it
            else:
                some = tokens[start : start + size]
                block = Block(key, full, above, write(key, above, some), holder)
                add(block, parent)
            start += size
            above, parent = key, block

    def _drop(self, event: Removed, complete: bool) -> None:
        holder = self._holder(event.medium, event.remote)
        if not holder:
            return
        if event.group in self._partial:
            self._left_out.attention += 1
            return
        known, release = self._residency.blocks, self._residency.release
        for block_hash in event.hashes:
            key, full = (
                (block_hash & MASK, None) if type(block_hash) is int else _of_bytes(block_hash)
            )
            block = known.get(key)
            if block is None:
                if not complete:
                    self._out.removed(key)
            elif block.full == full:
                release(block, holder)


def _full(block_hash: BlockHash | None) -> bytes | None:
    return block_hash if type(block_hash) is bytes else None


def _of_bytes(block_hash: BlockHash) -> tuple[Key, bytes | None]:
    return key_of(block_hash), _full(block_hash)


def _fits(event: Stored) -> bool:
    """Whether tokens, blocks and what else they depend on go together, as a gateway wants them."""
    count = len(event.hashes)
    if event.size <= 0 or len(event.tokens) != count * event.size:
        return False
    if event.extra and len(event.extra) != count:
        return False
    try:
        array("I", event.tokens)  # unsigned, 32 bits: others make a gateway drop the whole batch
    except OverflowError:
        return False
    return True
