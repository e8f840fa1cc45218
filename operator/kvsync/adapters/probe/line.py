"""A line to one socket of a stranger: kept up, with a handshake, heartbeats and back-off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from kvsync.adapters.probe.connection import Connection, OwnLimitError, dial
from kvsync.adapters.probe.desk import LATE, Desk
from kvsync.adapters.zmtp.session import Arrival, Kind, Limits, Session
from kvsync.model.address import Address
from kvsync.model.source import Failure

HANDSHAKE_PATIENCE = 2.0
"""Seconds for a greeting, and as many again for the rest of a handshake."""
BY_ITSELF = 1.0
"""Seconds in which one that publishes shows that it lives, before it is asked."""
PONG_PATIENCE = 5.0
"""Seconds for the answer to a heartbeat, which a peer's I/O thread gives in about a millisecond."""
LASTING = 1.0
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
        self._tries = 0
        self._dialling: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._shaking: asyncio.Event | None = None
        """Set when the handshake is over, either way."""

    @property
    def rests(self) -> bool:
        """Whether nothing is tried until :meth:`dial_in`."""
        return self._link is None and self._again is None

    def dial_in(self, seconds: float) -> None:
        """Connect after so many seconds."""
        self._cancel_again()
        self._again = self._desk.later(seconds, self._dial)

    def beat(self) -> None:
        """Expect a sign of life, and ask for one where nothing comes by itself. Call it each window.

        Also of one that was just heard: it may have frozen since, and is to be found out by the next.
        """
        link = self._link
        if link is None or self._up_at is None or self._patience is not None:
            return
        if link.session.heartbeats:
            self._wait_for(BY_ITSELF, self._ask_for_life)

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
        self._cancel_patience()
        if arrival.kind is Kind.READY and self._link.session.heartbeats:
            # One that closes right behind its handshake, again and again, is not up.
            self._ask_for_life()
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
        session = Session(self._own_type, self._peer_types, LIMITS, self._desk.allowance)
        self._link = Connection(session, self, self._desk, self._number)
        self._dialling = asyncio.get_running_loop().create_task(self._connect(self._link))

    async def _connect(self, link: Connection) -> None:
        try:
            async with self._desk.dialling:
                failure = await dial(self._address.host, self._address.port, link)
                if self._link is link and failure is None and not link.session.ready:
                    self._wait_for(HANDSHAKE_PATIENCE, self._handshake_is_late)
                    self._shaking = asyncio.Event()
                    await self._shaking.wait()
        except OwnLimitError as error:
            self._desk.own_limit(str(error))
            if self._link is link:
                self.ended(Failure.OWN_LIMIT)
            return
        if self._link is not link:  # it ended before this task heard of its beginning
            link.close()
        elif failure is not None:
            self.ended(failure)

    def _handshake_is_late(self, greeted: bool = False) -> None:
        link = self._link
        if link is not None and link.session.greeted and not greeted:
            self._wait_for(HANDSHAKE_PATIENCE, partial(self._handshake_is_late, True))
            return
        self.ended(Failure.NOT_ZMQ if link is not None and link.heard else Failure.SILENT)

    def _ask_for_life(self) -> None:
        link = self._link
        assert link is not None  # it is asked on it
        link.session.ping()
        link.flush()
        if self._link is link:  # it may have had enough of a peer that reads nothing
            self._wait_for(PONG_PATIENCE, self._is_frozen)

    def _is_frozen(self) -> None:
        self.ended(Failure.FROZEN)

    def _wait_for(self, seconds: float, accuse: Callable[[], None]) -> None:
        """Accuse the peer after so many seconds without a word, if we ourselves kept the time."""
        self._cancel_patience()
        end = asyncio.get_running_loop().time() + seconds

        def is_over() -> None:
            if asyncio.get_running_loop().time() > end + LATE:
                self._wait_for(seconds, accuse)
            else:
                accuse()

        self._patience = self._desk.later(seconds, is_over)

    def _cancel_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _cancel_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._shaking is not None:
            self._shaking.set()
            self._shaking = None
