"""Each row of the detection matrix on real sockets, through worker process, judge and probes: the
verdict, and how soon it comes. Rows of pods are in tests/e2e/test_stripped_pods.py; those of an engine's own
metrics in tests/shell/test_traffic_engine.py."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest
import zmq

from adapters.probe.publishers import batch, until
from kvsync.adapters.probe.pool import Pool
from kvsync.model.source import SourceKey, SourceReason, Target, Verdict
from kvsync.shell.probe_worker import command
from kvsync.shell.probes import Probes
from shell import matrix_peers as peers
from shell.matrix_peers import Peer

R = SourceReason
KEY = SourceKey("ns", "pod", "uid")
OBJECT = ("ns", "kv")
INTERVAL = 1.0
SLACK = 8.0
"""Seconds for a machine that does other things too."""

Row = tuple[str, Callable[[], AbstractContextManager[Peer]], SourceReason, float]

BANNERS = {
    "http": b"HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
    "nothing": b"",
}
OTHER_TYPES = (zmq.ROUTER, zmq.DEALER, zmq.PULL, zmq.PUSH, zmq.SUB, zmq.REP, zmq.REQ)

ROWS: tuple[Row, ...] = (
    ("closed", peers.closed, R.PORT_CLOSED, 5),
    ("dropping", peers.dropping, R.UNREACHABLE, 5),
    *((f"banner of {k}", partial(peers.saying, v), R.NOT_ZMQ, 5) for k, v in BANNERS.items()),
    *(
        (zmq.SocketType(t).name, partial(peers.of_type, t), R.WRONG_SOCKET_TYPE, 5)
        for t in OTHER_TYPES
    ),
    ("CURVE", peers.with_curve, R.AUTH_REQUIRED, 5),
    ("PLAIN", peers.with_plain, R.AUTH_REQUIRED, 5),
    ("idle PUB", partial(peers.of_type, zmq.PUB), R.IDLE, 1),
    ("idle XPUB", partial(peers.of_type, zmq.XPUB), R.IDLE, 1),
    ("idle and proven", peers.with_replay, R.IDLE, 1),
    ("publishing", peers.publishing, R.PUBLISHING, 1),
    ("publishing XPUB", partial(peers.publishing, kind=zmq.XPUB), R.PUBLISHING, 1),
    (
        "restarted",
        partial(peers.publishing, sequence=lambda n: 1000 + n if n < 100 else n - 100),
        R.ENGINE_RESTARTED,
        2 + 2 * INTERVAL,
    ),
    (
        "another topic",
        partial(peers.publishing, topic="other", expected="kv"),
        R.WRONG_TOPIC,
        1,
    ),
    ("no events", partial(peers.publishing, lambda n: b"\xc1garbage"), R.UNDECODABLE, 1),
    (
        "no events any more",
        partial(peers.publishing, lambda n: batch() if n < 100 else b"\xc1"),
        R.UNDECODABLE,
        2 + 2 * INTERVAL + 5,
    ),
    ("gaps", partial(peers.publishing, sequence=lambda n: n + n // 3), R.SEQUENCE_GAP, 6),
    ("no replay socket", peers.without_replay, R.REPLAY_MISSING, 6),
    ("killed", partial(peers.struck_by, signal.SIGKILL), R.PORT_CLOSED, 1 + 1),
    ("frozen", partial(peers.struck_by, signal.SIGSTOP), R.STALE, 1 + 2 * INTERVAL + 6),
    ("lost", peers.lost_behind, R.STALE, 1 + 5),
)


async def verdict_within(peer: Peer, reason: SourceReason, seconds: float) -> Verdict:
    """The settled verdict of this reason, as the probes tell it to whoever asked."""
    told: list[Verdict] = []

    def on_verdict(_: tuple[str, str]) -> None:
        told.append(probes.verdicts(OBJECT)[KEY])

    def on_news(key: SourceKey) -> None:
        probes.heard(key)

    pool = Pool(command(128 << 20), 1, on_news)
    probes = Probes(pool, on_verdict, time.monotonic)
    running = asyncio.create_task(probes.run())
    target = Target(
        KEY,
        "127.0.0.1",
        peer.port,
        peer.replay_port,
        peer.topic,
        active_check=peer.replay_port > 0,
        interval=INTERVAL,
    )
    try:
        probes.assign(OBJECT, {KEY: target})
        # The process starts once, not for each source.
        await until(lambda: pool.observation(KEY) is not None)
        spent = await until(
            lambda: told and told[-1].reason is reason and told[-1].settled, peer.act
        )
        assert spent < seconds + SLACK
        return told[-1]
    finally:
        running.cancel()
        await pool.close()


@pytest.mark.parametrize(("_name", "make", "reason", "seconds"), ROWS, ids=[r[0] for r in ROWS])
async def test_a_row(
    _name: str,
    make: Callable[[], AbstractContextManager[Peer]],
    reason: SourceReason,
    seconds: float,
) -> None:
    with make() as peer:
        verdict = await verdict_within(peer, reason, seconds)
    assert verdict.message
    assert bool(verdict.remedy) == (reason not in (R.IDLE, R.PUBLISHING, R.ENGINE_RESTARTED))


def test_every_reason_that_sockets_can_show_has_a_row() -> None:
    elsewhere = {
        *(R.CONNECTING, R.PROBE_RESTARTED),  # moments, in tests/adapters/probe/test_pool.py
        *(R.SILENT_DESPITE_TRAFFIC, R.PREFIX_CACHING_OFF),  # the engine's own metrics
        *(R.NOT_INJECTED, R.NOT_RESTARTED),  # of pods
        *(R.RELAY_DOWN, R.RELAY_UPSTREAM_SILENT, R.RELAY_LAGGING),  # a relay's own metrics
    }
    assert {row[2] for row in ROWS} == set(R) - elsewhere
