"""A log in pieces: each line once, from where the last piece ended, and what is missing is told."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from adapters.kube.conftest import Connect
from adapters.kube.fault_server import FaultServer, refuse, say_text
from kvsync.adapters.kube.pod_log import PIECE, Piece, cut, read_piece
from kvsync.model.errors import Forbidden, ServerError

NANO = 1_000_000_000


class Log:
    """A container's log as the kubelet serves it, from a whole second on and cut at a limit."""

    def __init__(self, *lines: tuple[int, str]) -> None:
        self.lines = list(lines)
        self.asked: list[str] = []

    async def pod_log_from(
        self, namespace: str, pod: str, container: str, since: str, limit_bytes: int
    ) -> bytes:
        self.asked.append(since)
        start = datetime.fromisoformat(since).timestamp() * NANO if since else 0
        text = "".join(f"{stamp(at)} {line}\n" for at, line in self.lines if at >= start)
        return text.encode()[:limit_bytes]


def stamp(at: int, offset: str = "Z") -> str:
    whole = datetime.fromtimestamp(at // NANO, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = f"{at % NANO:09}".rstrip("0")  # as Go's RFC3339Nano leaves zeros out
    return f"{whole}.{rest}{offset}" if rest else f"{whole}{offset}"


async def read_all(log: Log, limit: int = PIECE, last: int = 0) -> tuple[list[str], bool, int]:
    """All that can be read now; whether anything was lost; where it ended."""
    lines, lost = [], False
    for _ in range(1_000):
        piece = await read_piece(log, "ns", "p", "c", last=last, limit=limit)
        lines += [line for _, line in piece.lines]
        lost, last = lost or piece.lost, piece.last
        if not piece.more:
            return lines, lost, last
    raise AssertionError("it has no end")


async def test_each_line_is_read_once() -> None:
    log = Log((5 * NANO, "a"), (5 * NANO + 1, "b"), (7 * NANO, "c"))
    lines, lost, last = await read_all(log)
    assert (lines, lost, last) == (["a", "b", "c"], False, 7 * NANO)
    assert await read_all(log, last=last) == ([], False, last)
    log.lines += [(7 * NANO + 5, "d"), (9 * NANO, "e")]
    assert (await read_all(log, last=last))[0] == ["d", "e"]
    assert log.asked == ["", "1970-01-01T00:00:07Z", "1970-01-01T00:00:07Z"]


async def test_a_line_that_is_still_written_is_read_when_it_is_whole() -> None:
    whole = f"{stamp(5 * NANO)} a\n{stamp(6 * NANO)} b\n".encode()
    assert cut(whole[:-1], 0, full=False) == Piece(((5.0, "a"),), 5 * NANO, False, False)


async def test_where_the_last_line_does_not_come_again_the_log_was_rotated() -> None:
    log = Log((5 * NANO, "a"))
    _, _, last = await read_all(log)
    log.lines = [(5 * NANO + 9, "later")]
    assert await read_all(log, last=last) == (["later"], True, 5 * NANO + 9)
    log.lines = []
    assert (await read_all(log, last=last))[1]


async def test_more_lines_in_one_second_than_a_piece_holds_are_lost_and_it_goes_on() -> None:
    many = [(5 * NANO + number, f"line {number}") for number in range(100)]
    log = Log(*many, (9 * NANO, "behind"))
    lines, lost, _ = await read_all(log, limit=400)
    assert lost
    assert lines[:3] == ["line 0", "line 1", "line 2"]
    assert lines[-1] == "behind"


async def test_a_line_without_an_end_is_passed_over() -> None:
    log = Log((5 * NANO, "x" * 5_000), (9 * NANO, "behind"))
    lines, lost, _ = await read_all(log, limit=400)
    assert (lines, lost) == (["behind"], True)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-26T10:00:00.5Z", 1_795_687_200.5),
        ("2026-11-26T12:00:00.000000001+02:00", 1_795_687_200.000000001),
        ("2026-11-26T10:00:00Z", 1_795_687_200),
        ("2026-11-26T10:00:00.123456+00:00", 1_795_687_200.123456),
    ],
)
def test_times_are_read_as_runtimes_write_them(text: str, at: float) -> None:
    assert cut(f"{text} line\n".encode(), 0, full=False).lines == ((at, "line"),)


@pytest.mark.parametrize(
    "line",
    [
        b"no time",
        b"2026-13-99T99:99:99Z x",
        b"9999-12-31T23:59:59-23:59 x",
        b"0001-01-01T00:00:00Z x",
    ],
)
def test_a_line_without_a_time_is_none(line: bytes) -> None:
    piece = cut(line + b"\n2026-11-26T10:00:00Z ok\n", 0, full=False)
    assert [text for _, text in piece.lines] == ["ok"]


TIMES = st.lists(st.integers(1, 20 * NANO), max_size=30, unique=True).map(sorted)


@given(TIMES, st.lists(st.integers(0, 30), max_size=3), st.integers(60, 400))
def test_whenever_it_is_read_no_line_comes_twice_and_none_is_missing_unless_told(
    times: list[int], moments: list[int], limit: int
) -> None:
    whole = [(at, f"line {number}") for number, at in enumerate(times)]
    log, lost, last = Log(), False, 0
    seen: list[str] = []
    for moment in (*sorted(moments), len(whole)):
        log.lines = whole[:moment]
        lines, gap, last = asyncio.run(read_all(log, limit, last))
        seen, lost = seen + lines, lost or (gap and last > 0)
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen, key=lambda line: int(line.split()[1]))
    assert lost or seen == [line for _, line in whole]


@given(st.binary(max_size=300), st.integers(0, 2**62), st.booleans())
def test_any_bytes_are_cut(said: bytes, last: int, full: bool) -> None:
    piece = cut(said, last, full=full)
    assert piece.last >= last
    assert all(at * NANO >= last or at * NANO == pytest.approx(last) for at, _ in piece.lines)
    assert not (full and piece.last == last), "a full piece always leads on"


async def test_what_is_asked_of_the_server(connect: Connect) -> None:
    said = f"{stamp(5 * NANO)} a\n"
    async with FaultServer(say_text(said), say_text(said), refuse(403, "Forbidden")) as server:
        kube = await connect(server.url)
        piece = await read_piece(kube, "ns", "p", "c")
        await read_piece(kube, "ns", "p", "c", last=piece.last, limit=5_000)
        with pytest.raises(Forbidden):
            await read_piece(kube, "ns", "p", "c")
        common: dict[str, Any] = {"container": "c", "timestamps": "true"}
        assert [one.query for one in server.seen[:2]] == [
            {**common, "limitBytes": str(PIECE)},
            {**common, "limitBytes": "5000", "sinceTime": "1970-01-01T00:00:05Z"},
        ]
        assert server.seen[0].path.startswith("/api/v1/namespaces/ns/pods/p/log?")


async def test_a_server_that_sends_without_end_is_cut_off(connect: Connect) -> None:
    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(f"{stamp(5 * NANO)} {'x' * 1000}\n".encode() * 100)

    async with FaultServer(pour) as server:
        kube = await connect(server.url)
        assert len(await kube.pod_log_from("ns", "p", "c", "", 100_000)) == 100_000


async def test_a_refused_look_is_not_repeated_here(connect: Connect) -> None:
    async with FaultServer(*[refuse(500, "InternalError")] * 2) as server:
        kube = await connect(server.url)
        with pytest.raises(ServerError):
            await read_piece(kube, "ns", "p", "c")
        assert len(server.seen) == 1
