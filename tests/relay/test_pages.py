"""The relay's pages on a real socket: nobody can keep others out, and nothing is taken that is long."""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError
from kvsync.relay import pages as served
from kvsync.relay.pages import CONNECTIONS, CONTENT, PageServer


@pytest.fixture
def server() -> Iterator[PageServer]:
    """A server whose loop turns in a thread."""
    made = PageServer(
        Address("127.0.0.1", 0),
        {"/healthz": lambda: b"ok\n", "/long": lambda: b"x" * 9_000_000},
        {"/say": lambda content: "" if content == b"hello" else f"not {content!r}"},
    )
    stop = threading.Event()

    def turn() -> None:
        while not stop.is_set():
            read, write, _ = select.select(list(made.reading()), list(made.writing()), [], 0.02)
            made.turn(dict.fromkeys((*read, *write), 1), time.monotonic())

    thread = threading.Thread(target=turn)
    thread.start()
    yield made
    stop.set()
    thread.join()
    made.close()


def talk(server: PageServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.address.port), timeout=10) as end:
        end.sendall(request)
        answer = b""
        while data := end.recv(1 << 16):
            answer += data
        return answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /healthz HTTP/1.1", b"200 OK"),
        (b"HEAD /healthz HTTP/1.1", b"200 OK"),
        (b"GET /healthz?x=1 HTTP/1.0", b"200 OK"),
        (b"GET / HTTP/1.1", b"404 Not Found"),
        (b"POST /healthz HTTP/1.1", b"405 Method Not Allowed"),
        (b"hello", b"400 Bad Request"),
        (b"GET /\xff HTTP/1.1", b"404 Not Found"),
    ],
)
def test_answers(server: PageServer, request_line: bytes, status: bytes) -> None:
    answer = talk(server, request_line + b"\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert answer.endswith(b"ok\n") == request_line.startswith(b"GET /healthz")


@pytest.mark.parametrize(
    ("request_line", "more", "status"),
    [
        (b"POST /say", b"Content-Length: 5\r\n\r\nhello", b"200 OK"),
        (b"POST /say", b"content-length:5 \r\n\r\nhello and more", b"200 OK"),
        (b"POST /say", b"Content-Length: 3\r\n\r\nhello", b"400 Bad Request"),
        (b"POST /say", b"Content-Length: 0\r\n\r\n", b"400 Bad Request"),
        (b"POST /say", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"411 Length"),
        (b"POST /say", b"X: y\r\n\r\nContent-Length: 5\r\n\r\nhello", b"411 Length"),
        (b"POST /say", b"Content-Length: -5\r\n\r\nhello", b"411 Length"),
        (b"POST /say", b"Content-Length: %d\r\n\r\n" % (CONTENT + 1), b"413 Content"),
        (b"POST /say", b"Content-Length: 999999999\r\n\r\n", b"413 Content"),
        (b"GET /say", b"\r\n", b"405 Method Not Allowed"),
        (b"PUT /say", b"Content-Length: 5\r\n\r\nhello", b"405 Method Not Allowed"),
        (b"POST /healthz", b"Content-Length: 5\r\n\r\nhello", b"405 Method Not Allowed"),
        (b"POST /else", b"Content-Length: 5\r\n\r\nhello", b"404 Not Found"),
    ],
)
def test_what_is_posted(
    server: PageServer, request_line: bytes, more: bytes, status: bytes
) -> None:
    answer = talk(server, request_line + b" HTTP/1.1\r\nHost: x\r\n" + more)
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_what_is_posted_may_come_in_pieces(server: PageServer) -> None:
    with socket.create_connection(("127.0.0.1", server.address.port), timeout=10) as end:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"POST /say HTTP/1.1\r\nContent-", b"Length: 5\r\n\r\nhe", b"llo"):
            end.sendall(piece)
            time.sleep(0.03)  # so that it arrives by itself
        assert end.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")


def test_a_long_page_arrives_whole(server: PageServer) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.address.port}/long", timeout=20) as page:
        assert len(page.read()) == 9_000_000


def test_a_long_request_is_refused(server: PageServer) -> None:
    assert talk(server, b"GET /healthz HTTP/1.1\r\n" + b"a" * 5000).startswith(b"HTTP/1.1 400")


def test_silent_connections_keep_nobody_out(server: PageServer) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", server.address.port)) for _ in range(3 * CONNECTIONS)
    ]
    try:
        assert talk(server, b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"ok\n")
    finally:
        for end in silent:
            end.close()


def test_a_connection_that_lasts_is_ended(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "PATIENCE", 0.1)
    assert talk(server, b"GET ") == b""


def test_a_taken_port_is_said_with_a_way_out(server: PageServer) -> None:
    with pytest.raises(KvsyncError, match="--metrics-address"):
        PageServer(server.address, {})


def reaches(made: PageServer, host: str) -> bool:
    with socket.create_connection((host, made.address.port), timeout=10):
        return True


def test_every_address_is_that_of_ipv4_and_of_ipv6() -> None:
    made = PageServer(Address("::", 0), {})
    try:
        assert reaches(made, "127.0.0.1")
        assert not socket.has_dualstack_ipv6() or reaches(made, "::1")
    finally:
        made.close()


def test_without_ipv6_every_address_is_that_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.create_server

    def without_ipv6(address: tuple[str, int], **options: Any) -> socket.socket:
        if options.get("family") is socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(address, **options)

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    made = PageServer(Address("::", 0), {})
    try:
        assert reaches(made, "127.0.0.1")
    finally:
        made.close()
