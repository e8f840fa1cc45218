"""The gist of one message: what a probe needs of most messages, without what it holds of prompts.

Several times cheaper than ``core/wire``: hashes, tokens and texts are stepped over. It accepts all
that ``decode_batch`` accepts and says the same of it. It also accepts what only a full decoding
refuses, for it does not look at: fields other than ``type`` and ``block_size``, whether the other
required ones are there, and whether a field stands twice. Decode a message now and then to know.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.envelope import read_envelope
from kvsync.core.event_fields import FIELDS, STORED
from kvsync.core.payload import EVENT_COST, Payload
from kvsync.core.wire_limits import WireLimits
from kvsync.model.events import (
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    BlockStored,
    EventLayout,
    UnknownEvent,
)
from kvsync.model.source import EventCounts, Gist

_LIMITS = WireLimits()
_BLOCK_SIZE = STORED.index("block_size")


def read_gist(frames: Sequence[bytes], *, limits: WireLimits = _LIMITS) -> Gist:
    """Read what matters of the frames ``[topic, sequence, payload]`` of one published message.

    Raises WireError, and nothing else, when they are not what an engine publishes.
    """
    skimmer = _Skimmer(limits)
    read = read_envelope(frames, limits, skimmer.events)
    return Gist(
        read.topic,
        read.sequence,
        read.timestamp,
        read.rank,
        read.events,
        skimmer.layout,
        skimmer.block_size,
    )


def gist_of(batch: Batch) -> Gist:
    """The gist of a message that was decoded."""
    kinds = [type(event) for event in batch.events]
    sizes = [event.block_size for event in batch.events if isinstance(event, BlockStored)]
    events = EventCounts(
        kinds.count(BlockStored),
        kinds.count(BlockRemoved),
        kinds.count(AllBlocksCleared),
        kinds.count(UnknownEvent),
    )
    size = sizes[-1] if sizes else None
    return Gist(
        batch.topic, batch.sequence, batch.timestamp, batch.rank, events, batch.layout, size
    )


class _Skimmer:
    """Goes through the events of one batch and reads their types and block sizes."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self.layout: EventLayout | None = None
        self.block_size: int | None = None

    def events(self, payload: Payload) -> EventCounts:
        count = payload.array(self._limits.events, EVENT_COST)
        if count:
            self.layout = EventLayout.MAP if payload.at_map() else EventLayout.ARRAY
        found = dict.fromkeys(FIELDS, 0)
        for payload.event in range(count):
            kind = self._of_map(payload) if payload.at_map() else self._of_array(payload)
            if kind in found:
                found[kind] += 1
        stored, removed, cleared = found.values()
        return EventCounts(stored, removed, cleared, count - stored - removed - cleared)

    def _of_array(self, payload: Payload) -> str:
        left = payload.array(self._limits.fields) - 1
        if left < 0:
            raise payload.wrong("is empty")
        kind = payload.kind()
        if kind == "BlockStored":
            if left <= _BLOCK_SIZE:
                raise payload.wrong("(BlockStored) has no block_size")
            payload.skip_values(_BLOCK_SIZE)
            self.block_size = payload.integer()
            left -= _BLOCK_SIZE + 1
        payload.skip_values(left)
        return kind

    def _of_map(self, payload: Payload) -> str:
        kind, size = "", None
        unpack = payload.unpack
        for left in range(payload.map() - 1, -1, -1):
            name = unpack()
            if type(name) is not str:
                name = payload.key_of(name)
            if name == "type" and not kind:
                kind = payload.kind()
            elif name == "block_size" and (not kind or kind in FIELDS):
                size = payload.integer()
            else:
                payload.skip()
            if kind and (kind != "BlockStored" or size is not None):
                payload.skip_values(2 * left)
                break
        if not kind:
            raise payload.wrong("is a map without 'type'")
        if kind == "BlockStored":
            if size is None:
                raise payload.wrong("(BlockStored) has no block_size")
            self.block_size = size
        return kind
