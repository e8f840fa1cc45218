"""The publisher's bytes against those that vLLM's own publisher produced."""

import json
from pathlib import Path
from typing import Any

import pytest

from bed.engine.golden_frames import in_hex, published_and_replayed
from testbed import engine
from testbed.engine.events_config import EventsConfig
from testbed.engine.launch import free_ports
from testbed.engine.layouts import LAYOUTS, Layout, layout_for
from testbed.engine.listen import ASK_FOR_NOTHING, ask_replay
from testbed.engine.publisher import Publisher, binds, offset_port
from testbed.engine.versions import parse_version
from testbed.engine.wire import (
    AllBlocksCleared,
    BlockRemoved,
    BlockStored,
    Event,
    encode_batch,
)

DATA = Path(engine.__file__).parents[1] / "data"
GOLDEN = [json.loads(line) for line in (DATA / "vllm_golden.jsonl").read_text().splitlines()]
BY_VERSION = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["version"])

# The values that the recorded releases were given.
FIRST = BlockStored([111, 222], None, list(range(1, 9)), 4, extra_keys=[None, None])
SECOND = BlockStored(
    [bytes([1]) * 32], 222, [9, 10, 11, 12], 4, extra_keys=[["ad"]], lora_id=3, lora_name="ad"
)
BATCHES: list[tuple[float, list[Event]]] = [
    (1.5, [FIRST]),
    (2.5, [SECOND, BlockRemoved([111])]),
    (3.5, [AllBlocksCleared()]),
]


def layout_of(golden: dict[str, Any]) -> Layout:
    version = parse_version(golden["version"])
    assert version is not None
    return layout_for(version)


@BY_VERSION
def test_published_and_replayed_frames_are_the_releases_own(golden: dict[str, Any]) -> None:
    published, replayed = published_and_replayed(layout_of(golden), BATCHES)
    assert in_hex(published) == golden["pub_frames_hex"]
    assert in_hex(replayed) == golden["replay_from_1_frames_hex"]


@BY_VERSION
def test_layout_has_the_releases_fields(golden: dict[str, Any]) -> None:
    layout = layout_of(golden)
    fields = golden["fields"]
    assert list(layout.batch) == fields["EventBatch"]
    assert list(layout.stored) == fields["BlockStored"]
    assert list(layout.removed) == fields["BlockRemoved"]
    assert layout.events_are_maps is not golden["array_like"]["BlockStored"]


def test_layouts_are_in_order_of_releases() -> None:
    releases = [layout.since for layout in LAYOUTS]
    assert releases == sorted(set(releases))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.9.0", (0, 9, 0)),
        ("0.10.1", (0, 9, 1)),
        ("0.13.9", (0, 10, 2)),
        ("0.23.0", (0, 22, 0)),
        ("0.25.1", (0, 24, 0)),
        ("0.32.0", (0, 30, 0)),
        ("0.40.0", (0, 33, 0)),
        ("0.8.5", (0, 9, 0)),
    ],
)
def test_a_release_writes_the_last_layout_before_it(
    text: str, expected: tuple[int, int, int]
) -> None:
    version = parse_version(text)
    assert version is not None
    assert layout_for(version).since == expected


@pytest.mark.parametrize(
    ("version", "end"),
    [("0.25.0", [b"", b"\xff" * 8, b""]), ("0.26.0", [b"", b"", b"\xff" * 8, b""])],
)
def test_asking_for_nothing_returns_only_the_end_marker(version: str, end: list[bytes]) -> None:
    port, replay_port = free_ports(2)
    config = EventsConfig(endpoint=f"tcp://*:{port}", replay_endpoint=f"tcp://*:{replay_port}")
    layout = layout_of({"version": version})
    publisher = Publisher(config, layout)
    try:
        publisher.publish(encode_batch(layout, 1.5, [FIRST], 0))
        assert ask_replay(f"tcp://127.0.0.1:{replay_port}", ASK_FOR_NOTHING) == [end]
    finally:
        publisher.close()


def test_only_the_last_buffer_steps_are_kept() -> None:
    port, replay_port = free_ports(2)
    config = EventsConfig(
        endpoint=f"tcp://*:{port}", replay_endpoint=f"tcp://*:{replay_port}", buffer_steps=2
    )
    publisher = Publisher(config, LAYOUTS[-1])
    try:
        for number in range(5):
            publisher.publish(bytes([number]))
        publisher.publish(b"last")
        kept = ask_replay(f"tcp://127.0.0.1:{replay_port}", bytes(8))
    finally:
        publisher.close()
    assert [message[-1] for message in kept] == [b"\x04", b"last", b""]
    assert [message[-2][-1] for message in kept] == [4, 5, 255]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("tcp://*:5557", True),
        ("tcp://[::]:5557", True),
        ("ipc:///tmp/events", True),
        ("tcp://0.0.0.0:5557", False),
        ("tcp://127.0.0.1:5557", False),
    ],
)
def test_only_wildcards_are_bound(endpoint: str, expected: bool) -> None:
    assert binds(endpoint) is expected


def test_ranks_move_the_port() -> None:
    assert offset_port("tcp://*:5557", 3) == "tcp://*:5560"
    assert offset_port("tcp://*:5557", 0) == "tcp://*:5557"
    assert offset_port("inproc://cache", 1) == "inproc://cache_dp1"
    with pytest.raises(ValueError, match="must contain 'inproc' or 'tcp'"):
        offset_port("ipc:///tmp/events", 1)
