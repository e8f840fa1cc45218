"""Engines as processes: how they start, publish, and end."""

import json
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from testbed.engine.launch import API_SERVER, EngineProcess, free_ports
from testbed.engine.listen import ASK_FOR_NOTHING, Listener, ask_replay, kept_batches

CACHING_OFF = "KV cache events are on, but prefix caching is not enabled."
PUBLISHER_STARTED = "Starting ZMQ publisher thread"
LONG_PROMPT = list(range(100, 140))


def events_flag(publish: int, replay: int | None = None, **more: Any) -> str:
    config = {
        "enable_kv_cache_events": True,
        "publisher": "zmq",
        "endpoint": f"tcp://*:{publish}",
        **({"replay_endpoint": f"tcp://*:{replay}"} if replay else {}),
        **more,
    }
    return f"--kv-events-config={json.dumps(config)}"


def local(port: int) -> str:
    return f"tcp://127.0.0.1:{port}"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def wait_kept(replay: int, count: int) -> None:
    wait_until(lambda: len(kept_batches(local(replay))) == count, f"{count} batches are kept")


def types_of(batch: list[Any]) -> list[str]:
    return [event["type"] if isinstance(event, dict) else event[0] for event in batch[1]]


def test_a_subscriber_sees_what_completions_store_and_evict() -> None:
    publish, replay = free_ports(2)
    flags = ["tiny", events_flag(publish, replay, topic="kv"), "--block-size=16"]
    with EngineProcess([*flags, "--num-gpu-blocks-override=5"]).wait_ready() as engine:
        with Listener(local(publish), b"kv") as listener:
            listener.wait_connected()
            engine.complete("short")
            engine.complete(LONG_PROMPT)
            engine.complete(LONG_PROMPT)
            wait_kept(replay, 1)
            engine.complete([*range(200, 250)])
            topic, sequence, payload = listener.receive()
            if sequence == bytes(8):  # the subscription was there in time for the first one
                topic, sequence, payload = listener.receive()
        assert (topic, sequence) == (b"kv", (1).to_bytes(8, "big"))
        first, second = kept_batches(local(replay))
        assert second == msgpack.unpackb(payload)

    (stored,) = first[1]
    assert stored["token_ids"] == LONG_PROMPT[:32]
    assert (len(stored["block_hashes"]), stored["block_size"]) == (2, 16)
    assert stored["parent_block_hash"] is None
    assert first[2] == 0
    # Four blocks in all, and the one never filled was free: the new prompt needs both old ones.
    assert types_of(second) == ["BlockRemoved", "BlockRemoved", "BlockStored"]
    removed = [event["block_hashes"][0] for event in second[1][:2]]
    assert removed == stored["block_hashes"][::-1]


def test_clearing_the_cache_is_told_with_the_next_step() -> None:
    publish, replay = free_ports(2)
    with EngineProcess(["tiny", events_flag(publish, replay)]).wait_ready() as engine:
        assert engine.request("POST", "/reset_prefix_cache") == (200, "")
        assert kept_batches(local(replay)) == []
        engine.complete("short")
        wait_kept(replay, 1)
        assert types_of(kept_batches(local(replay))[0]) == ["AllBlocksCleared"]
        engine.complete(LONG_PROMPT)
        wait_kept(replay, 2)
        assert types_of(kept_batches(local(replay))[1]) == ["BlockStored"]


@pytest.mark.parametrize(
    ("version", "length", "end_frames"), [("0.9.0", 2, 3), ("0.16.0", 3, 3), ("0.32.0", 3, 4)]
)
def test_each_release_publishes_in_its_own_form(version: str, length: int, end_frames: int) -> None:
    publish, replay = free_ports(2)
    with EngineProcess(
        ["tiny", events_flag(publish, replay)], version=version
    ).wait_ready() as engine:
        engine.complete(LONG_PROMPT)
        wait_kept(replay, 1)
        (batch,) = kept_batches(local(replay))
        assert len(ask_replay(local(replay), ASK_FOR_NOTHING)[0]) == end_frames
        assert PUBLISHER_STARTED in engine.output
        assert "KV cache events" not in engine.output
    assert len(batch) == length
    assert types_of(batch) == ["BlockStored"]
    assert isinstance(batch[1][0], dict) is (version == "0.32.0")


