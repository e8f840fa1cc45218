"""One subscription whose messages are taken as they come, undecoded."""

from __future__ import annotations

import time
from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

from kvsync.model.address import Address

ANEW = 0.5
"""Seconds before a connection that ended is made anew; libzmq itself would try after 1 s."""

_OPTIONS = {
    zmq.LINGER: 0,
    zmq.MAXMSGSIZE: 4 << 20,
    # Nothing is to be missed.
    zmq.RCVHWM: 1000,
    zmq.HANDSHAKE_IVL: 2000,
    zmq.CONNECT_TIMEOUT: 2000,
    zmq.RECONNECT_IVL: 1000,
    zmq.HEARTBEAT_IVL: 5000,
    zmq.HEARTBEAT_TIMEOUT: 15000,
    zmq.IPV6: 1,
}

_ENDED = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Recorder:
    """Subscribes to one publisher, by topic prefix; a frame holds 4 MiB at most."""

    def __init__(
        self, host: str, port: int, prefix: bytes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._endpoint = str(Address(host, port))
        self._prefix = prefix
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._anew_at: float | None = None
        self._established = False
        self.subscribed = True
        self.losses = 0
        """Connections that ended after their handshake."""
        self._open()

    def _open(self) -> None:
        self._established = False
        self._socket = self._context.socket(zmq.SUB)
        for option, value in _OPTIONS.items():
            self._socket.setsockopt(option, value)
        # With a domain set libzmq drops peers that greet with something else than ZMTP.
        self._socket.setsockopt_string(zmq.ZAP_DOMAIN, "kvsync")
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | _ENDED)
        if self.subscribed:
            self._socket.setsockopt(zmq.SUBSCRIBE, self._prefix)
        self._socket.connect(self._endpoint)

    def _close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)

    def take(self) -> list[bytes] | None:
        """The next message that is there, as its frames; None for none."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def tend(self) -> None:
        """Make the connection anew where it ended. Call it when :meth:`take` gave nothing.

        libzmq connects again by itself after some failures, but not after a frame that is too
        long or a peer of the wrong type.
        """
        if self._anew_at is None:
            self._hear_monitor()
        elif self._clock() >= self._anew_at:
            self._anew_at = None
            self._close()
            self._open()

    def _hear_monitor(self) -> None:
        while self._anew_at is None:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if int(parse_monitor_message(frames)["event"]) == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._established = True
            else:
                self.losses += self._established
                self._anew_at = self._clock() + ANEW

    def pause(self) -> None:
        """Ask for no more messages; those on their way still come."""
        if self.subscribed:
            self._socket.setsockopt(zmq.UNSUBSCRIBE, self._prefix)
        self.subscribed = False

    def resume(self) -> None:
        """Ask for messages again."""
        if not self.subscribed:
            self._socket.setsockopt(zmq.SUBSCRIBE, self._prefix)
        self.subscribed = True

    def close(self) -> None:
        """Unsubscribe and close the connection."""
        self.pause()
        self._close()
        self._context.destroy(linger=0)
