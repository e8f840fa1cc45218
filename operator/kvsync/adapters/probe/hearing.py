"""When one publisher is listened to.

An idle one stays subscribed, for nothing is cheaper and its first message is seen at once. One that
talks is heard for a few messages each window; between them it is unsubscribed, so that it filters
for us at its own end.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace

from kvsync.adapters.probe.desk import Desk
from kvsync.adapters.probe.news import ends_lull
from kvsync.adapters.probe.sample import CLOSE, Sample
from kvsync.adapters.zmtp.session import Arrival, Session
from kvsync.model.source import Observation

LATE_MESSAGES, LATE_OCTETS = 64, 1 << 20
"""What may still come after we unsubscribed: more is a flood, and is cut off. Less would cut off honest
ones whose messages lay unread here for a while."""


class Hearing:
    """Samples what comes over one line. ``changed`` is called when there is news."""

    def __init__(self, topic: str, desk: Desk, changed: Callable[[], None]) -> None:
        self._topic = topic
        self._desk = desk
        self._changed = changed
        self._before = Observation(since=desk.clock())
        self._gaps = 0
        self._session: Session | None = None
        self._sample: Sample | None = None
        self._sample_end: asyncio.TimerHandle | None = None
        self._is_close = False
        self._subscribed_at = 0.0
        self._budgets = itertools.cycle(desk.budgets)
        self._late = self._late_octets = 0

    @property
    def seen(self) -> Observation:
        """What was seen so far, with a sample that is not full yet."""
        return self._sample.onto(self._before, self._gaps) if self._sample else self._before

    @property
    def is_idle(self) -> bool:
        """Whether it is subscribed and nothing came."""
        return self._sample is not None and not self._sample.messages

    def note(self, change: Callable[[Observation], Observation]) -> None:
        """Note something beside the messages; it is news where it changes anything."""
        before, self._before = self._before, change(self._before)
        if before != self._before:
            self._changed()

    def begin(self, session: Session) -> None:
        """Listen on a connection that came up."""
        self._session = session
        self._subscribe(session)
        self.note(lambda seen: replace(seen, subscribed_at=self._subscribed_at))

    def window(self) -> None:
        """A window is over: listen again."""
        if self._session is not None and self._sample is None:
            self._subscribe(self._session)
        elif self.is_idle and self._is_close:
            self._end_sample()  # a suspect that fell silent keeps no place from others
        elif self.is_idle and (self._before.rate or self._before.subscribed_at is None):
            # That a subscription stands is news only where nothing comes.
            rate = None if self._before.rate is None else 0.0
            at = self._subscribed_at
            self.note(lambda seen: replace(seen, rate=rate, subscribed_at=at))

    def hear(self, arrival: Arrival) -> bool:
        """Take a message; False where they come although none is wanted, too many to bear."""
        sample = self._sample
        if sample is None:
            self._late += 1
            self._late_octets += arrival.size
            return self._late <= LATE_MESSAGES and self._late_octets <= LATE_OCTETS
        now = self._desk.clock()
        sample.take(
            arrival.frames,
            arrival.size,
            readers=self._desk.readers,
            now=now,
            wall=self._desk.wall(),
        )
        if sample.messages == 1:
            self._sample_end = self._desk.later(sample.budget.seconds, self._end_sample)
            if ends_lull(self._before, now):  # else it is soon enough when the sample is over
                self._changed()
        if sample.is_full(now):
            self._end_sample()
        return True

    def violated(self, text: str) -> None:
        """Note what is no message at all; the connection is over."""
        if self._sample is None:
            self._sample = Sample(next(self._budgets), self._topic)
        self._sample.violated(text)
        self.stop()

    def leave(self) -> None:
        """Ask for no more, and stop."""
        if self._session is not None and self._sample is not None:
            self._session.cancel()
        self.stop()

    def stop(self) -> None:
        """The connection is over."""
        self._session = None
        self._fold()
        self._unsubscribed()

    def _subscribe(self, session: Session) -> None:
        session.subscribe()
        self._subscribed_at = self._desk.clock()
        self._late = self._late_octets = 0
        self._sample = Sample(next(self._budgets), self._topic)

    def _end_sample(self) -> None:
        suspicious = self._sample is not None and self._sample.is_suspicious and not self._is_close
        self._fold()
        if suspicious and self._desk.begin_close_look():
            self._is_close = True
            self._sample = Sample(CLOSE, self._topic)
        elif self._session is not None:
            self._session.cancel()
            self._unsubscribed()

    def _unsubscribed(self) -> None:
        if self._before.subscribed_at is not None:
            self.note(lambda seen: replace(seen, subscribed_at=None))

    def _fold(self) -> None:
        """Write the sample down."""
        if self._sample_end is not None:
            self._sample_end.cancel()
            self._sample_end = None
        if self._sample is not None:
            sample, self._sample = self._sample, None
            self.note(lambda seen: sample.onto(seen, self._gaps))
            self._gaps = sample.gaps_after(self._gaps)
        if self._is_close:
            self._is_close = False
            self._desk.end_close_look()