def test_a_build_for_the_flags_publishes_with_them() -> None:
    publish, replay = free_ports(2)
    with EngineProcess(
        ["--model", "tiny", "--enable-kv-cache-events", "--kv-events-topic=kv"],
        version="0.8.5-kvflags",
        program=API_SERVER,
        env={"TESTBED_FLAGS_ENDPOINTS": f"tcp://*:{publish},tcp://*:{replay}"},
    ).wait_ready() as engine:
        engine.complete(LONG_PROMPT)
        wait_kept(replay, 1)
        assert types_of(kept_batches(local(replay))[0]) == ["BlockStored"]


def test_without_prefix_caching_ports_are_open_and_nothing_comes() -> None:
    publish, replay = free_ports(2)
    arguments = ["tiny", events_flag(publish, replay), "--no-enable-prefix-caching"]
    with EngineProcess(arguments).wait_ready() as engine:
        engine.complete(LONG_PROMPT)
        assert listens(publish)
        assert kept_batches(local(replay)) == []
        assert engine.output.count(CACHING_OFF) == 2
        assert PUBLISHER_STARTED in engine.output


def test_an_address_without_a_wildcard_is_connected_to_not_bound() -> None:
    publish, relay = free_ports(2)
    config = events_flag(0, endpoint=f"tcp://0.0.0.0:{publish}")
    with EngineProcess(["tiny", config]).wait_ready():
        assert not listens(publish)
    with Listener(local(relay), bind=True) as listener:
        feeding = events_flag(0, endpoint=local(relay))
        with EngineProcess(["tiny", feeding]).wait_ready() as engine:
            listener.wait_connected()
            starts = iter(range(0, 100_000, 100))

            def arrives() -> bool:
                start = next(starts)
                engine.complete([*range(start, start + 40)])
                return listener_has(listener)

            wait_until(arrives, "the bound subscriber gets an event")


def listener_has(listener: Listener) -> bool:
    try:
        return len(listener.receive(50)) == 3
    except TimeoutError:
        return False


def test_ranks_publish_apart_on_adjacent_ports() -> None:
    ports = free_ports(4)
    arguments = ["tiny", "--data-parallel-size=2", events_flag(ports[0], ports[2])]
    with EngineProcess(arguments).wait_ready() as engine:
        engine.complete(LONG_PROMPT)
        engine.complete(LONG_PROMPT)
        for rank in (0, 1):
            wait_kept(ports[2] + rank, 1)
            assert kept_batches(local(ports[2] + rank))[0][2] == rank
        status, sources = engine.request("GET", "/kv_event_sources")
        assert status == 200
        assert [source["endpoint"].rpartition(":")[2] for source in sources] == [
            str(ports[0]),
            str(ports[1]),
        ]
        assert engine.output.count(PUBLISHER_STARTED) == 2


def test_adjacent_publish_and_replay_ports_kill_two_ranks() -> None:
    publish, replay, _ = free_ports(3)
    arguments = ["tiny", "-dp", "2", events_flag(publish, replay)]
    with EngineProcess(arguments) as engine:
        assert engine.wait_exit() == 1
        assert "Address already in use" in engine.output


