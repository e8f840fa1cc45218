"""kvsync probe at a stand-in engine: both layouts, and the proof that its replay port gives."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from kvsync.cli.main import cli
from testbed.engine.events_config import EventsConfig
from testbed.engine.launch import free_ports
from testbed.engine.layouts import layout_for
from testbed.engine.publisher import Publisher
from testbed.engine.versions import Version
from testbed.engine.wire import BlockStored, encode_batch


@contextmanager
def engine(version: Version, *, busy: bool, topic: str = "kv") -> Iterator[tuple[int, int]]:
    """A publisher of the stand-in on loopback; a busy one sends a batch every 20 ms."""
    port, replay_port = free_ports(2)
    layout = layout_for(version)
    config = EventsConfig(
        endpoint=f"tcp://*:{port}", replay_endpoint=f"tcp://*:{replay_port}", topic=topic
    )
    publisher, stop = Publisher(config, layout), threading.Event()

    def publish() -> None:
        while not stop.wait(0.02):
            event = BlockStored([7], None, [1, 2, 3, 4], 4)
            publisher.publish(encode_batch(layout, time.time(), [event], 0))

    thread = threading.Thread(target=publish)
    if busy:
        thread.start()
    try:
        yield port, replay_port
    finally:
        stop.set()
        if busy:
            thread.join()
        publisher.close()


def probe(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(cli, ["probe", *words, "-o", "json"])
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("version", "layout"), [(Version(0, 16), "array"), (Version(0, 32), "map")]
)
def test_a_busy_publisher_is_told_with_its_layout_rate_and_lag(
    version: Version, layout: str
) -> None:
    with engine(version, busy=True) as (port, replay_port):
        code, found = probe(f"tcp://127.0.0.1:{port}", "--replay-port", str(replay_port))
    assert (code, found["reason"], found["healthy"], found["layout"]) == (
        0,
        "Publishing",
        True,
        layout,
    )
    assert found["events"].keys() == {"BlockStored"}
    assert found["topic"] == "kv"
    assert found["replay"] == {"port": replay_port, "answers": True}
    assert 0 < found["rate"] < 100
    assert abs(found["lag"]) < 5


def test_a_silent_publisher_is_idle_and_proven_by_its_replay_port() -> None:
    with engine(Version(0, 16), busy=False) as (port, replay_port):
        proven = probe(
            f"tcp://127.0.0.1:{port}", "--replay-port", str(replay_port), "--timeout", "2s"
        )
        unproven = probe(f"tcp://127.0.0.1:{port}", "--timeout", "2s")
    assert [(code, found["reason"]) for code, found in (proven, unproven)] == [(0, "Idle")] * 2
    assert (proven[1]["verified"], unproven[1]["verified"]) == (True, False)
    assert "--replay-port" in unproven[1]["remedy"]
