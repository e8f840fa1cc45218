"""The relay as a whole: messages of the engine's ranks in, messages for the gateway out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from kvsync.core.envelope import sequence_of
from kvsync.core.relay.announcer import Announcer, Rhythm
from kvsync.core.relay.changes import Changes
from kvsync.core.relay.counts import Counts, RankCounts
from kvsync.core.relay.encoding import batch
from kvsync.core.relay.intake import Apply, Intake, Message, Step
from kvsync.core.relay.journal import Mark, Memory, entries
from kvsync.core.relay.outbox import REMEMBERED, Outbox
from kvsync.core.relay.reading import read_message
from kvsync.core.relay.replay_log import Frames, LogBounds, ReplayLog, Replays
from kvsync.core.relay.residency import Bounds, Residency
from kvsync.core.relay.subscriptions import Subscriptions
from kvsync.core.relay.translation import Translation
from kvsync.core.wire import parse_replay
from kvsync.model.events import WireError

YOUNG = 60.0
"""Seconds in which a new reader may still believe what the relay before us told it."""
MARKED = 1.0
"""Seconds until a mark is noted although nothing changed."""
MOST_REMEMBERED = 1 << 20
"""Removals at most that can be said again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one relay works. ``replay``: whether the engine's replay socket may be asked.

    ``veil``: bits that are turned over in each hash that is said (``Outbox``).
    ``journal``: whether account is kept of what is told (``Relay.entries``).
    """

    ranks: int = 1
    topic: bytes = b""
    replay: bool = True
    bounds: Bounds = field(default_factory=Bounds)
    rhythm: Rhythm = field(default_factory=Rhythm)
    log: LogBounds = field(default_factory=LogBounds)
    veil: int = 0
    journal: bool = False

    @property
    def remembered(self) -> int:
        """Removals that can be said again: also when all that is resident went at once."""
        return max(REMEMBERED, min(self.bounds.blocks, MOST_REMEMBERED))


class Relay:
    """Call what happens, then publish what :meth:`next_message` gives. Times are monotonic seconds."""

    def __init__(self, terms: Terms, now: float, memory: Memory | None = None) -> None:
        """``memory`` is what the relay before left."""
        self._topic = terms.topic
        self._began = now
        self._remembers = memory is not None
        self._out = Outbox(terms.veil, terms.remembered)
        self._changes = Changes()
        self._marks: dict[int, Mark | None] = {}
        """As they were noted last."""
        self._marked_at = now
        self.counts = Counts([RankCounts() for _ in range(terms.ranks)])
        self.residency = Residency(
            terms.bounds, self._out, self._changes if terms.journal else None
        )
        self.announcer = Announcer(self.residency, terms.rhythm, now)
        self.subscriptions = Subscriptions(terms.topic)
        self.log = ReplayLog(terms.log)
        self.replays = Replays(self.log)
        marks = memory.marks if memory is not None else {}
        self.intakes = [
            Intake(counts, replay=terms.replay, mark=marks.get(rank), now=now)
            for rank, counts in enumerate(self.counts.ranks)
        ]
        left_out = self.counts.left_out
        self._translations = [
            Translation(rank, self.residency, left_out) for rank in range(terms.ranks)
        ]
        self.engine_time: float | None = None
        """The engine's own time of the last message that was taken, seconds since the epoch."""
        if memory is not None:
            self._inherit(memory)

    def heard(self, rank: int, frames: Sequence[bytes], now: float) -> None:
        """A rank published something."""
        self.counts.ranks[rank].batches += 1
        try:
            message = _message(frames)
        except WireError:
            self.counts.ranks[rank].unreadable += 1
            return
        self._carry_out(rank, self.intakes[rank].take(message, now))

    def replayed(self, rank: int, frames: Sequence[bytes], now: float) -> None:
        """The engine's replay socket answered the question of this rank (``Intake.question``)."""
        intake = self.intakes[rank]
        try:
            reply = parse_replay(frames)
        except WireError:
            self.counts.ranks[rank].unreadable += 1
            return
        if reply.sequence is None:
            self._carry_out(rank, intake.end_replay(now))
        else:
            message = Message(reply.sequence, reply.payload)
            self._carry_out(rank, intake.take_replayed(message, now))

    def connected(self, rank: int, now: float) -> None:
        """A rank is there."""
        self.intakes[rank].connect(now)

    def disconnected(self, rank: int) -> None:
        """A rank is gone, and what it held with it."""
        self._carry_out(rank, self.intakes[rank].disconnect())

    def subscribed(self, message: bytes, now: float) -> None:
        """A subscription came or went."""
        if self.subscriptions.heard(message, now):
            self.counts.subscribers += 1
            if now - self._began < YOUNG and not self._remembers:
                self._out.cleared()
            self.announcer.greet(now)

    def lost(self, now: float) -> None:
        """The last message could not be sent to everybody."""
        self.counts.lost += 1
        self.residency.note_loss(self._out.waiting())
        self.announcer.note_loss(now)

    def tick(self, now: float) -> None:
        """Time passes: tell again what is due, give up what does not come."""
        for rank, intake in enumerate(self.intakes):
            if intake.waits:
                self._carry_out(rank, intake.tick(now))
        self.residency.tidy()
        self.announcer.tick(now)

    def next_message(self, time: float) -> Frames | None:
        """What is to be published now; None for nothing more.

        ``time`` is that of the batch, in seconds since the epoch.
        """
        piece = self._out.take()
        if piece is None:
            return None
        payload = batch(time, piece.number, piece.events)
        self.counts.messages += 1
        return (self._topic, self.log.add(payload).to_bytes(8, "big"), payload)

    def entries(self, now: float) -> Iterator[bytes]:
        """What changed since the last time, for the journal: to be kept before it is published."""
        if not self._changes and now - self._marked_at < MARKED:
            return
        marks = self._new_marks()
        self._marked_at = now
        told, gone = self._changes.take(self.residency.runs, self.residency.inherited)
        if told or gone or marks:
            yield from entries(marks, told, gone)

    def snapshot(self) -> Iterator[bytes]:
        """All that a journal must hold, for a new one."""
        self._changes.clear()
        self._marks = {}
        runs, inherited = self.residency.runs, self.residency.inherited
        gone = set(self._out.recent).difference(runs).difference(inherited)
        yield from entries(self._new_marks(), [*inherited, *runs], [*gone])

    def _new_marks(self) -> dict[int, Mark | None]:
        marks = {rank: intake.mark for rank, intake in enumerate(self.intakes)}
        new = {rank: mark for rank, mark in marks.items() if mark != self._marks.get(rank)}
        self._marks = marks
        return new

    def _inherit(self, memory: Memory) -> None:
        self._out.gone_before(memory.gone)
        self.residency.inherited.update(memory.told)
        if not any(intake.mark for intake in self.intakes):
            self.residency.release_inherited()  # told by whom? nobody says that it is resident

    def _carry_out(self, rank: int, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, Apply):
                self._apply(rank, step)
            else:
                self._translations[rank].forget()

    def _apply(self, rank: int, step: Apply) -> None:
        translation = self._translations[rank]
        counts = self.counts.ranks[rank]
        frames = (b"", step.message.sequence.to_bytes(8, "big"), step.message.payload)
        try:
            reading = read_message(frames)
        except WireError:
            if step.recalled:
                return  # the relay before knew what to make of it
            translation.forget()
            self.intakes[rank].note_unreadable()
            return
        counts.events += reading.sent
        self.counts.left_out.unknown += reading.unknown
        self.engine_time = reading.timestamp
        self.residency.recalling = step.recalled
        for event in reading.events:
            translation.apply(event, complete=step.complete)
        self.residency.recalling = False


def _message(frames: Sequence[bytes]) -> Message:
    if len(frames) != 3:
        raise WireError(f"the message has {len(frames)} frames; an engine sends 3")
    return Message(sequence_of(frames[1]), frames[2])
