"""One TCP connection to a stranger's ZeroMQ socket."""

from __future__ import annotations

import asyncio
import errno
from typing import Protocol

from kvsync.adapters.probe.desk import LATE, Desk
from kvsync.adapters.zmtp.errors import PeerError, Wrong
from kvsync.adapters.zmtp.session import Arrival, Session
from kvsync.model.source import Failure

CONNECT_PATIENCE = 2.0
"""Seconds for the TCP handshake; a packet that is dropped shows by it."""

UNREAD_LIMIT = 64 << 10
"""Bytes that may wait for a peer to read them; what we say in a minute is less than 1 KiB."""

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""What is wrong with this machine, not with the peer."""

_WRONG = {
    Wrong.NOT_ZMTP: Failure.NOT_ZMQ,
    Wrong.MECHANISM: Failure.AUTH,
    Wrong.SOCKET_TYPE: Failure.WRONG_TYPE,
}


class Listener(Protocol):
    """Who is told what a connection brings."""

    def arrived(self, arrival: Arrival) -> None:
        """Something whole came in."""

    def ended(self, failure: Failure) -> None:
        """The peer ended it, or something at its port is no publisher."""

    def violated(self, text: str) -> None:
        """After its handshake the peer sent what no ZeroMQ socket sends; the connection is closed."""


class Connection(asyncio.BufferedProtocol):
    """Feeds a session from a socket. Tells its listener of nothing any more once it is closed.

    The desk's ``reading`` is called with ``number`` before bytes are read, and with 0 behind.
    """

    def __init__(self, session: Session, listener: Listener, desk: Desk, number: int) -> None:
        self.session = session
        self.heard = 0
        """Bytes that came in."""
        self._desk = desk
        self._number = number
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the greeting."""
        assert isinstance(transport, asyncio.Transport)  # a stream's
        self._transport = transport
        if self._over:
            transport.abort()
        self.flush()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where what comes is put: one place for all, for it is taken in at once."""
        return self._desk.incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what came."""
        if self._over:
            return
        data = bytes(memoryview(self._desk.incoming)[:nbytes])
        self.heard += nbytes
        # Not taken back where something is raised that ends this process: then it stands accused.
        self._desk.reading(self._number)
        try:
            self._receive(data)
        except PeerError as error:
            self._break_off(error)
        self._desk.reading(0)

    def _receive(self, data: bytes) -> None:
        for arrival in self.session.receive(data):
            self._listener.arrived(arrival)
            if self._over:
                return
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        if self._over:
            return
        self.close()
        self._listener.ended(self._how_it_ended())

    def _how_it_ended(self) -> Failure:
        if self.session.greeted:  # an engine that ends, perhaps
            return Failure.LOST
        return Failure.NOT_ZMQ if self.heard else Failure.SILENT

    def flush(self) -> None:
        """Send what the session has to say."""
        data = self.session.outgoing()
        if data and self._transport is not None and not self._over:
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > UNREAD_LIMIT:
                self._break_off(PeerError(Wrong.PROTOCOL, "asks on and on and reads no answer"))

    def close(self) -> None:
        """End it at once; what was not read is dropped. What was sent is still delivered."""
        self._over = True
        self.session.close()
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():  # the peer does not read
            self._transport.abort()
        else:
            self._transport.close()

    def _break_off(self, error: PeerError) -> None:
        ready = self.session.ready
        self.close()
        if ready:
            self._listener.violated(str(error))
        else:
            self._listener.ended(_WRONG.get(error.kind, Failure.NOT_ZMQ))


class OwnLimitError(Exception):
    """No connection could be tried for want of something on this machine, such as open files."""


async def dial(host: str, port: int, connection: Connection) -> Failure | None:
    """Connect; None for success. ``host`` is an IP address.

    Raises:
        OwnLimitError: it was not the peer's fault.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + CONNECT_PATIENCE
    try:
        async with asyncio.timeout(CONNECT_PATIENCE):
            await loop.create_connection(lambda: connection, host, port)
    except (ConnectionRefusedError, ConnectionResetError):
        return Failure.REFUSED
    except TimeoutError as error:
        if loop.time() > end + LATE:
            raise OwnLimitError("the process that watches gets too little CPU") from error
        return Failure.TIMED_OUT
    except OSError as error:
        if error.errno in _OURS:
            raise OwnLimitError(error.strerror or str(error)) from error
        return Failure.TIMED_OUT
    return None
