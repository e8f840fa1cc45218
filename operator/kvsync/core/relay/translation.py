"""From an engine's events to what is resident.

What counts, and why, stands in docs/decisions/0007-the-relay.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from kvsync.core.relay.counts import LeftOut
from kvsync.core.relay.encoding import LARGEST, TOKEN, Key, key_of, keys_of
from kvsync.core.relay.happenings import Event, Removed, Stored
from kvsync.core.relay.residency import Residency
from kvsync.core.relay.run import Hashes, Run
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

    def __init__(self, rank: int, residency: Residency, left_out: LeftOut) -> None:
        self._device = DEVICE << _BITS * rank
        self._host = HOST << _BITS * rank
        self._residency = residency
        self._left_out = left_out
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
        """The rank holds nothing any more; of what the relay before told, nobody knows who holds it."""
        self._residency.release_all(self._device | self._host)
        if not self._residency.recalling:
            self._residency.release_inherited()

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
        elif event.hashes:
            self._take(event, holder)

    def _keep(self, sent: Sequence[BlockHash], holder: int) -> None:
        """Blocks were copied: those that the rank holds stay as long as the copy does."""
        own = self._device | self._host
        keys, hashes = keys_of(sent)
        at = 0
        while at < len(keys):
            run, start, count = self._known(keys, hashes, at)
            if run is not None and run.holders & own:
                self._residency.hold(run, start, start + count, holder)
            else:
                self._left_out.medium += count
            at += count

    def _take(self, event: Stored, holder: int) -> None:
        keys, hashes = keys_of(event.hashes)
        parent = None if event.parent is None else key_of(event.parent)
        is_new = self._residency.runs.keys().isdisjoint(keys) and not self._residency.recalling
        is_plain = is_new and not any(event.extra)
        if is_plain and not self._is_other(parent, event) and len(set(keys)) == len(keys):
            assert event.tokens is not None  # _fits
            self._residency.add(Run(keys, hashes, parent, event.tokens, holder))
        else:
            self._take_some(event, keys, hashes, holder)

    def _take_some(self, event: Stored, keys: list[Key], hashes: Hashes, holder: int) -> None:
        """Take the blocks of an event some of which are known, or are to be left out."""
        assert event.tokens is not None  # _fits
        runs = self._residency.runs
        octets = TOKEN * event.size
        above = None if event.parent is None else key_of(event.parent)
        broken = self._is_other(above, event)
        tainted = False
        at = 0
        while at < len(keys):
            count = 1
            run, start, known = self._known(keys, hashes, at)
            if run is not None:
                count = known
                self._residency.hold(run, start, start + count, holder)
                broken = tainted = False
            elif keys[at] in runs or broken:
                self._left_out.collision += 1
                broken = True
            elif tainted or (event.extra and event.extra[at]):
                self._left_out.special += 1
                tainted = True  # so is what hangs on it
            elif self._residency.awaits(keys[at]):
                own = None if hashes is None else hashes[at : at + 1]
                tokens = event.tokens[at * octets : (at + 1) * octets]
                self._residency.add(Run(keys[at : at + 1], own, above, tokens, holder))
            at += count
            above = keys[at - 1]

    def _drop(self, event: Removed, complete: bool) -> None:
        holder = self._holder(event.medium, event.remote)
        if not holder:
            return
        if event.group in self._partial:
            self._left_out.attention += 1
            return
        keys, hashes = keys_of(event.hashes)
        at = 0
        while at < len(keys):
            run, start, count = self._known(keys, hashes, at)
            if run is not None:
                self._residency.release(run, start, start + count, holder)
            elif keys[at] not in self._residency.runs:
                self._residency.release_unknown(keys[at], doubtful=not complete)
            at += count

    def _known(self, keys: list[Key], hashes: Hashes, at: int) -> tuple[Run | None, int, int]:
        """Where blocks from ``at`` on are: the run, the place of the first one in its order, and how many
        of them follow each other there, forwards or backwards. An unknown one is in no run, and one.
        """
        run = self._residency.runs.get(keys[at])
        if run is None:
            return None, 0, 1
        place = run.place_of(keys[at])
        if place == len(run) - 1:  # an engine evicts the end of a chain first
            count = run.precede(place, keys, hashes, at)
            start = place + 1 - count
        else:
            count = run.follow(place, keys, hashes, at)
            start = place
        return (run, start, count) if count else (None, 0, 1)

    def _is_other(self, parent: Key | None, event: Stored) -> bool:
        """Whether what is known by the key of an event's parent is another block."""
        run = None if parent is None else self._residency.runs.get(parent)
        if run is None or parent is None or event.parent is None:
            return False
        return not run.is_hash(run.place_of(parent), event.parent)


def _fits(event: Stored) -> bool:
    """Whether tokens, blocks and what else they depend on go together, as a gateway wants them."""
    count = len(event.hashes)
    return (
        event.tokens is not None
        and 0 < event.size <= LARGEST
        and len(event.tokens) == count * event.size * TOKEN
        and (not event.extra or len(event.extra) == count)
    )
