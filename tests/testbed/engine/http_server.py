"""A small HTTP/1.1 server in one thread, because importing a large one would double the start time.

Requests are answered in full by a plain function; connections are kept alive.
"""

import json
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

_MAX_REQUEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case, ``path`` is without the query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: str = ""

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body or b"{}")


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: text as it is, anything else as JSON; None is an empty body."""

    content: Any = None
    status: int = 200
    media_type: str = "application/json"

    def to_bytes(self, *, close: bool) -> bytes:
        """The answer as it goes over the wire."""
        body = self._body()
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\nserver: uvicorn\r\n"
            f"content-type: {self.media_type}\r\ncontent-length: {len(body)}\r\n"
        )
        return f"{head}{'connection: close' if close else ''}".strip().encode() + b"\r\n\r\n" + body

    def _body(self) -> bytes:
        if self.content is None:
            return b""
        if isinstance(self.content, str):
            return self.content.encode()
        return json.dumps(self.content, separators=(",", ":")).encode()


Handler = Callable[[Request], Response]


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    peer: str
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)
    closing: bool = False


class HttpServer:
    """Listens at once (raises OSError), serves as the caller turns :meth:`serve_once`."""

    def __init__(self, host: str, port: int, handler: Handler) -> None:
        self._handler = handler
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=128)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    def wake_on(self, descriptor: int) -> None:
        """Let a readable descriptor end the wait of :meth:`serve_once`."""
        self._selector.register(descriptor, selectors.EVENT_READ)

    def serve_once(self, timeout: float | None = None) -> None:
        """Wait up to ``timeout`` seconds (None: for ever) and handle what came."""
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, _Connection):
                self._attend(key.data, events)

    def close(self) -> None:
        """Close the listener and every connection."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Connection):
                key.data.socket.close()
        self._listener.close()
        self._selector.close()

    def _accept(self) -> None:
        try:
            accepted, address = self._listener.accept()
        except OSError:  # gone again before it was taken
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(accepted, f"{address[0]}:{address[1]}")
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _attend(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._read(connection)
            self._write(connection)
        except (OSError, ValueError):
            self._drop(connection)

    def _read(self, connection: _Connection) -> None:
        data = connection.socket.recv(65536)
        connection.closing |= not data
        connection.received += data
        if len(connection.received) > _MAX_REQUEST:
            raise ValueError("request too large")
        while request := _take_request(connection):
            close = request.headers.get("connection", "").lower() == "close"
            connection.unsent += self._handler(request).to_bytes(close=close)
            connection.closing |= close

    def _write(self, connection: _Connection) -> None:
        if connection.unsent:
            with suppress(BlockingIOError):
                del connection.unsent[: connection.socket.send(connection.unsent)]
        if connection.closing and not connection.unsent:
            self._drop(connection)
            return
        wanted = selectors.EVENT_WRITE if connection.unsent else 0
        wanted |= 0 if connection.closing else selectors.EVENT_READ
        self._selector.modify(connection.socket, wanted, connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()


def _take_request(connection: _Connection) -> Request | None:
    """The next whole request out of what was received; raises ValueError when it is none."""
    head, blank, rest = bytes(connection.received).partition(b"\r\n\r\n")
    if not blank:
        return None
    start, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = start.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    if "chunked" in headers.get("transfer-encoding", ""):
        taken = _take_chunks(rest)
    else:
        taken = (rest[:length], length) if len(rest) >= length else None
    if taken is None:
        return None
    body, used = taken
    del connection.received[: len(head) + 4 + used]
    return Request(method, target.partition("?")[0], headers, body, connection.peer)


def _take_chunks(data: bytes) -> tuple[bytes, int] | None:
    """A chunked body and how many bytes it took, or None while it is incomplete."""
    body, used = b"", 0
    while (end := data.find(b"\r\n", used)) >= 0:
        size = int(data[used:end].split(b";")[0], 16)
        used = end + 2 + size + 2
        if len(data) < used:
            return None
        if size == 0:
            return body, used
        body += data[end + 2 : end + 2 + size]
    return None
