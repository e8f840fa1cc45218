"""Publishers that mean harm: each listens at a port of its own and does one thing to whoever comes.

All but the flood of a real PUB speak ZMTP by hand (RFC 37). ``python -m testbed.hostile acts`` prints
where they listen as JSON, and ends with its stdin. ``python -m testbed.hostile ACT PORT`` is one of them,
at this port of every address, for a pod.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self

import zmq

from kvsync.model.source import SourceKey, Target
from testbed.partner import Partner

MORE, LONG, COMMAND = 1, 2, 4
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\x00") + bytes(32)
PAUSE = 0.2
"""Seconds between the bytes of a slow one."""
FLOOD = 100_000
"""Messages a second."""
_BURSTS = 100

Act = Callable[[socket.socket], None]


def frame(flags: int, body: bytes) -> bytes:
    """A frame in its long form."""
    return bytes((flags | LONG,)) + len(body).to_bytes(8, "big") + body


def message(sequence: int, payload: bytes) -> bytes:
    """A published batch."""
    head = frame(MORE, b"") + frame(MORE, sequence.to_bytes(8, "big"))
    return head + frame(0, payload)


def command(name: bytes, data: bytes) -> bytes:
    """A command of ZMTP 3.1."""
    body = bytes((len(name),)) + name + data
    return bytes((COMMAND, len(body))) + body


HANDSHAKE = GREETING + command(b"READY", b"\x0bSocket-Type" + bytes((0, 0, 0, 3)) + b"PUB")
_BATCH = b"\x93\xcb" + bytes(8) + b"\x90\x00"


def huge_frame(client: socket.socket) -> None:
    """Announces 8 GiB and sends as much of it as one reads."""
    client.sendall(HANDSHAKE + b"\x02" + (8 << 30).to_bytes(8, "big"))
    _for_ever(client, bytes(1 << 16))


def endless_small_parts(client: socket.socket) -> None:
    """A message without an end, of one byte a part."""
    client.sendall(HANDSHAKE)
    _for_ever(client, b"\x01\x01x" * 20_000)


def endless_large_parts(client: socket.socket) -> None:
    """A message without an end, of 64 KiB a part."""
    client.sendall(HANDSHAKE)
    _for_ever(client, frame(MORE, bytes(1 << 16)))


def million_elements(client: socket.socket) -> None:
    """Batches of a million events, each an empty array."""
    client.sendall(HANDSHAKE)
    events = b"\xdd" + (1_000_000).to_bytes(4, "big") + b"\x90" * 1_000_000
    _batches_for_ever(client, b"\x93\xcb" + bytes(8) + events + b"\x00")


def deep_nesting(client: socket.socket) -> None:
    """Batches of 100,000 arrays, each inside of the one before."""
    client.sendall(HANDSHAKE)
    _batches_for_ever(client, b"\x91" * 100_000 + b"\x90")


def http_banner(client: socket.socket) -> None:
    """Another server's port, kept open."""
    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    _linger(client)


def ssh_banner(client: socket.socket) -> None:
    """Another server's port, kept open."""
    client.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    _linger(client)


def slow_handshake(client: socket.socket) -> None:
    """Says its greeting a byte at a time."""
    _slowly(client, HANDSHAKE)


def slow_frame(client: socket.socket) -> None:
    """Says a frame of 4 MiB a byte at a time."""
    client.sendall(HANDSHAKE + b"\x02" + (4 << 20).to_bytes(8, "big"))
    _slowly(client, bytes(4 << 20))


def half_message(client: socket.socket) -> None:
    """Sends a message of 4 MiB but for its last byte, and keeps it so."""
    client.sendall(HANDSHAKE + frame(0, bytes((4 << 20) - 64))[:-1])
    _linger(client)


def accept_and_close(client: socket.socket) -> None:
    """A storm of connections."""


def handshake_and_close(client: socket.socket) -> None:
    """A storm of connections that look well at first."""
    client.sendall(HANDSHAKE)


def flood(client: socket.socket) -> None:
    """100,000 messages a second, whatever was subscribed."""
    client.sendall(HANDSHAKE)
    each = FLOOD // _BURSTS
    for burst in count():
        began = time.monotonic()
        client.sendall(b"".join(message(burst * each + n, _BATCH) for n in range(each)))
        time.sleep(max(0.0, began + 1 / _BURSTS - time.monotonic()))


