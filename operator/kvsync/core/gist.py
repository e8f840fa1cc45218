"""What a probe notes of a message, without its hashes and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsync.core.layout import layout_of
from kvsync.core.wire import decode_batch
from kvsync.model.events import (
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    BlockStored,
    EventLayout,
    UnknownEvent,
)
from kvsync.model.source import EventCounts


@dataclass(frozen=True, slots=True)
class Gist:
    """One message: as in ``model.events.Batch``, its events counted."""

    topic: str
    sequence: int
    timestamp: float
    rank: int | None
    events: EventCounts
    layout: EventLayout | None
    block_size: int | None


def read_gist(frames: Sequence[bytes]) -> Gist:
    """Raises WireError."""
    return gist_of(frames, decode_batch(frames))


def gist_of(frames: Sequence[bytes], batch: Batch) -> Gist:
    """The gist of a message that was decoded."""
    kinds = [type(event) for event in batch.events]
    sizes = [event.block_size for event in batch.events if isinstance(event, BlockStored)]
    return Gist(
        batch.topic,
        batch.sequence,
        batch.timestamp,
        batch.rank,
        EventCounts(
            kinds.count(BlockStored),
            kinds.count(BlockRemoved),
            kinds.count(AllBlocksCleared),
            kinds.count(UnknownEvent),
        ),
        layout_of(frames[-1]),
        sizes[-1] if sizes else None,
    )
