"""SGLang as a process: how it starts, publishes, fails and ends."""

import json
import signal
import time
from typing import Any

import msgpack
import pytest

from testbed.engine.launch import free_ports
from testbed.engine.listen import ASK_FOR_NOTHING, Listener, ask_replay, kept_batches
from testbed.engine.sglang.launch import (
    LAUNCH_SERVER,
    QUIET,
    SGLANG_SERVE,
    SglangProcess,
    events_flag,
    wait_kept,
)

PUBLISHER_STARTED = "Starting ZMQ publisher thread"
CHILD_FAILED = "Received sigquit from a child process. It usually means the child failed."
PROMPT = list(range(100, 140))


def local(port: int) -> str:
    return f"tcp://127.0.0.1:{port}"


def types_of(batch: list[Any]) -> list[str]:
    return [event["type"] if isinstance(event, dict) else event[0] for event in batch[1]]


@pytest.mark.parametrize(
    ("version", "program", "stored"),
    [
        ("0.4.6.post5", LAUNCH_SERVER, 1),
        ("0.5.2", LAUNCH_SERVER, 2),
        ("0.5.5", SGLANG_SERVE, 2),
        ("0.5.23", LAUNCH_SERVER, 1),
        ("0.5.23", SGLANG_SERVE, 1),
    ],
)
def test_a_start_tells_that_all_is_cleared_and_a_completion_what_it_stored(
    version: str, program: tuple[str, ...], stored: int
) -> None:
    publish, replay = free_ports(2)
    flags = [events_flag(publish, replay), *QUIET]
    with SglangProcess(flags, version=version, program=program).wait_ready() as engine:
        assert types_of(wait_kept(replay, 1)[0]) == ["AllBlocksCleared"]
        engine.complete(PROMPT)
        batch = wait_kept(replay, 2)[1]
        assert types_of(batch) == ["BlockStored"] * stored
        assert isinstance(batch[1][0], dict) is (version == "0.5.23")
        assert engine.output.count(PUBLISHER_STARTED) == 1
        assert "The server is fired up and ready to roll!" in engine.output


def test_a_subscriber_sees_the_kept_batches_as_they_come() -> None:
    publish, replay = free_ports(2)
    flags = [events_flag(publish, replay, topic="kv"), *QUIET]
    with SglangProcess(flags).wait_ready() as engine, Listener(local(publish), b"kv") as listener:
        listener.wait_connected()
        sequence = 0
        while not sequence:  # the subscription may arrive after the first batches
            engine.complete([*range(time.monotonic_ns() % 1000, 2000)])
            try:
                topic, number, payload = listener.receive(100)
            except TimeoutError:
                continue
            sequence = int.from_bytes(number, "big")
        assert topic == b"kv"
        assert kept_batches(local(replay))[sequence] == msgpack.unpackb(payload)


def test_with_pages_of_one_token_also_the_warm_up_and_health_checks_are_stored() -> None:
    publish, replay = free_ports(2)
    with SglangProcess([events_flag(publish, replay)], version="0.5.5").wait_ready() as engine:
        cleared, warm_up, health = wait_kept(replay, 3)
        assert types_of(cleared) == ["AllBlocksCleared"]
        assert set(types_of(warm_up)) == {"BlockStored"}
        assert {event[4] for event in warm_up[1]} == {1}
        assert [event[3] for event in health[1]] == [[0]]
        assert engine.is_healthy()  # the second time it is cached
        assert len(kept_batches(local(replay))) == 3


def test_without_the_warm_up_only_the_tree_is_told_of() -> None:
    publish, replay = free_ports(2)
    flags = [events_flag(publish, replay), "--skip-server-warmup", "--page-size=2"]
    with SglangProcess(flags).wait_ready():
        assert types_of(wait_kept(replay, 1)[0]) == ["AllBlocksCleared"]


def test_flushing_is_told_at_once() -> None:
    publish, replay = free_ports(2)
    with SglangProcess([events_flag(publish, replay), *QUIET]).wait_ready() as engine:
        for method in ("GET", "POST"):
            status, text = engine.request(method, "/flush_cache")
            assert status == 200
            assert text.startswith("Cache flushed.")
        assert [types_of(batch) for batch in wait_kept(replay, 3)] == [["AllBlocksCleared"]] * 3


def test_without_a_radix_cache_ports_are_open_and_nothing_comes() -> None:
    publish, replay = free_ports(2)
    flags = [events_flag(publish, replay), "--disable-radix-cache"]
    with SglangProcess(flags).wait_ready() as engine:
        engine.complete(PROMPT)
        assert PUBLISHER_STARTED in engine.output
        assert kept_batches(local(replay)) == []


@pytest.mark.parametrize(("version", "frames"), [("0.5.21", 3), ("0.5.22", 4)])
def test_replays_carry_their_topic_since_0_5_22(version: str, frames: int) -> None:
    publish, replay = free_ports(2)
    with SglangProcess([events_flag(publish, replay), *QUIET], version=version).wait_ready():
        assert len(ask_replay(local(replay), ASK_FOR_NOTHING)[0]) == frames


