"""The sequence of one rank: which message is next, what to ask the engine for, when to forget.

A gap is asked for at the engine's replay socket, a bounded number of messages, while what comes live
is held. What cannot be had makes all that is known of the rank doubtful: it is forgotten, and
rebuilt from the engine's last messages.

A relay that begins beside an engine that was there before asks at once, also where that is idle. How
many messages there are the engine does not tell, and it sends all from the one that is asked for: so
the questions come from above, where the answer is short, and go down until messages come. Where the
relay before left a mark, its message must be among them: only the same engine sends the same one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from kvsync.core.relay.counts import RankCounts
from kvsync.core.relay.journal import Mark, fingerprint

ASK_BACK = 1000
"""Messages asked for at most. A replay keeps the engine's publisher thread from publishing: 10,000
messages of 4.7 KB about 0.5 s."""
HELD = 4096
"""Live messages held while a replay is awaited."""
HELD_BYTES = 16 << 20
"""Bytes of them."""
PATIENCE = 2.0
"""Seconds without a word of an awaited replay until it is given up."""
RETURN = 5.0
"""Seconds in which an engine that is there connects again; its sockets try every 0.1 s."""
QUIET = 0.5
"""Seconds without a message after which an engine is asked all the same."""
HIGHEST = 1 << 30
"""No engine has come as far as this message: 100 a second for 4 months."""
STEP = 10
"""One part in so many is gone down from question to question, some 120 in all, 2 ms each. So an
engine is asked for about a tenth of its messages at most and 1,000 more, also where it keeps many."""


class Message(NamedTuple):
    """One message, not looked into."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Apply:
    """Take these events. ``complete``: all of the rank's messages since its start were taken.

    ``recalled``: the relay before took them too, and what is known has come further since.
    """

    message: Message
    complete: bool
    recalled: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """The rank holds nothing that is known of."""


Step: TypeAlias = Apply | Forget


class _Aim(Enum):
    """What a question is for."""

    MISSING = auto()
    END = auto()
    """Whether there are messages as far as this: none are hoped for."""
    MARK = auto()
    """The messages around the mark."""


