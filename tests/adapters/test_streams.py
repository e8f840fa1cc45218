"""Lines in and bytes out: bounded, at once, and never waiting for the other side."""

import asyncio
import io
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.lines import Line, read_lines
from kvsync.adapters.memory import MemoryGuard, resident
from kvsync.adapters.names import resolve
from kvsync.adapters.outlet import Outlet
from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError

LIMIT = 4


def lines(data: bytes) -> list[bytes | None]:
    read = list(read_lines(io.BytesIO(data), LIMIT))
    assert [line.number for line in read] == list(range(1, len(read) + 1))
    return [line.text for line in read]


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b"", []),
        (b"1234\n", [b"1234\n"]),
        (b"1234", [b"1234"]),
        (b"12345\n", [None]),
        (b"12345", [None]),
        (b"\n\n1", [b"\n", b"\n", b"1"]),
        (b"a\n" + b"x" * 200_000 + b"\nb\n", [b"a\n", None, b"b\n"]),
    ],
)
def test_a_line_is_read_whole_or_passed_over(data: bytes, read: list[bytes | None]) -> None:
    assert lines(data) == read


@given(st.lists(st.binary(max_size=9).filter(lambda text: b"\n" not in text)))
def test_every_line_counts_once(texts: list[bytes]) -> None:
    expected = [text + b"\n" if len(text) <= LIMIT else None for text in texts]
    assert lines(b"".join(text + b"\n" for text in texts)) == expected


def test_a_line_of_a_live_pipe_is_there_before_the_next() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        read = read_lines(stream, 100)
        os.write(writer, b"one\ntw")
        assert next(read) == Line(1, b"one\n")
        os.write(writer, b"o\n")
        assert next(read) == Line(2, b"two\n")
        os.close(writer)
        assert next(read, None) is None


def test_what_is_not_read_is_kept_and_nobody_waits() -> None:
    reader, writer = os.pipe()
    outlet, sent = Outlet(writer), b"0123456789" * 100_000
    began = time.monotonic()
    outlet.put(sent[:5])
    outlet.put(sent[5:])
    outlet.pump()
    outlet.pump()
    assert time.monotonic() - began < 1
    assert 0 < outlet.backlog < len(sent)
    received = b""
    while outlet.backlog:
        received += os.read(reader, 1 << 16)
        outlet.pump()
    os.close(writer)
    while more := os.read(reader, 1 << 16):
        received += more
    os.close(reader)
    assert received == sent


def test_a_pipe_that_somebody_made_non_blocking() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    outlet = Outlet(writer)
    outlet.put(bytes(1 << 20))
    outlet.pump()
    assert 0 < outlet.backlog < 1 << 20
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        outlet.pump()
    os.close(writer)


def test_growth_beyond_the_bound_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    start = resident()
    assert start > 1 << 20
    guard = MemoryGuard(growth=8 << 20)
    guard.check()
    monkeypatch.setattr("kvsync.adapters.memory.resident", lambda: start + (99 << 20))
    with pytest.raises(KvsyncError, match="find out what listens there"):
        guard.check()


async def test_a_name_of_two_addresses_is_the_one_that_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("127.0.0.2", port)), (0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    assert await resolve(Address("twice", port)) == "127.0.0.1"
    server.close()
    await server.wait_closed()
    assert await resolve(Address("twice", port)) == "127.0.0.2"


async def test_an_unknown_name_is_told() -> None:
    with pytest.raises(KvsyncError, match=r"nowhere\.invalid is not known"):
        await resolve(Address("nowhere.invalid", 1))
