"""The engine's side: what one rank publishes, whether it is there, and what it is asked to replay."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import zmq

from kvsync.core.wire_limits import WireLimits
from kvsync.model.address import Address
from kvsync.relay.sockets import Context, Socket, bound, connected, take

AT_ONCE = 64
"""Messages that are read before anything else is looked at."""

_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
"""Each is followed by a disconnection."""
_LONGEST = WireLimits().payload + 1024
_PUBLISHED = {zmq.RCVHWM: 1000, zmq.MAXMSGSIZE: _LONGEST, zmq.HANDSHAKE_IVL: 2000}
_REPLAYED = {zmq.RCVHWM: 1000, zmq.MAXMSGSIZE: _LONGEST, zmq.RECONNECT_IVL: 200}


class Publisher:
    """One rank's events. The engine connects; it may come and go."""

    def __init__(self, context: Context, address: Address) -> None:
        self.socket = bound(context, zmq.SUB, address, _PUBLISHED, "--upstream")
        self.monitor: Socket = self.socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _FAILED
        )
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._peers = 0
        self._failed = False

    @property
    def is_there(self) -> bool:
        """Whether an engine is connected."""
        return self._peers > 0

    def messages(self) -> Iterator[list[bytes]]:
        """What was published and is there, a bounded part of it."""
        for _ in range(AT_ONCE):
            frames = take(self.socket)
            if frames is None:
                return
            yield frames

    def has_left(self) -> bool:
        """Read what happened to connections; whether an engine's ended."""
        left = False
        while (event := take(self.monitor)) is not None:
            happened = int.from_bytes(event[0][:2], sys.byteorder)
            if happened == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._peers += 1
            elif happened & _FAILED:
                self._failed = True
            elif self._failed:  # the end of a connection that never was an engine's
                self._failed = False
            else:
                self._peers -= 1
                left = True
        return left

    def close(self) -> None:
        """Listen no more."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)


class Question:
    """A question to the engine's replay socket, on a connection of its own."""

    def __init__(self, context: Context, address: Address, number: int, sequence: int) -> None:
        self.number = number
        self.socket = connected(context, zmq.DEALER, address, _REPLAYED)
        self.socket.send_multipart((b"", sequence.to_bytes(8, "big")), zmq.NOBLOCK)

    def answers(self) -> Iterator[list[bytes]]:
        """What came, a bounded part of it."""
        for _ in range(AT_ONCE):
            frames = take(self.socket)
            if frames is None:
                return
            yield frames

    def close(self) -> None:
        """Want no more."""
        self.socket.close(0)
