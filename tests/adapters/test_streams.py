"""Lines in, lines out, and the bounds of both: lines, outlet, memory, names."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.lines import read_lines
from kvsync.adapters.memory import MemoryGuard, resident
from kvsync.adapters.names import resolve
from kvsync.adapters.outlet import Outlet
from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")), max_size=8))
def test_every_line_is_counted_and_only_long_ones_are_dropped(texts: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(text + b"\n" for text in texts))
    lines = list(read_lines(stream, limit=8))
    assert [line.number for line in lines] == list(range(1, len(texts) + 1))
    for line, text in zip(lines, texts, strict=True):
        assert line.text == (text + b"\n" if len(text) <= 8 else None)


def test_a_reader_that_does_not_read_blocks_nothing_and_loses_nothing() -> None:
    read_end, write_end = os.pipe()
    outlet = Outlet(write_end)
    sent = [bytes([n % 251]) * 5000 for n in range(100)]
    for piece in sent:
        outlet.put(piece)
        outlet.pump()
    assert 0 < outlet.backlog < 500_000
    got = bytearray()
    while outlet.backlog:
        got += os.read(read_end, 1 << 16)
        outlet.pump()
    os.close(write_end)
    while rest := os.read(read_end, 1 << 16):
        got += rest
    os.close(read_end)
    assert bytes(got) == b"".join(sent)


def test_a_reader_that_is_gone_is_an_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    outlet = Outlet(write_end)
    outlet.put(b"x")
    with pytest.raises(BrokenPipeError):
        outlet.pump()
    os.close(write_end)


def test_growth_is_noticed() -> None:
    assert resident() > 1 << 20
    MemoryGuard().check()
    guard = MemoryGuard(growth=8 << 20)
    held = bytearray(os.urandom(1 << 20) * 32)
    with pytest.raises(KvsyncError, match="find out what listens there"):
        guard.check()
    assert held


async def test_an_address_stays_and_an_unknown_name_is_said() -> None:
    assert await resolve(Address("127.0.0.1", 1)) == "127.0.0.1"
    with pytest.raises(KvsyncError, match=r"the host nowhere\.invalid is not known"):
        await resolve(Address("nowhere.invalid", 1))
