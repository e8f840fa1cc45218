"""Asking relays over HTTP: what ours serves is read whole, and pods that lie, stall or flood are bounded."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from kvsync.adapters.engine_http.exposition import Sieve, samples_of
from kvsync.adapters.relay_http import MOST_BYTES, NAMES, RelayHTTP, metrics_of
from kvsync.core.relay.relay import Relay, Terms
from kvsync.core.relay.residency import Bounds
from kvsync.model.relaying import RelayMetrics, RelayRank
from kvsync.relay.exposition import metrics_text

HOST = "127.0.0.1"


@pytest.fixture
async def http() -> AsyncIterator[RelayHTTP]:
    door = RelayHTTP(patience=1.0)
    yield door
    await door.close()


def read(text: bytes) -> RelayMetrics:
    sieve = Sieve(NAMES)
    sieve.feed(text)
    sieve.finish()
    return metrics_of(samples_of(sieve.lines))


def test_what_a_relay_serves_is_read_whole() -> None:
    relay = Relay(Terms(ranks=2, bounds=Bounds(blocks=5000)), 0.0)
    first = relay.counts.ranks[0]
    first.batches, first.gaps, first.unreadable, first.forgotten = 7, 3, 2, 1
    relay.residency.dropped, relay.counts.lost = 11, 12
    relay.announcer.limit_to(640.0)
    found = read(metrics_text(relay, [True, False], 3.7))
    assert abs(found.started - time.time()) < 600
    assert found == RelayMetrics(
        ranks={0: RelayRank(True, 7, 3, 2, 1, 0), 1: RelayRank()},
        started=found.started,
        lag=3,
        dropped=11,
        lost=12,
        limit=5000,
        budget=640.0,
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"kvsync_relay_held 5\n",
        b'kvsync_relay_held{rank="64"} 5\n',
        b'kvsync_relay_held{rank="-1"} 5\n',
        'kvsync_relay_held{rank="²"} 5\n'.encode(),
        b'kvsync_relay_held{rank="0"} NaN\n',
        b'kvsync_relay_held{rank="0"} -1\n',
        b'kvsync_relay_held_more{rank="0"} 5\n',
        b'vllm:num_requests_running{rank="0"} 5\n',
    ],
)
def test_what_is_no_rank_of_a_relay_is_left_out(text: bytes) -> None:
    assert read(text) == RelayMetrics()


def test_a_clock_that_is_behind_is_no_lag() -> None:
    assert read(b"kvsync_relay_lag_seconds -0.5\n").lag == 0


async def serving(*routes: web.RouteDef) -> tuple[web.AppRunner, int]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    port: int = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    return runner, port


GOOD = b'kvsync_relay_engine_connected{rank="0"} 1\n'


@pytest.mark.parametrize("kind", ["flood", "stall", "other", "error", "redirect"])
async def test_a_pod_that_is_no_relay_is_told_nothing_of_and_given_up(
    http: RelayHTTP, kind: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if kind == "stall":
            await asyncio.sleep(30)
        if kind == "redirect":
            raise web.HTTPFound("/good")
        if kind == "flood":
            return web.Response(body=GOOD + b"#" * MOST_BYTES)
        if kind == "error":
            return web.Response(status=500, body=GOOD)
        return web.Response(body=b"up 1\n")

    async def good(_: web.Request) -> web.Response:
        return web.Response(body=GOOD)

    runner, port = await serving(web.get("/metrics", answer), web.get("/good", good))
    try:
        async with asyncio.timeout(5):
            assert await http.metrics(HOST, port) is None
    finally:
        await runner.cleanup()


async def test_nobody_there(http: RelayHTTP) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        assert await http.metrics(HOST, port) is None
        assert not await http.tell_budget(HOST, port, 100.0)


async def test_a_budget_is_told_as_a_number_and_taken_or_not(http: RelayHTTP) -> None:
    heard: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(await request.read())
        return web.Response(status=200 if len(heard) == 1 else 400)

    runner, port = await serving(web.post("/budget", take))
    try:
        assert await http.tell_budget(HOST, port, 640.0)
        assert not await http.tell_budget(HOST, port, 640.0)
    finally:
        await runner.cleanup()
    assert heard == [b"640", b"640"]