class Intake:
    """Takes messages as they come and tells in which order to apply them.

    ``question`` is the sequence from which the engine is to be asked to replay, None for not. A new
    ``asked`` is a new question: late answers to an old one must not be handed in. ``mark`` is what
    the relay before left.
    """

    def __init__(
        self,
        counts: RankCounts,
        *,
        replay: bool = True,
        mark: Mark | None = None,
        now: float = 0.0,
    ) -> None:
        self._counts = counts
        self._replay = replay
        self._mark = mark
        self._began = now
        self._to_ask_at: float | None = None
        """When an engine that was there before is asked, if it says nothing until then."""
        self._next: int | None = None
        self._last: Message | None = None
        self._marked: Message | None = None
        self._left: Mark | None = None
        self._complete = False
        self._ahead: dict[int, bytes] = {}
        """Fingerprints of messages that were replayed and may also come live."""
        self._held: deque[Message] = deque()
        self._held_bytes = 0
        self._heard_at = 0.0
        self._aim = _Aim.MISSING
        self._end = HIGHEST if mark is None else mark.sequence + 1 + ASK_BACK
        """From where the engine is asked next whether it came as far."""
        self.question: int | None = None
        self.asked = 0

    @property
    def held(self) -> int:
        """Messages that wait for a replay."""
        return len(self._held)

    @property
    def mark(self) -> Mark | None:
        """What to leave to the next relay."""
        if self._mark is not None or self._last is None:
            return self._mark
        if self._last is not self._marked:
            self._marked = self._last
            self._left = Mark(self._last.sequence, fingerprint(self._last.payload), self._complete)
        return self._left

    @property
    def waits(self) -> bool:
        """Whether something is due when it does not come in time."""
        return self.question is not None or self._mark is not None or self._to_ask_at is not None

    def take(self, message: Message, now: float) -> Iterator[Step]:
        """A live message."""
        self._to_ask_at = None
        if self._ahead and self._is_double(message):
            return
        if self.question is not None:
            if not self._held or message.sequence > self._held[-1].sequence:
                yield from self._hold(message, now)
                return
            yield from self._restart()
        if self._mark is not None:
            if self._replay and 0 < message.sequence - self._mark.sequence <= ASK_BACK:
                self._ask_for_mark(self._mark, now)
                yield from self._hold(message, now)
                return
            yield self._forget()
        if self._next is not None and message.sequence < self._next:
            yield from self._restart()
        if self._next is None:
            yield from self._first(message, now)
        elif message.sequence == self._next:
            yield self._apply(message)
        else:
            self._counts.gaps += message.sequence - self._next
            if message.sequence - self._next > ASK_BACK:
                yield self._forget()
            yield from self._ask_before(message, now)

    def note_unreadable(self) -> None:
        """A message that was to be applied could not be read: what it said is lost."""
        self._counts.unreadable += 1
        self._counts.forgotten += 1
        self._complete = False

    def take_replayed(self, message: Message, now: float) -> Iterator[Step]:
        """An answer to the question."""
        if self.question is None:
            return
        self._heard_at = now
        if self._mark is not None:
            yield from self._take_before_mark(message, self._mark, now)
            return
        if self._aim is _Aim.END and self.question:  # it came as far: now those before, too
            self._ask(max(0, self.question - ASK_BACK), _Aim.MISSING, now)
            return
        if message.sequence < (self._next or self.question):
            return
        self._aim = _Aim.MISSING
        self._counts.replayed += 1
        if self._next is None:
            self._complete = message.sequence == 0
        elif message.sequence > self._next:
            yield self._forget()
        if not self._held:
            self._expect_double(message)
        yield self._apply(message)
        yield from self._go_on_with_held()

    def end_replay(self, now: float) -> Iterator[Step]:
        """The engine said all that there is from the question on."""
        if self.question is None:
            return
        if self._aim is _Aim.END and self._mark is not None:
            self._ask_for_mark(self._mark, now)
        elif self._aim is _Aim.END and not self._held:
            self._go_down(self.question, now)
        else:
            yield from self._go_on_without(now)

    def tick(self, now: float) -> Iterator[Step]:
        """Time passes."""
        if self.question is not None:
            if now - self._heard_at >= PATIENCE:
                yield from self._go_on_without(now, answered=False)
        elif self._to_ask_at is not None:
            if now >= self._to_ask_at:
                self._to_ask_at = None
                self._ask(self._end, _Aim.END, now)
        elif self._mark is not None and (not self._replay or now - self._began >= RETURN):
            yield self._forget()

    def connect(self, now: float) -> None:
        """The engine is there. One that comes soon after the relay began was there before."""
        if self._replay and self._next is None and now - self._began < RETURN:
            self._to_ask_at = now + QUIET

    def disconnect(self) -> Iterator[Step]:
        """The engine is gone, and its cache with it."""
        self._to_ask_at = None
        if self._next is not None or self._held or self._mark is not None:
            yield from self._restart(counted=False)
        self._end_question()

    def _first(self, message: Message, now: float) -> Iterator[Step]:
        if message.sequence:
            yield from self._ask_before(message, now)
        else:
            self._complete = True
            yield self._apply(message)

    def _ask(self, sequence: int, aim: _Aim, now: float) -> None:
        self.question = sequence
        self._aim = aim
        self.asked += 1
        self._heard_at = now

    def _ask_for_mark(self, mark: Mark, now: float) -> None:
        """The tokens of what was told lately are in the messages before it."""
        self._ask(max(0, mark.sequence + 1 - ASK_BACK), _Aim.MARK, now)

    def _ask_before(self, message: Message, now: float) -> Iterator[Step]:
        """Ask for what is missing before a message, and hold that."""
        oldest = max(0, message.sequence - ASK_BACK)
        oldest = oldest if self._next is None else max(self._next, oldest)
        self._ask(oldest, _Aim.MISSING, now)
        yield from self._hold(message, now)
        if not self._replay:
            yield from self._go_on_without(now)

    def _go_down(self, asked: int, now: float) -> None:
        """There are no messages from there on: ask further down."""
        self._end_question()
        if asked:
            self._ask(max(0, asked - max(ASK_BACK, asked // STEP)), _Aim.END, now)

    def _take_before_mark(self, message: Message, mark: Mark, now: float) -> Iterator[Step]:
        self._counts.replayed += 1
        if self._aim is _Aim.END:
            yield from self._go_on_without(now)
        elif message.sequence < mark.sequence:
            yield Apply(message, complete=False, recalled=True)
        elif message.sequence == mark.sequence and fingerprint(message.payload) == mark.fingerprint:
            self._mark = None
            self._aim = _Aim.MISSING
            self._complete = mark.complete
            yield self._apply(message, recalled=True)
            yield from self._go_on_with_held()
        else:  # another engine, or one that does not keep that message any more
            yield from self._go_on_without(now)

    def _go_on_with_held(self) -> Iterator[Step]:
        """As far as it follows what was taken; the question is over when all was."""
        if not self._held:
            return
        while self._held and self._next is not None and self._held[0].sequence <= self._next:
            held = self._held.popleft()
            if held.sequence == self._next:
                yield self._apply(held)
        if not self._held:
            self._end_question()

    def _go_on_without(self, now: float, *, answered: bool = True) -> Iterator[Step]:
        """No more of use is said on the question: go on with what was held."""
        aim, held, asked = self._aim, self._held, self.question
        self._end_question()
        if self._mark is not None:
            yield self._forget()
            if aim is _Aim.MARK and answered and not held and asked is not None:
                self._ask(asked, _Aim.END, now)
        for message in held:
            if aim is not _Aim.MISSING:
                yield from self.take(message, now)
                continue
            if self._next is not None and message.sequence > self._next:
                yield self._forget()
            yield self._apply(message)

    def _hold(self, message: Message, now: float) -> Iterator[Step]:
        self._held.append(message)
        self._held_bytes += len(message.payload)
        if len(self._held) > HELD or self._held_bytes > HELD_BYTES:
            yield from self._go_on_without(now)

    def _expect_double(self, message: Message) -> None:
        self._ahead[message.sequence] = fingerprint(message.payload)
        if len(self._ahead) > HELD:
            del self._ahead[next(iter(self._ahead))]

    def _is_double(self, message: Message) -> bool:
        """Whether a live message was replayed before it came."""
        known = self._ahead.pop(message.sequence, None)
        if known is None or known != fingerprint(message.payload):
            self._ahead.clear()
            return False
        return True

    def _restart(self, *, counted: bool = True) -> Iterator[Step]:
        self._counts.restarts += counted
        self._end_question()
        yield self._forget()

    def _forget(self) -> Forget:
        self._counts.forgotten += 1
        self._next = self._last = self._mark = None
        self._complete = False
        self._ahead.clear()
        return Forget()

    def _apply(self, message: Message, *, recalled: bool = False) -> Apply:
        self._next = message.sequence + 1
        self._last = message
        return Apply(message, self._complete, recalled)

    def _end_question(self) -> None:
        self.question = None
        self._aim = _Aim.MISSING
        self._held = deque()
        self._held_bytes = 0
