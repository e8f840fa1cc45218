"""Real publishers for tests of the probe, and waiting for what is seen of them."""

import asyncio
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgpack
import zmq

from kvsync.model.source import SourceKey, Target

DEADLINE = 60.0


def batch(events: list[object] | None = None) -> bytes:
    """The payload of a batch as vLLM before 0.24 writes it."""
    stored = ["BlockStored", [1], None, list(range(16)), 16, None]
    packed: bytes = msgpack.packb([time.time(), [stored] if events is None else events, 0])
    return packed


class Publisher:
    """A PUB socket with an engine's sequence."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", name: str = "pod") -> None:
        self.socket = context.socket(zmq.PUB)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.sequence = 0
        self.key = SourceKey("ns", name, f"uid-of-{name}")

    def target(self, interval: float = 1.0) -> Target:
        return Target(
            self.key, "127.0.0.1", self.port, 0, "", active_check=False, interval=interval
        )

    def send(self, payload: bytes | None = None, *, skip: int = 0) -> None:
        self.sequence += skip
        frames = [b"", struct.pack(">Q", self.sequence), batch() if payload is None else payload]
        self.socket.send_multipart(frames)
        self.sequence += 1


@contextmanager
def publishers(*names: str) -> Iterator[list[Publisher]]:
    """Publishers by these names."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield [Publisher(context, name) for name in names]
    finally:
        context.destroy(linger=0)


async def until(met: Callable[[], object], act: Callable[[], object] = lambda: None) -> float:
    """Do ``act`` again and again until ``met``; the seconds that it took."""
    began = time.monotonic()
    while not met():
        assert time.monotonic() - began < DEADLINE
        act()
        await asyncio.sleep(0.02)
    return time.monotonic() - began
