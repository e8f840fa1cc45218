"""One sample of a publisher: a few messages in a row, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kvsync.adapters.probe.reading import Readers
from kvsync.model.events import EventLayout, WireError
from kvsync.model.source import EventCounts, Gist, Observation

_TEXT_LIMIT = 200

_MOST_MISSING = 1 << 32
"""Counted at one gap, whatever a stranger's sequence jumps to."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When a sample is full: after so many messages, bytes, or seconds from its first message."""

    messages: int = 8
    octets: int = 256 << 10
    seconds: float = 1.0
    read: int = 4
    """Messages that are read further than their sequence: for their gist."""
    whole: bool = True
    """Whether the first of them is read as a whole instead."""


NORMAL = Budget()
LIGHT = Budget(messages=1, read=1, whole=False)
"""Enough for a rate, a topic and a sign of life, at a third of the cost; it shows no gap."""
EACH_SOURCE = (NORMAL, LIGHT)
"""Of one window after the other."""
CLOSE = Budget(messages=256, octets=4 << 20, seconds=5.0, read=256)
"""For a suspect."""


@dataclass(slots=True)
class Sample:
    """Adds messages up; :meth:`onto` writes them onto what was seen before. Times as there."""

    budget: Budget
    topic: str
    messages: int = 0
    octets: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    first: int | None = None
    last: int | None = None
    missing: int = 0
    restarts: int = 0
    unread: int = 0
    read: int = 0
    trouble: str | None = None
    wrong_topic: str | None = None
    lag: float | None = None
    layout: EventLayout | None = None
    block_size: int | None = None
    events: EventCounts = field(default_factory=EventCounts)

    def is_full(self, now: float) -> bool:
        """Whether nothing more is wanted."""
        return (
            self.messages >= self.budget.messages
            or self.octets >= self.budget.octets
            or (self.messages > 0 and now - self.first_at >= self.budget.seconds)
        )

    @property
    def is_suspicious(self) -> bool:
        """Whether a closer look is wanted."""
        return self.missing > 0 or self.unread > 0

    def take(
        self,
        frames: Sequence[bytes | None],
        size: int,
        *,
        readers: Readers,
        now: float,
        wall: float,
    ) -> None:
        """Add one message of ``size`` bytes. ``wall`` is now in seconds since the epoch."""
        self.first_at = self.first_at if self.messages else now
        self.last_at = now
        self.messages += 1
        self.octets += size
        whole = [frame for frame in frames if frame is not None]
        if len(whole) < len(frames) or self.messages > self.budget.read:
            self._follow(readers.sequence(frames))
            return
        try:
            read = readers.whole if self.budget.whole and not self.read else readers.gist
            self._note(read(whole), wall)
        except WireError as error:
            self.violated(str(error))
            self._follow(readers.sequence(frames))

    def violated(self, text: str) -> None:
        """Note something that could not be read."""
        self.unread += 1
        self.trouble = text[:_TEXT_LIMIT]

    def _note(self, gist: Gist, wall: float) -> None:
        self.read += 1
        self.trouble = None
        self._follow(gist.sequence)
        self.wrong_topic = None if gist.topic == self.topic else gist.topic[:128]
        self.lag = wall - gist.timestamp
        self.layout = gist.layout or self.layout
        self.block_size = gist.block_size or self.block_size
        self.events = _sum(self.events, gist.events)

    def _follow(self, sequence: int | None) -> None:
        if sequence is None:
            return
        if self.last is None:
            self.first = sequence
        elif sequence < self.last:
            self.restarts += 1
            self.first, self.first_at = sequence, self.last_at
        elif sequence > self.last + 1:
            self.missing += min(sequence - self.last - 1, _MOST_MISSING)
        self.last = sequence

    def onto(self, before: Observation, gaps: int) -> Observation:
        """What was seen, with this sample, whether or not it is full yet.

        ``gaps`` tells which of the recent samples had gaps: one bit a sample, the newest lowest.
        """
        if not self.messages and not self.unread:
            return before
        restarts = self.restarts + self._began_anew(before)
        return replace(
            before,
            messages=before.messages + self.messages,
            octets=before.octets + self.octets,
            events=_sum(before.events, self.events),
            last_batch_at=before.last_batch_at if self.last is None else self.last_at,
            last_sequence=before.last_sequence if self.last is None else self.last,
            rate=before.rate if (rate := self._rate(before)) is None else rate,
            lag=before.lag if self.lag is None else self.lag,
            layout=self.layout or before.layout,
            block_size=self.block_size or before.block_size,
            restarts=before.restarts + restarts,
            restarted_at=self.last_at if restarts else before.restarted_at,
            missing=before.missing + self.missing,
            gap_streak=self._gap_streak(before),
            recent_gaps=self.gaps_after(gaps).bit_count(),
            undecodable=self.trouble if self.unread or self.read else before.undecodable,
            undecoded=before.undecoded + self.unread,
            undecodable_streak=self._trouble_streak(before),
            wrong_topic=self.wrong_topic if self.read else before.wrong_topic,
        )

    def gaps_after(self, gaps: int) -> int:
        """The ``gaps`` that the next sample is to know."""
        if not self.missing and self.messages < 2:  # one message shows no gap
            return gaps
        return (gaps << 1 | bool(self.missing)) & _RECENT

    def _began_anew(self, before: Observation) -> bool:
        first, last = self.first, before.last_sequence
        return not self.restarts and first is not None and last is not None and first < last

    def _gap_streak(self, before: Observation) -> int:
        if self.missing:
            return before.gap_streak + 1
        return 0 if self.messages > 1 else before.gap_streak

    def _trouble_streak(self, before: Observation) -> int:
        if self.read:
            return 0
        return before.undecodable_streak + (1 if self.unread else 0)

    def _rate(self, before: Observation) -> float | None:
        if self.last is None or self.first is None:
            return None
        within = _rate_of(self.last - self.first, self.last_at - self.first_at)
        sequence, at = before.last_sequence, before.last_batch_at
        if sequence is None or at is None or sequence > self.first:
            return within
        between = _rate_of(self.last - sequence, self.last_at - at)
        return within if between is None else between


def _rate_of(batches: int, seconds: float) -> float | None:
    return batches / seconds if seconds >= _SHORTEST else None


_SHORTEST = 0.05
"""Seconds that make a rate: less measures the network."""

_RECENT = (1 << 8) - 1
"""Samples that are recent: eight."""


def _sum(one: EventCounts, other: EventCounts) -> EventCounts:
    return EventCounts(
        one.stored + other.stored,
        one.removed + other.removed,
        one.cleared + other.cleared,
        one.unknown + other.unknown,
    )
