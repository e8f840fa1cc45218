"""The gateway's side: a publisher that tells of losses, and a replay socket that answers at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import zmq

from kvsync.core.relay.replay_log import Frames, Replays
from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError
from kvsync.relay.sockets import Context, bound, take

WAITING = 1000
"""Messages that wait for one subscriber."""
SUBSCRIPTIONS = 1024
"""Subscriptions that may stand at once; with one more all begin anew, for each takes memory."""
AT_ONCE = 64
FREED = 2.0
"""Seconds in which a port that was given up becomes free."""

_KEEPALIVE = {zmq.TCP_KEEPALIVE: 1, zmq.TCP_KEEPALIVE_IDLE: 30, zmq.TCP_KEEPALIVE_INTVL: 10}
_PUBLISHER = {
    zmq.SNDHWM: WAITING,
    zmq.MAXMSGSIZE: 1024,
    zmq.XPUB_VERBOSER: 1,  # also the second subscription to a topic, and the end of each
    zmq.XPUB_NODROP: 1,
    zmq.HANDSHAKE_IVL: 2000,
    **_KEEPALIVE,
}
_REPLAY = {
    zmq.SNDHWM: 100,
    zmq.RCVHWM: 100,
    zmq.MAXMSGSIZE: 256,
    zmq.ROUTER_MANDATORY: 1,
    zmq.HANDSHAKE_IVL: 2000,
    **_KEEPALIVE,
}


class Audience:
    """Those who subscribe."""

    def __init__(self, context: Context, address: Address) -> None:
        self._context = context
        self._address = address
        self.socket = bound(context, zmq.XPUB, address, _PUBLISHER, "--listen")

    def subscriptions(self) -> Iterator[bytes]:
        """Subscriptions that came and went, a bounded part of them."""
        for _ in range(AT_ONCE):
            frames = take(self.socket)
            if frames is None:
                return
            yield frames[0]

    def send(self, frames: Frames) -> bool:
        """Send to everybody, at once; False where somebody was too slow and missed it."""
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            # One who is slow would hold up all: now the message is dropped for that one alone.
            self.socket.setsockopt(zmq.XPUB_NODROP, 0)
            self.socket.send_multipart(frames, zmq.NOBLOCK)
            self.socket.setsockopt(zmq.XPUB_NODROP, 1)
            return False
        return True

    def begin_anew(self) -> None:
        """End all connections; who means it connects again.

        Raises KvsyncError where the port does not become free again.
        """
        self.socket.close(0)
        deadline = time.monotonic() + FREED
        while True:
            try:
                self.socket = bound(self._context, zmq.XPUB, self._address, _PUBLISHER, "--listen")
            except KvsyncError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)  # libzmq closes in a thread of its own
            else:
                return

    def close(self) -> None:
        """Listen no more."""
        self.socket.close(0)


class ReplayDoor:
    """Those who ask for what was said before."""

    def __init__(self, context: Context, address: Address, replays: Replays) -> None:
        self.socket = bound(context, zmq.ROUTER, address, _REPLAY, "--replay")
        self._replays = replays

    def hear(self) -> None:
        """Take requests, a bounded number of them."""
        for _ in range(AT_ONCE):
            request = take(self.socket)
            if request is None:
                return
            self._replays.ask(request)

    def answer(self, count: int = 4) -> None:
        """Send a few answers to each who waits."""
        for peer in self._replays.askers:
            for _ in range(count):
                if not self._send(peer):
                    break

    def _send(self, peer: bytes) -> bool:
        frames = self._replays.answer(peer)
        try:
            self.socket.send_multipart((peer, *frames), zmq.NOBLOCK)
        except zmq.Again:
            return False  # it reads slowly: later
        except zmq.ZMQError:
            self._replays.give_up(peer)
            return False
        self._replays.sent(peer)
        return peer in self._replays.askers

    def close(self) -> None:
        """Listen no more."""
        self.socket.close(0)