def garbage(client: socket.socket) -> None:
    """Random bytes behind a good handshake."""
    client.sendall(HANDSHAKE)
    _for_ever(client, os.urandom(1 << 16))


def never_reads(client: socket.socket) -> None:
    """Takes nothing in."""
    client.sendall(HANDSHAKE)
    threading.Event().wait()


def pings_and_never_reads(client: socket.socket) -> None:
    """Asks for signs of life without an end and takes none of the answers."""
    client.sendall(HANDSHAKE)
    _for_ever(client, command(b"PING", bytes(2)) * 7_000)


def endless_commands(client: socket.socket) -> None:
    """Signs of life without an end that nobody asked for."""
    client.sendall(HANDSHAKE)
    threading.Thread(target=_linger, args=(client,), daemon=True).start()
    _for_ever(client, command(b"PONG", b"") * 9_000)


ACTS: dict[str, Act] = {
    act.__name__.replace("_", "-"): act
    for act in (
        huge_frame, endless_small_parts, endless_large_parts, million_elements, deep_nesting,
        http_banner, ssh_banner, slow_handshake, slow_frame, half_message, accept_and_close,
        handshake_and_close, flood, garbage, never_reads, pings_and_never_reads, endless_commands,
    )
}  # fmt: skip
PUB_FLOOD = "pub-flood"
"""A real PUB with 100,000 messages a second."""


class Hostile:
    """All of them in processes of their own; a context manager that ends them."""

    def __enter__(self) -> Self:
        self._partners = [Partner("testbed.hostile", kind) for kind in ("acts", PUB_FLOOD)]
        self.ports: dict[str, int] = {}
        for partner in self._partners:
            self.ports |= json.loads(partner.hear())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for partner in self._partners:
            partner.end()

    def targets(self, *names: str, interval: float = 10.0) -> dict[SourceKey, Target]:
        """What a probe is told of these, all if none is named."""
        return {
            key: Target(key, "127.0.0.1", port, 0, "", interval=interval)
            for name, port in self.ports.items()
            if name in names or not names
            for key in (SourceKey("hostile", name, name),)
        }


def _for_ever(client: socket.socket, data: bytes) -> None:
    while True:
        client.sendall(data)


def _batches_for_ever(client: socket.socket, payload: bytes) -> None:
    for sequence in count():
        client.sendall(message(sequence, payload))


def _slowly(client: socket.socket, data: bytes) -> None:
    for at in range(len(data)):
        client.sendall(data[at : at + 1])
        time.sleep(PAUSE)


def _linger(client: socket.socket) -> None:
    """Until the other side has enough."""
    with suppress(OSError):
        while client.recv(1 << 16):
            pass


def _serve(server: socket.socket, act: Act) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_attend, args=(client, act), daemon=True).start()


def _attend(client: socket.socket, act: Act) -> None:
    with client, suppress(OSError):  # the other side hung up
        act(client)


def _listen(act: Act) -> int:
    server = socket.create_server(("127.0.0.1", 0), backlog=512)
    threading.Thread(target=_serve, args=(server, act), daemon=True).start()
    return int(server.getsockname()[1])


def _flood_pub() -> int:
    publisher: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    threading.Thread(target=_publish_for_ever, args=(publisher,), daemon=True).start()
    return port


def _publish_for_ever(publisher: "zmq.Socket[bytes]") -> None:
    sequence = count()
    while True:
        began = time.monotonic()
        for _ in range(FLOOD // _BURSTS):
            publisher.send_multipart([b"", next(sequence).to_bytes(8, "big"), _BATCH])
        time.sleep(max(0.0, began + 1 / _BURSTS - time.monotonic()))


def main() -> None:
    """Listen, say where, and go on until stdin ends; as a pod for ever."""
    if len(sys.argv) == 3:
        _serve(socket.create_server(("", int(sys.argv[2])), backlog=512), ACTS[sys.argv[1]])
    if sys.argv[1] == PUB_FLOOD:
        ports = {PUB_FLOOD: _flood_pub()}
    else:
        ports = {name: _listen(act) for name, act in ACTS.items()}
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
