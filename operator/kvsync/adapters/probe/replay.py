"""The active check: a question to the replay socket that asks for nothing but its end marker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kvsync.adapters.probe.desk import Desk
from kvsync.adapters.probe.line import Line
from kvsync.adapters.zmtp.session import Arrival, Session
from kvsync.model.address import Address
from kvsync.model.events import HARMLESS_REPLAY_REQUEST
from kvsync.model.source import Failure, Target

EACH_WINDOWS = 3
"""Windows from one question to the next: a heartbeat asks for a sign of life in each of them."""
PATIENCE = 2.5
"""Seconds for an answer before it is asked once more on a new connection: an engine that has just begun
to listen may not have taken the first question."""


class Replay:
    """Asks on a connection that is kept, one question at a time."""

    def __init__(self, target: Target, desk: Desk, answered: Callable[[], None]) -> None:
        self._wanted = target.active_check and target.replay_port > 0
        self._desk = desk
        self._answered = answered
        self._session: Session | None = None
        self._open = False
        """Whether a question waits for its answer."""
        self._windows = 0
        self._again = False
        """Whether it was asked once more."""
        self._patience: asyncio.TimerHandle | None = None
        address = Address(target.host, target.replay_port)
        self._line = Line(target.key.rank, address, b"DEALER", frozenset({b"ROUTER"}), desk, self)

    def begin(self) -> None:
        """Ask at once: the publisher came up."""
        if self._wanted:
            if self._session is not None:
                self._ask()
            elif self._line.rests:
                self._line.dial_in(0)

    def window(self) -> None:
        """A window of the publisher is over."""
        if not self._wanted:
            return
        self._again = False
        if self._open:  # none is sent behind one that was not answered
            self._hang_up()
            self._line.dial_in(0)
            return
        self._windows += 1
        if self._windows >= EACH_WINDOWS:
            self.begin()

    def stop(self) -> None:
        """Ask no more: the publisher is down."""
        self._again = False
        self._hang_up()

    def close(self) -> None:
        """End it."""
        self._settle()
        self._line.close()

    # What the line brings (line.User)

    def is_up(self, session: Session) -> None:
        """Ask what it was connected for."""
        self._session = session
        self._ask()

    def heard(self, arrival: Arrival) -> None:
        """An answer; anything but the end marker is passed over."""
        if self._desk.readers.ends_replay(arrival.frames):
            self._settle()
            self._windows = 0
            self._answered()

    def is_down(self, failure: Failure) -> None:
        """It is tried again by the line."""
        self._session = None
        self._settle()

    def violated(self, text: str) -> None:
        """It is tried again after a window."""
        self._session = None
        self._open = True

    def _ask(self) -> None:
        if self._session is not None and not self._open:
            self._open = True
            self._session.send(HARMLESS_REPLAY_REQUEST)
            self._line.flush()
            if not self._again:
                self._patience = self._desk.later(PATIENCE, self._ask_again)

    def _ask_again(self) -> None:
        self._again = True
        self._hang_up()
        self._line.dial_in(0)

    def _hang_up(self) -> None:
        self._line.rest()
        self._session = None
        self._settle()

    def _settle(self) -> None:
        """No question is open any more."""
        self._open = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
