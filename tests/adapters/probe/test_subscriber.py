"""The subscriber against real sockets: each row of the matrix that can be made on loopback."""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import zmq

from adapters.probe.publishers import until
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.core.judge import Policy, judge
from kvsync.model.source import Failure, SourceKey, SourceReason, Target, Verdict
from kvsync.shell.readers import READERS
from testbed.engine.launch import EngineProcess, free_ports

KEY = SourceKey("ns", "pod", "uid")
POLICY = Policy(grace=0.2, patience=1.5)
DEADLINE = 8.0


def target(port: int, replay: int = 0, topic: str = "") -> Target:
    return Target(KEY, "127.0.0.1", port, replay, topic, active_check=replay > 0)


async def verdict_of(wanted: Target, reason: SourceReason) -> Verdict:
    """Watch until the verdict is this one; the failure names the last one."""
    subscriber = Subscriber(READERS)
    try:
        subscriber.set_targets({KEY: wanted})
        end = time.monotonic() + DEADLINE
        while True:
            now = time.monotonic()
            verdict = judge(wanted, subscriber.observation(KEY), now, POLICY)
            if verdict.reason is reason and verdict.settled:
                return verdict
            assert now < end, f"still {verdict}"
            await asyncio.sleep(0.02)
    finally:
        await subscriber.close()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


def engine(version: str, port: int, *more: str) -> EngineProcess:
    config = (
        '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq",'
        f'"endpoint":"tcp://*:{port}","replay_endpoint":"tcp://*:{port + 1}"}}'
    )
    return EngineProcess((config, *more), version=version)


def free_pair() -> int:
    return int(free_ports(2)[0])


@pytest.mark.parametrize("version", ["0.16.0", "0.32.0"])
async def test_an_idle_engine_is_verified_by_its_replay_port(version: str) -> None:
    port = free_pair()
    with engine(version, port) as process:
        process.wait_ready()
        verdict = await verdict_of(target(port, port + 1), SourceReason.IDLE)
    assert verdict.verified


@pytest.mark.parametrize("version", ["0.9.0", "0.16.0", "0.32.0"])
async def test_an_engine_with_traffic_is_publishing(version: str) -> None:
    port = free_pair()
    with engine(version, port) as process:
        process.wait_ready()
        watching = asyncio.create_task(verdict_of(target(port, port + 1), SourceReason.PUBLISHING))
        number = 0
        while not watching.done():
            number += 1
            await asyncio.to_thread(process.complete, f"prompt {number} " + "word " * 100, 1)
        assert (await watching).verified


async def test_a_closed_port() -> None:
    verdict = await verdict_of(target(free_pair()), SourceReason.PORT_CLOSED)
    assert not verdict.verified
    assert verdict.remedy


