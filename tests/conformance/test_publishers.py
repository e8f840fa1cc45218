"""Where each release's own publisher listens, and that the operator's subscriber verifies its events."""

import asyncio
import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conformance.release import Release
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.core.judge import Policy, judge
from kvsync.model.source import SourceKey, SourceReason, Target
from kvsync.shell.readers import READERS
from testbed.waiting import wait_for

pytestmark = pytest.mark.conformance

BEFORE_IMPLIED_PUBLISHER = ("0.9.0", "0.11.0")


def free_ports() -> tuple[int, int]:
    """Two free ports, each with a free one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 2))
            except (OSError, OverflowError):
                continue
        return port, port + 2


def listens(port: int) -> bool:
    """Whether something on this machine's loopback accepts connections on a port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def publishing(release: Release, **config: Any) -> Iterator[str]:
    """The release's publisher for this configuration; yields its class, or what it raised."""
    rank = config.pop("rank", 0)
    answer = release.publish({"enable_kv_cache_events": True, **config}, rank)
    try:
        yield answer.get("publisher") or answer["error"]
    finally:
        if "publisher" in answer:
            release.stop_publishing()


def test_an_asterisk_binds_both_ports(release: Release) -> None:
    port, replay = free_ports()
    endpoints = {"endpoint": f"tcp://*:{port}", "replay_endpoint": f"tcp://*:{replay}"}
    with publishing(release, publisher="zmq", **endpoints) as kind:
        assert kind == "ZmqEventPublisher"
        wait_for(lambda: listens(port) and listens(replay), 5, what="both ports")
    wait_for(lambda: not listens(port), 5, what="the port is free again")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_address_connects_and_nothing_listens(release: Release, host: str) -> None:
    port, _ = free_ports()
    with publishing(release, publisher="zmq", endpoint=f"tcp://{host}:{port}") as kind:
        assert kind == "ZmqEventPublisher"
        time.sleep(0.3)  # It has had the time that binding takes above, and more.
        assert not listens(port)


def test_no_replay_endpoint_no_replay_port(release: Release) -> None:
    port, replay = free_ports()
    with publishing(release, publisher="zmq", endpoint=f"tcp://*:{port}"):
        wait_for(lambda: listens(port), 5, what="the port")
        assert not listens(replay)


def test_without_a_publisher_by_name_old_releases_fail(release: Release) -> None:
    port, _ = free_ports()
    with publishing(release, endpoint=f"tcp://*:{port}") as kind:
        if release.version in BEFORE_IMPLIED_PUBLISHER:
            assert kind.startswith("TypeError")
        else:
            assert kind == "ZmqEventPublisher"


def test_the_publisher_null_opens_nothing(release: Release) -> None:
    if release.version in BEFORE_IMPLIED_PUBLISHER:
        pytest.skip("raises TypeError: the test above")
    port, _ = free_ports()
    with publishing(release, publisher="null", endpoint=f"tcp://*:{port}") as kind:
        assert kind == "NullEventPublisher"
        assert not listens(port)


def test_a_data_parallel_rank_moves_both_ports(release: Release) -> None:
    if release.version == "0.9.0":
        pytest.skip("has no ranks")
    port, replay = free_ports()
    endpoints = {"endpoint": f"tcp://*:{port}", "replay_endpoint": f"tcp://*:{replay}"}
    with publishing(release, rank=1, publisher="zmq", **endpoints):
        wait_for(lambda: listens(port + 1) and listens(replay + 1), 5, what="the rank's ports")
        assert not listens(port)
        assert not listens(replay)


@pytest.mark.parametrize("reason", [SourceReason.IDLE, SourceReason.PUBLISHING])
async def test_the_operator_verifies_it(release: Release, reason: SourceReason) -> None:
    """Idle by the replay socket's answer, publishing by batches: both in this release's framing."""
    port, replay = free_ports()
    endpoints = {"endpoint": f"tcp://*:{port}", "replay_endpoint": f"tcp://*:{replay}"}
    key = SourceKey("ns", "pod", "uid")
    target = Target(key, "127.0.0.1", port, replay, "kv@m", active_check=True)
    subscriber = Subscriber(READERS)
    with publishing(release, publisher="zmq", topic="kv@m", **endpoints):
        subscriber.set_targets({key: target})
        for number in itertools.count(1):
            seen = subscriber.observation(key)
            verdict = judge(target, seen, time.monotonic(), Policy(grace=0.2, patience=1.5))
            if verdict.reason is reason and verdict.settled:
                break
            assert number < 500, verdict
            if reason is SourceReason.PUBLISHING:
                await asyncio.to_thread(release.emit, number)
            await asyncio.sleep(0.02)
    await subscriber.close()
    assert verdict.verified
