"""Peers for each row of the detection matrix, on real sockets."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import zmq

from adapters.probe.publishers import batch
from testbed.engine.launch import free_ports


class Peer:
    """Where something listens, and how often it is stirred to act (each 20 ms)."""

    def __init__(
        self,
        port: int,
        act: Callable[[], object] = lambda: None,
        *,
        replay_port: int = 0,
        topic: str = "",
    ) -> None:
        self.port = port
        self.act = act
        self.replay_port = replay_port
        self.topic = topic


@contextmanager
def _zmq() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


@contextmanager
def closed() -> Iterator[Peer]:
    yield Peer(int(free_ports(1)[0]))


@contextmanager
def dropping() -> Iterator[Peer]:
    """A port whose SYNs are dropped: Linux does so while the queue of accepted ones is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(server.getsockname())
        yield Peer(server.getsockname()[1])


@contextmanager
def saying(said: bytes) -> Iterator[Peer]:
    """A server that says something and keeps the connection."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    client.sendall(said)
                    kept.append(client)

        threading.Thread(target=serve, daemon=True).start()
        yield Peer(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        for client in kept:
            client.close()


@contextmanager
def of_type(kind: int) -> Iterator[Peer]:
    with _zmq() as context:
        made = context.socket(kind)  # one without a name would be closed at once
        yield Peer(made.bind_to_random_port("tcp://127.0.0.1"))


@contextmanager
def with_curve() -> Iterator[Peer]:
    with _zmq() as context:
        publisher = context.socket(zmq.PUB)
        publisher.curve_secretkey = zmq.curve_keypair()[1]
        publisher.curve_server = True
        yield Peer(publisher.bind_to_random_port("tcp://127.0.0.1"))


@contextmanager
def with_plain() -> Iterator[Peer]:
    with _zmq() as context:
        publisher = context.socket(zmq.PUB)
        publisher.plain_server = True
        yield Peer(publisher.bind_to_random_port("tcp://127.0.0.1"))


@contextmanager
def publishing(
    payload: Callable[[int], bytes] = lambda number: batch(),
    *,
    sequence: Callable[[int], int] = lambda number: number,
    topic: str = "",
    expected: str = "",
    kind: int = zmq.PUB,
) -> Iterator[Peer]:
    """A publisher that sends with each stir."""
    with _zmq() as context:
        publisher = context.socket(kind)
        sent = 0

        def act() -> None:
            nonlocal sent
            frame = struct.pack(">Q", sequence(sent))
            publisher.send_multipart([topic.encode(), frame, payload(sent)])
            sent += 1

        yield Peer(publisher.bind_to_random_port("tcp://127.0.0.1"), act, topic=expected)


@contextmanager
def with_replay() -> Iterator[Peer]:
    """An idle publisher whose replay socket answers."""
    with _zmq() as context:
        publisher, router = context.socket(zmq.PUB), context.socket(zmq.ROUTER)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")

        def act() -> None:
            with suppress(zmq.Again):
                peer, *_ = router.recv_multipart(zmq.NOBLOCK)
                router.send_multipart([peer, b"", b"", b"\xff" * 8, b""])

        yield Peer(port, act, replay_port=router.bind_to_random_port("tcp://127.0.0.1"))


@contextmanager
def without_replay() -> Iterator[Peer]:
    with _zmq() as context:
        publisher = context.socket(zmq.PUB)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        yield Peer(port, replay_port=int(free_ports(1)[0]))


_PUB = (
    "import sys, time, zmq\n"
    "made = zmq.Context().socket(zmq.PUB)\n"
    "print(made.bind_to_random_port('tcp://127.0.0.1'), flush=True)\n"
    "time.sleep(3600)\n"
)


@contextmanager
def process() -> Iterator[tuple[int, int]]:
    """An idle publisher in a process of its own: its port and pid."""
    with subprocess.Popen([sys.executable, "-c", _PUB], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            yield int(running.stdout.readline()), running.pid
        finally:
            running.kill()


def _once(act: Callable[[], object], after: int) -> Callable[[], None]:
    stirs = 0

    def stir() -> None:
        nonlocal stirs
        stirs += 1
        if stirs == after:
            act()

    return stir


@contextmanager
def struck_by(number: signal.Signals, stirs: int = 50) -> Iterator[Peer]:
    """A publisher whose process gets a signal after a second."""
    with process() as (port, pid):
        yield Peer(port, _once(lambda: os.kill(pid, number), stirs))


@contextmanager
def lost_behind(stirs: int = 50) -> Iterator[Peer]:
    """A publisher behind a forwarder that after a second ends connections and accepts no more."""
    with process() as (port, _):
        loop = asyncio.get_running_loop()
        writers: list[asyncio.StreamWriter] = []
        over = False

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            if over:
                writer.close()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(far_writer)
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

        def end() -> None:
            nonlocal over
            over = True
            for writer in writers:
                writer.close()

        port_of: int = int(free_ports(1)[0])
        server = loop.create_task(asyncio.start_server(pass_on, "127.0.0.1", port_of))
        try:
            yield Peer(port_of, _once(end, stirs))
        finally:
            end()
            server.result().close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
