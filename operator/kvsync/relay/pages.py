"""``/metrics`` and ``/healthz`` over HTTP, from the process's own loop.

The operator's server (``shell/server``) stands on aiohttp, which takes 12 MB: a fifth of what a relay
may have beside every engine. Here is what two small pages need: one request a connection, few
connections, short ones, and nobody can keep others out.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping

from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError
from kvsync.relay.sockets import NO_IPV6

CONNECTIONS = 8
"""At once; one more closes the oldest."""
PATIENCE = 5.0
"""Seconds that a connection may last."""
HEADER = 4096
"""Bytes of a request; of its header only the first line and a content's length are read."""
CONTENT = 64
"""Bytes that may be posted."""

Pages = Mapping[str, Callable[[], bytes]]
"""What answers a path."""

Inboxes = Mapping[str, Callable[[bytes], str]]
"""What takes what is posted to a path; it tells what is wrong with that, empty for nothing."""

_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,9})[ \t]*\r?$")
_NONE: Inboxes = {}


class _Connection:
    def __init__(self, end: socket.socket, now: float) -> None:
        self.end = end
        self.since = now
        self.request = b""
        self.answer = b""


def _listen(address: Address) -> socket.socket:
    """A socket that listens; on [::] for IPv4 too, and for that alone where there is no IPv6.

    Raises OSError.
    """
    at = (address.host, address.port)
    if address.host != "::":
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server(at, family=family, backlog=16)
    try:
        return socket.create_server(at, family=socket.AF_INET6, backlog=16, dualstack_ipv6=True)
    except OSError as error:
        if error.errno not in NO_IPV6:
            raise
        return socket.create_server(("0.0.0.0", address.port), backlog=16)  # noqa: S104


class PageServer:
    """Listens; poll :meth:`reading` and :meth:`writing`, and call :meth:`turn` with what is ready.

    Raises KvsyncError where the address cannot be listened on.
    """

    def __init__(self, address: Address, pages: Pages, inboxes: Inboxes = _NONE) -> None:
        self._pages = pages
        self._inboxes = inboxes
        try:
            self._door = _listen(address)
        except OSError as error:
            raise KvsyncError(
                f"cannot listen on {address.host}:{address.port} for metrics and health checks: "
                f"{error.strerror or error}. Give --metrics-address another HOST:PORT, or 'off' "
                "to go without"
            ) from error
        self._door.setblocking(False)
        host, port = self._door.getsockname()[:2]
        self.address = Address(host, port)
        self._open: dict[int, _Connection] = {}

    def reading(self) -> Iterator[int]:
        """File descriptors to wait for until they can be read."""
        yield self._door.fileno()
        yield from (number for number, one in self._open.items() if not one.answer)

    def writing(self) -> Iterator[int]:
        """File descriptors to wait for until they can be written."""
        yield from (number for number, one in self._open.items() if one.answer)

    def turn(self, ready: Mapping[object, int], now: float) -> None:
        """Go on with what is ready, and end what lasts too long."""
        for number in list(self._open):
            if number in ready:
                self._go_on(number)
            elif now - self._open[number].since > PATIENCE:
                self._end(number)
        if self._door.fileno() in ready:
            self._accept(now)

    def close(self) -> None:
        """Listen no more and end every connection."""
        self._door.close()
        for number in list(self._open):
            self._end(number)

    def _accept(self, now: float) -> None:
        try:
            end, _ = self._door.accept()
        except OSError:
            return
        end.setblocking(False)
        while len(self._open) >= CONNECTIONS:
            self._end(next(iter(self._open)))
        self._open[end.fileno()] = _Connection(end, now)

    def _go_on(self, number: int) -> None:
        one = self._open[number]
        try:
            if not one.answer:
                self._read(one)
            if one.answer:
                one.answer = one.answer[one.end.send(one.answer) :]
                if not one.answer:
                    one.end.shutdown(socket.SHUT_WR)
                    self._end(number)
        except BlockingIOError:
            return
        except OSError:
            self._end(number)

    def _read(self, one: _Connection) -> None:
        data = one.end.recv(HEADER)
        one.request += data
        if len(one.request) > HEADER or _is_whole(one.request):
            one.answer = self._answer(one.request)
        elif not data:
            raise ConnectionError("it ended within its request")

    def _answer(self, request: bytes) -> bytes:
        head, _, content = _parted(request)
        words = head.split(b"\n", 1)[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/") or len(request) > HEADER:
            return _response("400 Bad Request", b"This is no request that is answered here.\n")
        path = words[1].partition(b"?")[0].decode("ascii", "replace")
        if path in self._inboxes:
            if words[0] != b"POST":
                return _response("405 Method Not Allowed", b"Only POST is answered.\n")
            return self._take(path, _length(head), content)
        make = self._pages.get(path)
        if make is None:
            there = ", ".join((*self._pages, *self._inboxes))
            return _response("404 Not Found", f"Not here; there are {there}.\n".encode())
        if words[0] not in {b"GET", b"HEAD"}:
            return _response("405 Method Not Allowed", b"Only GET and HEAD are answered.\n")
        return _response("200 OK", make(), body=words[0] == b"GET")

    def _take(self, path: str, length: int | None, content: bytes) -> bytes:
        if length is None:
            return _response("411 Length Required", b"Send Content-Length.\n")
        if length > CONTENT:
            return _response("413 Content Too Large", b"At most %d bytes are taken.\n" % CONTENT)
        problem = self._inboxes[path](content[:length])
        if problem:
            return _response("400 Bad Request", f"{problem}\n".encode())
        return _response("200 OK", b"ok\n")

    def _end(self, number: int) -> None:
        self._open.pop(number).end.close()


def _parted(request: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, the empty line after it (empty while it is not there), content."""
    found = _END.search(request)
    if found is None:
        return request, b"", b""
    return request[: found.start() + 1], found[0], request[found.end() :]


def _is_whole(request: bytes) -> bool:
    head, end, content = _parted(request)
    if not end or not head.startswith(b"POST "):
        return bool(end)
    length = _length(head) or 0
    return length > CONTENT or len(content) >= length


def _length(head: bytes) -> int | None:
    found = _LENGTH.search(head)
    return int(found[1]) if found else None


def _response(status: str, page: bytes, *, body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(page)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (page if body else b"")