async def test_a_port_that_opens_later_recovers(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    port = free_pair()
    wanted = target(port)
    subscriber = Subscriber(READERS)
    try:
        subscriber.set_targets({KEY: wanted})
        await asyncio.sleep(0.3)
        late = context.socket(zmq.PUB)
        late.bind(f"tcp://127.0.0.1:{port}")
        end = time.monotonic() + DEADLINE
        while True:
            verdict = judge(wanted, subscriber.observation(KEY), time.monotonic(), POLICY)
            if verdict.reason is SourceReason.IDLE:
                break
            assert time.monotonic() < end, verdict
            await asyncio.sleep(0.02)
    finally:
        await subscriber.close()
    assert not verdict.verified, "silent, and nothing was asked: unproven"


def banner(said: bytes) -> int:
    """A server that says something and keeps the connection open."""
    server = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            client, _ = server.accept()
            client.sendall(said)
            kept.append(client)

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.9\r\n"])
async def test_a_banner_server_is_not_zmq(said: bytes) -> None:
    await verdict_of(target(banner(said)), SourceReason.NOT_ZMQ)


async def test_an_open_port_that_says_nothing_is_not_zmq() -> None:
    await verdict_of(target(banner(b"")), SourceReason.NOT_ZMQ)


@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.REP, zmq.PULL])
async def test_another_socket_type(kind: int, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    other = context.socket(kind)
    port = other.bind_to_random_port("tcp://127.0.0.1")
    await verdict_of(target(port), SourceReason.WRONG_SOCKET_TYPE)


async def test_a_publisher_with_curve(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    publisher = context.socket(zmq.PUB)
    publisher.curve_secretkey = zmq.curve_keypair()[1]
    publisher.curve_server = True
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    await verdict_of(target(port), SourceReason.AUTH_REQUIRED)


async def test_a_publisher_with_curve_is_never_mistaken(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    publisher = context.socket(zmq.PUB)
    publisher.curve_secretkey = zmq.curve_keypair()[1]
    publisher.curve_server = True
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    keys = [SourceKey("ns", "pod", f"uid-{number}") for number in range(100)]
    subscriber = Subscriber(READERS)
    try:
        # A peer that closes at once races with its own answer: once is no proof.
        subscriber.set_targets({k: replace(target(port), key=k) for k in keys})
        end = time.monotonic() + DEADLINE
        while not all((o := subscriber.observation(k)) and o.failure for k in keys):
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        found = {o.failure for k in keys if (o := subscriber.observation(k))}
    finally:
        await subscriber.close()
    assert found == {Failure.AUTH}


async def test_no_replay_socket(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    publisher = context.socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    await verdict_of(target(port, free_pair()), SourceReason.REPLAY_MISSING)


async def publish(socket_: zmq.Socket[bytes], frames: list[bytes], stop: asyncio.Event) -> None:
    while not stop.is_set():
        socket_.send_multipart(frames)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([b"other", bytes(8), b"\x93\xcb" + bytes(8) + b"\x90\x00"], SourceReason.WRONG_TOPIC),
        ([b"", bytes(8), b"\xc1garbage"], SourceReason.UNDECODABLE),
        ([b"alone"], SourceReason.UNDECODABLE),
    ],
)
async def test_wrong_content(
    frames: list[bytes], reason: SourceReason, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    publisher = context.socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    stop = asyncio.Event()
    publishing = asyncio.create_task(publish(publisher, frames, stop))
    try:
        await verdict_of(target(port), reason)
    finally:
        stop.set()
        await publishing


async def test_targets_are_level_triggered() -> None:
    subscriber = Subscriber(READERS)
    try:
        one = target(free_pair())
        subscriber.set_targets({KEY: one})
        first = subscriber.observation(KEY)
        subscriber.set_targets({KEY: one})
        assert subscriber.observation(KEY) == first
        subscriber.set_targets({})
        assert subscriber.observation(KEY) is None
    finally:
        await subscriber.close()


async def test_since_when_it_listens_is_told_while_nothing_comes(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    publisher = context.socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscriber = Subscriber(READERS)
    frames = [b"", bytes(8), b"\x93\xcb" + bytes(8) + b"\x90\x00"]

    def since() -> float | None:
        seen = subscriber.observation(KEY)
        return seen.subscribed_at if seen else None

    try:
        subscriber.set_targets({KEY: replace(target(port), interval=1.0)})
        await until(since)
        first = since()
        await until(lambda: since() is None, lambda: publisher.send_multipart(frames))
        await until(since)
        second = since()
    finally:
        await subscriber.close()
    assert first is not None
    assert second is not None
    assert second > first


async def test_want_of_open_files_is_no_fault_of_a_source(
    context: zmq.Context[zmq.Socket[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    publisher = context.socket(zmq.PUB)
    wanted = target(publisher.bind_to_random_port("tcp://127.0.0.1"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    subscriber = Subscriber(READERS)
    held = [socket.socket() for _ in range(8)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(s.fileno() for s in held), hard))
        subscriber.set_targets({KEY: wanted})
        await until(lambda: (o := subscriber.observation(KEY)) and o.failure is Failure.OWN_LIMIT)
        verdict = judge(wanted, subscriber.observation(KEY), time.monotonic() + 100, POLICY)
        assert (verdict.reason, verdict.settled) == (SourceReason.CONNECTING, False)
        assert "open files" in verdict.message
        assert "ulimit -n" in caplog.text
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(lambda: (o := subscriber.observation(KEY)) and o.failure is None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in held:
            each.close()
        await subscriber.close()