@pytest.mark.parametrize(
    ("version", "config", "message"),
    [
        ("0.9.0", {"enable_kv_cache_events": True}, "NullEventPublisher() takes no arguments"),
        ("0.11.0", {"enable_kv_cache_events": True}, "unexpected keyword argument 'endpoint'"),
        ("0.11.0", {}, "unexpected keyword argument 'endpoint'"),
        ("0.11.0", {"publisher": "kafka"}, "ValueError: Unknown event publisher 'kafka'"),
    ],
)
def test_until_0_11_0_a_missing_publisher_is_fatal(
    version: str, config: dict[str, Any], message: str
) -> None:
    arguments = ["tiny", f"--kv-events-config={json.dumps(config)}"]
    with EngineProcess(arguments, version=version) as engine:
        assert engine.wait_exit() == 1
        assert message in engine.output
        assert "Engine core initialization failed" in engine.output


def test_since_0_11_1_null_means_no_port_and_no_error() -> None:
    (publish,) = free_ports(1)
    config = events_flag(publish, publisher="null")
    with EngineProcess(["tiny", config], version="0.11.1").wait_ready() as engine:
        assert not listens(publish)
        assert PUBLISHER_STARTED not in engine.output


@pytest.mark.parametrize("program", [("vllm", "serve"), API_SERVER])
def test_unknown_flags_end_the_process_with_status_2(program: tuple[str, ...]) -> None:
    name = "vllm" if program[0] == "vllm" else "api_server.py"
    with EngineProcess(["--enable-kv-cache-events"], program=program) as engine:
        assert engine.wait_exit() == 2
        assert f"{name}: error: unrecognized arguments: --enable-kv-cache" in engine.output
        assert engine.output.startswith("usage:")


def test_while_it_loads_every_port_is_closed_and_sigterm_ends_it() -> None:
    publish, replay = free_ports(2)
    with EngineProcess(
        ["tiny", events_flag(publish, replay)], env={"TESTBED_LOAD_SECONDS": "60"}
    ) as engine:
        wait_until(lambda: "vLLM API server version 0.32.0" in engine.output, "it starts")
        assert not any(listens(port) for port in (publish, replay, engine.port))
        engine.process.terminate()
        assert engine.wait_exit() == 0


def test_sigterm_ends_a_serving_engine_cleanly_and_soon() -> None:
    publish, replay = free_ports(2)
    with EngineProcess(["tiny", events_flag(publish, replay)]).wait_ready() as engine:
        started = time.monotonic()
        engine.process.send_signal(signal.SIGTERM)
        assert engine.wait_exit() == 0
        assert time.monotonic() - started < 2


def test_a_taken_http_port_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with EngineProcess([], program=("sh", "-c", f"exec vllm serve m --port {port}")) as engine:
            assert engine.wait_exit() == 1
            assert "Address already in use" in engine.output


def test_fault_crash_after() -> None:
    with EngineProcess(["tiny"], env={"TESTBED_FAULT": "crash-after:100ms:137"}) as engine:
        assert engine.wait_exit() == 137
        assert "Application startup complete." in engine.output


def test_fault_silent_serves_and_never_publishes() -> None:
    publish, replay = free_ports(2)
    with EngineProcess(
        ["tiny", events_flag(publish, replay)], env={"TESTBED_FAULT": "silent"}
    ).wait_ready() as engine:
        with Listener(local(publish)) as listener:
            listener.wait_connected()
            engine.complete(LONG_PROMPT)
            with pytest.raises(TimeoutError):
                listener.receive(200)
        with pytest.raises(TimeoutError):
            ask_replay(local(replay), ASK_FOR_NOTHING, 200)
        engine.process.terminate()
        assert engine.wait_exit() == 0


def test_fault_freeze_stops_answering_with_open_ports() -> None:
    with EngineProcess(["tiny"], env={"TESTBED_FAULT": "freeze:300ms"}).wait_ready() as engine:
        wait_until(lambda: process_state(engine.process.pid) == "T", "the process is stopped")
        assert listens(engine.port)


def process_state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        return stat.read().rpartition(")")[2].split()[0]


def test_an_unknown_fault_is_named() -> None:
    with EngineProcess(["tiny"], env={"TESTBED_FAULT": "explode"}) as engine:
        assert engine.wait_exit() == 1
        assert "TESTBED_FAULT='explode': use crash-after" in engine.output
