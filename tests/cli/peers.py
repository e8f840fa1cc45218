"""Publishers, and what is no publisher, on loopback; and the command as a process."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import zmq

KVSYNC = str(Path(sys.executable).parent / "kvsync")
DEADLINE = 30.0

Socket = zmq.Socket[bytes]
Frames = Callable[[int], Sequence[bytes]]


@contextmanager
def bound(
    kind: int = zmq.PUB, host: str = "127.0.0.1", *, curve: bool = False
) -> Iterator[tuple[Socket, str]]:
    """A socket of that type, and where it listens; with ``curve`` it wants that of its peers."""
    context: zmq.Context[Socket] = zmq.Context()
    made = context.socket(kind)
    made.setsockopt(zmq.IPV6, 1)
    if curve:
        made.curve_secretkey = zmq.curve_keypair()[1]
        made.curve_server = True
    port = made.bind_to_random_port(f"tcp://{host}")
    try:
        yield made, f"tcp://{host}:{port}"
    finally:
        context.destroy(linger=0)


@contextmanager
def publishing(frames: Frames, every: float = 0.02, host: str = "127.0.0.1") -> Iterator[str]:
    """Publishes ``frames(0)``, ``frames(1)`` … for as long as it is open; where."""
    with bound(zmq.PUB, host) as (publisher, address):
        stop = threading.Event()

        def publish() -> None:
            number = 0
            while not stop.wait(every):
                publisher.send_multipart(frames(number))
                number += 1

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield address
        finally:
            stop.set()
            thread.join()


@contextmanager
def endless() -> Iterator[str]:
    """A hand-made publisher whose one message never ends, 1 MiB a part; where it listens.

    A peer of libzmq could not: its PUB leaves out who subscribed within a message (ZMTP 3.0, RFC 23).
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_serve_endless, args=(server,), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def _serve_endless(server: socket.socket) -> None:
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"
    part = b"\x03" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20)
    while True:
        with suppress(OSError):
            client, _ = server.accept()
            threading.Thread(
                target=_send_all,
                args=(client, greeting, b"\x04" + bytes([len(ready)]) + ready, part),
            ).start()
            continue
        return


def _send_all(client: socket.socket, greeting: bytes, ready: bytes, part: bytes) -> None:
    with client, suppress(OSError):
        client.sendall(greeting)
        client.recv(64, socket.MSG_WAITALL)
        client.sendall(ready)
        while True:
            client.sendall(part)


@contextmanager
def banner(said: bytes) -> Iterator[str]:
    """A server that says something and keeps the connection open; where it listens."""
    kept: list[socket.socket] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                kept.append(client)
                client.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for client in kept:
            client.close()


def kvsync(*words: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        [KVSYNC, *words], capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command while it runs, with pipes that the test reads."""
    # Where SIGINT is ignored, as in a shell's background job, children would ignore it too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pipe = subprocess.PIPE
    process = subprocess.Popen([KVSYNC, *words], stdin=pipe, stdout=pipe, stderr=pipe)
    signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout, process.stderr):
            if end is not None:
                with suppress(BrokenPipeError):
                    end.close()
