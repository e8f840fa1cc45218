"""A line to one socket of a stranger: kept up, with a handshake, heartbeats and back-off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from kvsync.adapters.probe.connection import Connection, OwnLimitError, dial
from kvsync.adapters.probe.desk import Desk
from kvsync.adapters.zmtp.session import Arrival, Kind, Limits, Session
from kvsync.model.address import Address
from kvsync.model.source import Failure

HANDSHAKE_PATIENCE = 2.0
PONG_PATIENCE = 6.0
"""Seconds for the answer to a heartbeat, which a peer's I/O thread gives in about a millisecond."""
LASTING = 5.0
"""Seconds for which a connection must have stood for the next try to be quick again."""
AT_ONCE = 0.05
FIRST, LONGEST = 0.25, 4.0
"""Seconds between tries: an engine loads for minutes; once it listens, it is to be seen at once."""
FIRST_SLOW, LONGEST_SLOW = 1.0, 8.0
"""Of what is no publisher, and does not become one soon."""
_SLOW = frozenset({Failure.NOT_ZMQ, Failure.WRONG_TYPE, Failure.AUTH, Failure.OWN_LIMIT})
LIMITS = Limits()


class User(Protocol):
    """Who uses a line."""

    def is_up(self, session: Session) -> None:
        """The peer answers; the session may be used until :meth:`is_down`."""

    def heard(self, arrival: Arrival) -> None:
        """A message came."""

    def is_down(self, failure: Failure) -> None:
        """A connection ended or did not come about; the next try comes by itself."""

    def violated(self, text: str) -> None:
        """The peer sent what no ZeroMQ socket sends. The line rests until it is dialled."""


class Line:
    """Keeps a connection to ``address`` of a socket of ``own_type``, expecting one of ``peer_types``.

    ``number`` is what the desk is told while bytes of it are read.
    """

    def __init__(
        self,
        number: int,
        address: Address,
        own_type: bytes,
        peer_types: frozenset[bytes],
        desk: Desk,
        user: User,
    ) -> None:
        self._number = number
        self._address = address
        self._own_type = own_type
        self._peer_types = peer_types
        self._desk = desk
        self._user = user
        self._link: Connection | None = None
        self._up_at: float | None = None
        self._alive = False
        """Whether there was a sign of life since the last beat."""
        self._tries = 0
        self._dialling: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    @property
    def rests(self) -> bool:
        """Whether nothing is tried until :meth:`dial_in`."""
        return self._link is None and self._again is None

    def dial_in(self, seconds: float) -> None:
        """Connect after so many seconds."""
        self._cancel_again()
        self._again = self._later(seconds, self._dial)

    def beat(self) -> None:
        """Ask for a sign of life unless there was one since the last beat. Call it each window."""
        if self._link is None or self._up_at is None or self._patience is not None:
            return
        if not self._alive and self._link.session.heartbeats:
            self._ask_for_life(self._link)
        self._alive = False

    def flush(self) -> None:
        """Send what the session has to say."""
        if self._link is not None:
            self._link.flush()

    def rest(self) -> None:
        """Hang up, and try nothing more before :meth:`dial_in`."""
        self._cancel_patience()
        self._cancel_again()
        self._up_at = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def close(self) -> None:
        """End it for good."""
        self.rest()
        if self._dialling is not None:
            self._dialling.cancel()

    # What a connection brings (connection.Listener)

    def arrived(self, arrival: Arrival) -> None:
        """Take in a handshake, a sign of life or a message."""
        assert self._link is not None  # it brought this
        self._alive = True
        self._cancel_patience()
        if arrival.kind is Kind.READY and self._link.session.heartbeats:
            # One that closes right behind its handshake, again and again, is not up.
            self._ask_for_life(self._link)
            return
        if self._up_at is None:
            self._up_at = self._desk.clock()
            self._user.is_up(self._link.session)
        if arrival.kind is Kind.MESSAGE and self._up_at is not None:
            self._user.heard(arrival)

    def ended(self, failure: Failure) -> None:
        """Tell, and try again."""
        if self._up_at is not None and self._desk.clock() - self._up_at >= LASTING:
            self._tries = 0
        self.rest()
        self.dial_in(self._pause(failure))
        self._user.is_down(failure)

    def violated(self, text: str) -> None:
        """Tell, and leave it to the user when to try again."""
        self.rest()
        self._user.violated(text)

    def _pause(self, failure: Failure) -> float:
        self._tries += 1
        if failure is Failure.LOST and self._tries == 1:
            return self._desk.jittered(AT_ONCE)
        slow = failure in _SLOW
        first, longest = (FIRST_SLOW, LONGEST_SLOW) if slow else (FIRST, LONGEST)
        return self._desk.jittered(min(longest, first * 2 ** min(self._tries - 1, 16)))

    def _dial(self) -> None:
        self._again = None
        self._alive = False
        session = Session(self._own_type, self._peer_types, LIMITS, self._desk.allowance)
        self._link = Connection(session, self, self._desk.reading, self._number)
        self._dialling = asyncio.get_running_loop().create_task(self._connect(self._link))

    async def _connect(self, link: Connection) -> None:
        try:
            async with self._desk.dialling:
                failure = await dial(self._address.host, self._address.port, link)
        except OwnLimitError as error:
            self._desk.own_limit(str(error))
            if self._link is link:
                self.ended(Failure.OWN_LIMIT)
            return
        if self._link is not link:  # it ended before this task heard of its beginning
            link.close()
        elif failure is not None:
            self.ended(failure)
        elif not link.session.ready:
            self._patience = self._later(HANDSHAKE_PATIENCE, self._handshake_is_late)

    def _handshake_is_late(self) -> None:
        heard = self._link is not None and self._link.heard
        self.ended(Failure.NOT_ZMQ if heard else Failure.SILENT)

    def _ask_for_life(self, link: Connection) -> None:
        link.session.ping()
        link.flush()
        self._cancel_patience()
        self._patience = self._later(PONG_PATIENCE, self._is_frozen)

    def _is_frozen(self) -> None:
        self.ended(Failure.FROZEN)

    def _later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, act)

    def _cancel_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _cancel_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
