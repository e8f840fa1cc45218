"""One source: a line to its publisher, what is heard there, and the active check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from kvsync.adapters.probe.desk import Desk
from kvsync.adapters.probe.hearing import Hearing
from kvsync.adapters.probe.line import Line
from kvsync.adapters.probe.replay import Replay
from kvsync.adapters.zmtp.session import Arrival, Session
from kvsync.model.address import Address
from kvsync.model.source import Failure, Observation, Target

PUBLISHERS = frozenset({b"PUB", b"XPUB"})


class Source:
    """Watches one publisher until it is closed. ``changed`` is called when there is news."""

    def __init__(self, target: Target, desk: Desk, changed: Callable[[], None]) -> None:
        self.target = target
        self._desk = desk
        self._hearing = Hearing(target.topic, desk, changed)
        address = Address(target.host, target.port)
        self._line = Line(target.key.rank, address, b"SUB", PUBLISHERS, desk, self)
        self._replay = Replay(target, desk, self._replay_answered)
        self._window: asyncio.TimerHandle | None = None

    @property
    def seen(self) -> Observation:
        """What was seen so far."""
        return self._hearing.seen

    def start(self, within: float) -> None:
        """Connect, at some time within so many seconds."""
        self._line.dial_in(self._desk.rng.random() * within)
        self._next_window()

    def close(self) -> None:
        """End its connections and timers."""
        if self._window is not None:
            self._window.cancel()
        self._hearing.leave()
        self._line.flush()
        self._line.close()
        self._replay.close()

    def _next_window(self) -> None:
        length = self._desk.jittered(self.target.interval)
        self._window = self._desk.later(length, self._end_window)

    def _end_window(self) -> None:
        self._next_window()
        if self._line.rests:
            self._line.dial_in(0)
            return
        self._replay.window()
        self._hearing.window()
        self._line.beat()
        self._line.flush()

    # What the line brings (line.User)

    def is_up(self, session: Session) -> None:
        """Listen, and ask for the proof of an idle publisher."""
        now = self._desk.clock()
        self._hearing.note(
            lambda seen: replace(
                seen, handshake_at=now, failure=None, failed_at=None, replay_answered_at=None
            )
        )
        self._hearing.begin(session)
        self._replay.begin()

    def heard(self, arrival: Arrival) -> None:
        """Take in a message; a publisher that does not stop is left until the next window."""
        if not self._hearing.hear(arrival):
            self._line.rest()
            self._hearing.stop()

    def is_down(self, failure: Failure) -> None:
        """Note how it ended."""
        self._replay.stop()
        self._hearing.stop()
        now = self._desk.clock()
        self._hearing.note(
            lambda seen: replace(
                seen,
                failure=_graver(seen.failure, failure),
                failed_at=seen.failed_at or now,
            )
        )

    def violated(self, text: str) -> None:
        """Note it; the publisher is left until the next window.

        Its handshake stood, though it may have broken the protocol before it answered anything.
        """
        now = self._desk.clock()
        self._hearing.note(
            lambda seen: replace(
                seen, handshake_at=seen.handshake_at or now, failure=None, failed_at=None
            )
        )
        self._hearing.violated(text)

    def _replay_answered(self) -> None:
        now = self._desk.clock()
        self._hearing.note(lambda seen: replace(seen, replay_answered_at=now))


def _graver(before: Failure | None, now: Failure) -> Failure:
    """A process that is frozen, and a proxy before one that is gone, still accept connections: that
    one says nothing then is no news."""
    known = before in (Failure.FROZEN, Failure.LOST) and now is Failure.SILENT
    return before if known and before is not None else now
