"""The sequence of one rank: which message is next, what to ask the engine for, when to forget.

A gap is asked for at the engine's replay socket, a bounded number of messages, while what comes live
is held. What cannot be had makes all that is known of the rank doubtful: it is forgotten, and
rebuilt from the engine's last messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from kvsync.core.relay.counts import RankCounts

ASK_BACK = 1000
"""Messages asked for at most. A replay keeps the engine's publisher thread from publishing: 10,000
messages of 4.7 KB about 0.5 s."""
HELD = 4096
"""Live messages held while a replay is awaited."""
HELD_BYTES = 16 << 20
"""Bytes of them."""
PATIENCE = 2.0
"""Seconds without a word of an awaited replay until it is given up."""


class Message(NamedTuple):
    """One message, not looked into."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Apply:
    """Take these events. ``complete``: all of the rank's messages since its start were taken."""

    message: Message
    complete: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """The rank holds nothing that is known of."""


Step: TypeAlias = Apply | Forget


class Intake:
    """Takes messages as they come and tells in which order to apply them.

    ``question`` is the sequence from which the engine is to be asked to replay, None for not. A new
    ``asked`` is a new question: late answers to an old one must not be handed in.
    """

    def __init__(self, counts: RankCounts, *, replay: bool = True) -> None:
        self._counts = counts
        self._replay = replay
        self._next: int | None = None
        self._complete = False
        self._held: deque[Message] = deque()
        self._held_bytes = 0
        self._heard_at = 0.0
        self.question: int | None = None
        self.asked = 0

    @property
    def sequence(self) -> int | None:
        """The sequence that the rank's next message should have; None where nothing is known."""
        return self._next

    @property
    def held(self) -> int:
        """Messages that wait for a replay."""
        return len(self._held)

    def take(self, message: Message, now: float) -> Iterator[Step]:
        """A live message."""
        sequence = message.sequence
        if self.question is not None:
            if sequence > self._held[-1].sequence:
                yield from self._hold(message)
                return
            yield from self._restart()
        if self._next is not None and sequence < self._next:
            yield from self._restart()
        if self._next is None:
            yield from self._first(message, now)
        elif sequence == self._next:
            yield self._apply(message)
        else:
            self._counts.gaps += sequence - self._next
            if sequence - self._next > ASK_BACK:
                yield self._forget()
            yield from self._ask(message, now)

    def note_unreadable(self) -> None:
        """A message that was to be applied could not be read: what it said is lost."""
        self._counts.unreadable += 1
        self._counts.forgotten += 1
        self._complete = False

    def take_replayed(self, message: Message, now: float) -> Iterator[Step]:
        """An answer to the question."""
        if self.question is None or message.sequence < (self._next or self.question):
            return
        self._heard_at = now
        self._counts.replayed += 1
        if self._next is None:
            self._complete = message.sequence == 0
        elif message.sequence > self._next:
            yield self._forget()
        yield self._apply(message)
        while self._held and self._next is not None and self._held[0].sequence <= self._next:
            held = self._held.popleft()
            if held.sequence == self._next:
                yield self._apply(held)
        if not self._held:
            self._end_question()

    def end_replay(self) -> Iterator[Step]:
        """The replay is over, or the engine does not answer: go on with what was held."""
        if self.question is None:
            return
        held, self._held = self._held, deque()
        self._end_question()
        for message in held:
            if self._next is not None and message.sequence > self._next:
                yield self._forget()
            yield self._apply(message)

    def tick(self, now: float) -> Iterator[Step]:
        """Time passes."""
        if self.question is not None and now - self._heard_at >= PATIENCE:
            yield from self.end_replay()

    def disconnect(self) -> Iterator[Step]:
        """The engine is gone, and its cache with it."""
        if self._next is not None or self._held:
            yield from self._restart(counted=False)

    def _first(self, message: Message, now: float) -> Iterator[Step]:
        if message.sequence:
            yield from self._ask(message, now)
        else:
            self._complete = True
            yield self._apply(message)

    def _ask(self, message: Message, now: float) -> Iterator[Step]:
        """Ask for what is missing before a message, and hold that."""
        oldest = max(0, message.sequence - ASK_BACK)
        self.question = oldest if self._next is None else max(self._next, oldest)
        self.asked += 1
        self._heard_at = now
        yield from self._hold(message)
        if not self._replay:
            yield from self.end_replay()

    def _hold(self, message: Message) -> Iterator[Step]:
        self._held.append(message)
        self._held_bytes += len(message.payload)
        if len(self._held) > HELD or self._held_bytes > HELD_BYTES:
            yield from self.end_replay()

    def _restart(self, *, counted: bool = True) -> Iterator[Step]:
        self._counts.restarts += counted
        self._end_question()
        yield self._forget()

    def _forget(self) -> Forget:
        self._counts.forgotten += 1
        self._next = None
        self._complete = False
        return Forget()

    def _apply(self, message: Message) -> Apply:
        self._next = message.sequence + 1
        return Apply(message, self._complete)

    def _end_question(self) -> None:
        self.question = None
        self._held.clear()
        self._held_bytes = 0