@pytest.mark.parametrize(
    ("version", "spread", "ranks"),
    [
        ("0.5.2", ["--tp=2", "--dp=2", "--enable-dp-attention"], [0, 1]),
        ("0.5.5", ["--tp=4"], [0]),
        ("0.5.5", ["--tp=2", "--dp=2", "--enable-dp-attention"], [0]),
        ("0.5.9", ["--tp=4", "--dp=2", "--enable-dp-attention"], [0, 1]),
        ("0.5.15", ["--dp=2"], [0, 1]),
        ("0.5.23", ["--tp=2", "--attn-dp-size=2"], [0, 1]),
    ],
)
def test_ranks_publish_apart_on_adjacent_ports(
    version: str, spread: list[str], ranks: list[int]
) -> None:
    ports = free_ports(4)
    flags = [*spread, events_flag(ports[0], ports[2]), *QUIET]
    with SglangProcess(flags, version=version).wait_ready() as engine:
        for rank in ranks:
            assert wait_kept(ports[2] + rank, 1)[0][2] == rank
        assert engine.output.count(PUBLISHER_STARTED) == len(ranks)


@pytest.mark.parametrize(
    ("version", "spread"),
    [
        ("0.4.6.post5", ["--tp=2"]),
        ("0.5.2", ["--tp=2"]),
        ("0.5.2", ["--tp=4", "--dp=2", "--enable-dp-attention"]),
        ("0.5.5", ["--dp=2"]),
        ("0.5.14", ["--dp=2"]),
        ("0.5.14", ["--pp-size=2"]),
    ],
)
def test_two_publishers_on_one_port_end_it(version: str, spread: list[str]) -> None:
    publish, replay = free_ports(2)
    with SglangProcess([*spread, events_flag(publish, replay)], version=version) as engine:
        assert engine.wait_exit() == 0
        assert "Address already in use" in engine.output
        assert CHILD_FAILED in engine.output


def test_adjacent_publish_and_replay_ports_end_two_ranks() -> None:
    publish, replay, _ = free_ports(3)
    with SglangProcess(["--dp-size=2", events_flag(publish, replay)]) as engine:
        assert engine.wait_exit() == 0
        assert "Address already in use" in engine.output


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "TypeError: NullEventPublisher() takes no arguments"),
        ({"publisher": "nats"}, "ValueError: Unknown event publisher 'nats'"),
        (
            {"publisher": "zmq", "hwm": "x"},
            "ValidationError: 1 validation error for KVEventsConfig",
        ),
    ],
)
def test_bad_event_settings_end_it_with_status_0_once_it_has_loaded(
    config: dict[str, Any], message: str
) -> None:
    flag = f"--kv-events-config={json.dumps(config)}"
    with SglangProcess([flag], env={"TESTBED_LOAD_SECONDS": "0.3"}) as engine:
        started = time.monotonic()
        assert engine.wait_exit() == 0
        assert time.monotonic() - started >= 0.3
        assert "Scheduler hit an exception: Traceback" in engine.output
        assert message in engine.output
        assert CHILD_FAILED in engine.output


def test_an_unknown_argument_ends_it_with_status_2() -> None:
    with SglangProcess(["--enable-kv-cache-events"], version="0.5.5") as engine:
        assert engine.wait_exit() == 2
        assert "error: unrecognized arguments: --enable-kv-cache-events" in engine.output


@pytest.mark.parametrize(
    ("version", "program", "status", "message"),
    [
        ("0.5.4.post3", SGLANG_SERVE, 127, "sglang: not found"),
        ("0.5.5", ("sglang", "serve"), 1, "Error: --model-path is required."),
        ("0.5.5", ("nvidia_entrypoint.sh",), 127, "--port"),
    ],
)
def test_what_does_not_start_it(
    version: str, program: tuple[str, ...], status: int, message: str
) -> None:
    with SglangProcess(version=version, program=program) as engine:
        assert engine.wait_exit() == status
        assert message in engine.output


def test_the_images_entry_point_runs_a_whole_command_line() -> None:
    with SglangProcess(program=("nvidia_entrypoint.sh", *LAUNCH_SERVER)).wait_ready():
        pass


def test_sigterm_ends_it_cleanly() -> None:
    with SglangProcess().wait_ready() as engine:
        engine.process.send_signal(signal.SIGTERM)
        assert engine.wait_exit() == 0


def test_fault_silent_serves_and_never_publishes() -> None:
    publish, replay = free_ports(2)
    flags = [events_flag(publish, replay), *QUIET]
    silent = {"TESTBED_FAULT": "silent"}
    with SglangProcess(flags, env=silent).wait_ready(), pytest.raises(TimeoutError):
        ask_replay(local(replay), ASK_FOR_NOTHING, 200)
