"""The HTTP server on a real socket: it answers three pages, and nobody can keep others out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError
from kvsync.shell import server as servers
from kvsync.shell.server import CONNECTIONS, HEADER, PATIENCE, HttpServer, Page, health_page
from shell.http_peer import DEADLINE, get, send

ANYWHERE = Address("127.0.0.1", 0)


def broken() -> Page:
    raise ValueError("a bug")


@asynccontextmanager
async def serving() -> AsyncIterator[Address]:
    server = HttpServer(
        {
            "/metrics": lambda: Page(b"x 1\n", content_type="text/plain; version=0.0.4"),
            "/healthz": lambda: health_page(""),
            "/readyz": lambda: health_page("Not listed yet: pods."),
            "/broken": broken,
        }
    )
    try:
        yield await server.start(ANYWHERE)
    finally:
        await server.close()


async def test_each_page_is_answered_and_the_connection_closed() -> None:
    async with serving() as address:
        metrics = await get(address, "/metrics")
        assert (metrics.status, metrics.body) == (200, b"x 1\n")
        assert "Content-Type: text/plain; version=0.0.4" in metrics.headers
        assert "Connection: close" in metrics.headers
        assert (await get(address, "/healthz")).status == 200
        ready = await get(address, "/readyz")
        assert (ready.status, ready.body) == (503, b"Not listed yet: pods.\n")


async def test_a_head_request_gets_no_body_and_a_query_does_not_matter() -> None:
    async with serving() as address:
        assert (await get(address, "/metrics", "HEAD")).body == b""
        assert (await get(address, "/healthz?verbose")).status == 200


async def test_other_paths_and_methods_are_refused_by_name() -> None:
    async with serving() as address:
        other = await get(address, "/")
        assert other.status == 404
        assert b"/metrics" in other.body
        posted = await get(address, "/metrics", "POST", "Content-Length: 3\r\n")
        assert posted.status == 405


async def test_a_bug_in_one_page_is_logged_and_does_not_end_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as address:
        assert (await get(address, "/broken")).status == 500
        assert (await get(address, "/healthz")).status == 200
    assert "/broken failed" in caplog.text


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * (4 * HEADER) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"b" * (4 * HEADER) + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
    ],
)
async def test_what_is_no_small_request_is_refused_and_fills_no_log(
    request_: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 0.5)
    with caplog.at_level(logging.INFO):
        async with serving() as address:
            with suppress(ConnectionResetError):
                assert b" 200 " not in (await send(address, request_)).partition(b"\r\n")[0]
            assert (await get(address, "/healthz")).status == 200
    assert caplog.text == ""


async def test_a_connection_lasts_no_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 0.3)
    async with serving() as address:
        for slow in (b"", b"GET /healthz HTTP/1.1\r\nHost:"):
            with suppress(ConnectionResetError):
                assert await send(address, slow) == b""


async def test_who_reads_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 0.3)
    size = 64 << 20
    server = HttpServer({"/metrics": lambda: Page(b"x" * size)})
    address = await server.start(ANYWHERE)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readline()
    # The time is what is tested: the reader stops reading, by its own bound on what it holds.
    await asyncio.sleep(1.0)
    got = 0
    async with asyncio.timeout(DEADLINE):
        with suppress(ConnectionResetError):
            while data := await reader.read(1 << 20):
                got += len(data)
    assert got < size
    writer.close()
    await server.close()


async def test_who_holds_connections_open_cannot_keep_others_out() -> None:
    async with serving() as address:
        held = [
            await asyncio.open_connection(address.host, address.port)
            for _ in range(4 * CONNECTIONS)
        ]
        assert (await get(address, "/healthz")).status == 200
        closed = [asyncio.create_task(reader.read()) for reader, _ in held[: 3 * CONNECTIONS]]
        done, left = await asyncio.wait(closed, timeout=PATIENCE / 2)
        assert not left, "the oldest gave way"
        for task in done:
            assert isinstance(task.exception(), ConnectionResetError) or task.result() == b""
        for _, writer in held:
            writer.close()


async def test_a_taken_port_is_an_error_with_a_way_out() -> None:
    async with serving() as address:
        with pytest.raises(KvsyncError, match=r"in use.*--metrics-address"):
            await HttpServer({}).start(address)


async def test_closing_ends_what_is_open() -> None:
    server = HttpServer({})
    address = await server.start(ANYWHERE)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    # The server knows of it once it has accepted.
    async with asyncio.timeout(DEADLINE):
        await get(address, "/")
        await server.close()
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await get(address, "/")


async def test_closing_what_never_listened_does_nothing() -> None:
    await HttpServer({}).close()
