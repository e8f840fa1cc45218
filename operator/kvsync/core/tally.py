"""What a few messages of one publisher tell: events by type, sequence, rate, lag, layout."""

from __future__ import annotations

import math
from collections import Counter

from kvsync.model.events import Batch, EventLayout, KVEvent, UnknownEvent

_UNKNOWN_KINDS = 16
_OTHERS = "(others)"


class Tally:
    """Adds up messages as they come; its size does not grow with them."""

    def __init__(self) -> None:
        self.batches = 0
        self.events: Counter[str] = Counter()
        """Events by type; beyond 16 unknown types the rest counts as ``(others)``."""
        self.layout: EventLayout | None = None
        """Of the last message that had an event."""
        self.lag: float | None = None
        """Seconds from the last batch's own time to its receipt, by two clocks."""
        self.began_at: float | None = None
        """When the first message came, in seconds since the epoch."""
        self.last: Batch | None = None
        """The last batch, without its events."""
        self._base: Batch | None = None
        self._unknown: set[str] = set()

    def take(self, batch: Batch, at: float) -> None:
        """Add one message that came at ``at``, in seconds since the epoch."""
        bare = Batch(batch.topic, batch.sequence, batch.timestamp, (), batch.rank)
        restarted = self.last is not None and bare.sequence <= self.last.sequence
        if self._base is None or restarted:
            self._base = bare
        self.last = bare
        self.batches += 1
        self.began_at = at if self.began_at is None else self.began_at
        self.lag = at - bare.timestamp
        self.layout = batch.layout or self.layout
        for event in batch.events:
            self.events[self._kind(event)] += 1

    @property
    def first_sequence(self) -> int | None:
        """The first sequence since the engine's last start."""
        return None if self._base is None else self._base.sequence

    @property
    def rate(self) -> float | None:
        """Batches a second: sequence over time, both the engine's own, so also of unseen ones."""
        if self._base is None or self.last is None:
            return None
        seconds = self.last.timestamp - self._base.timestamp
        if seconds <= 0:
            return None
        rate = (self.last.sequence - self._base.sequence) / seconds
        return rate if math.isfinite(rate) else None

    def _kind(self, event: KVEvent) -> str:
        if not isinstance(event, UnknownEvent):
            return type(event).__name__
        if len(self._unknown) < _UNKNOWN_KINDS:
            self._unknown.add(event.type)
        return event.type if event.type in self._unknown else _OTHERS
