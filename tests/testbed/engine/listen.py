"""A subscriber for tests: the frames as they come, and replay answers whole."""

from types import TracebackType
from typing import Any, Self

import msgpack
import zmq
from zmq.utils.monitor import recv_monitor_message

from testbed.engine.wire import END_OF_REPLAY

DEADLINE_MS = 5000
ASK_FOR_NOTHING = b"\xff" * 7 + b"\xfe"


class Listener:
    """A SUB connected to ``endpoint`` (or bound, for an engine that connects); a context manager."""

    def __init__(self, endpoint: str, topic: bytes = b"", *, bind: bool = False) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.subscribe(topic)
        (self._socket.bind if bind else self._socket.connect)(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.disable_monitor()
        self._context.destroy(linger=0)

    def wait_connected(self) -> Self:
        """Wait for the handshake with a publisher; raises TimeoutError."""
        if not self._monitor.poll(DEADLINE_MS):
            raise TimeoutError(f"no publisher shook hands within {DEADLINE_MS} ms")
        recv_monitor_message(self._monitor)
        return self

    def receive(self, timeout_ms: int = DEADLINE_MS) -> list[bytes]:
        """The next message's frames; raises TimeoutError."""
        if not self._socket.poll(timeout_ms):
            raise TimeoutError(f"no message within {timeout_ms} ms")
        return self._socket.recv_multipart()


def ask_replay(endpoint: str, start: bytes, timeout_ms: int = DEADLINE_MS) -> list[list[bytes]]:
    """Every message that answers a replay request, the end marker last; raises TimeoutError."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        dealer = context.socket(zmq.DEALER)
        dealer.connect(endpoint)
        dealer.send_multipart([b"", start])
        answers: list[list[bytes]] = []
        while not answers or answers[-1][-2] != END_OF_REPLAY:
            if not dealer.poll(timeout_ms):
                raise TimeoutError(f"no end of replay within {timeout_ms} ms, got {answers}")
            answers.append(dealer.recv_multipart())
        return answers
    finally:
        context.destroy(linger=0)


def kept_batches(endpoint: str) -> list[Any]:
    """Every batch that a publisher keeps, decoded, oldest first."""
    return [msgpack.unpackb(answer[-1]) for answer in ask_replay(endpoint, bytes(8))[:-1]]
