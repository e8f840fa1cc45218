"""kvsync probe and kvsync record: one publisher, over real sockets."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
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

KVSYNC = str(Path(sys.executable).parent / "kvsync")


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
    assert 10 < found["rate"] < 100
    assert abs(found["lag"]) < 1


def test_a_silent_publisher_is_idle_and_proven_by_its_replay_port() -> None:
    with engine(Version(0, 16), busy=False) as (port, replay_port):
        proven = probe(
            f"tcp://127.0.0.1:{port}", "--replay-port", str(replay_port), "--timeout", "2s"
        )
        unproven = probe(f"tcp://127.0.0.1:{port}", "--timeout", "2s")
    assert [(code, found["reason"]) for code, found in (proven, unproven)] == [(0, "Idle")] * 2
    assert (proven[1]["verified"], unproven[1]["verified"]) == (True, False)
    assert "--replay-port" in unproven[1]["remedy"]


def test_another_topic_than_the_expected_one() -> None:
    with engine(Version(0, 16), busy=True) as (port, _):
        code, found = probe(f"tcp://127.0.0.1:{port}", "--topic", "other")
    assert (code, found["reason"]) == (1, "WrongTopic")


def test_a_closed_port_and_a_server_of_something_else() -> None:
    (closed,) = free_ports(1)
    code, found = probe(f"tcp://127.0.0.1:{closed}", "--timeout", "5s")
    assert (code, found["reason"]) == (1, "PortClosed")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        code, found = probe(f"tcp://127.0.0.1:{server.getsockname()[1]}", "--timeout", "8s")
    assert (code, found["reason"]) == (1, "NotZMQ")


def _greet(server: socket.socket) -> None:
    try:
        while True:
            connection, _ = server.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    except OSError:
        return


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "tcp://127.0.0.1", "tcp://*:5557", "tcp://h:0", "tcp://[::1:5"]
)
def test_a_wrong_address_is_wrong_usage(address: str) -> None:
    for command in ("probe", "record"):
        assert CliRunner().invoke(cli, [command, address]).exit_code == 2


def test_what_is_recorded_is_what_decode_reads(tmp_path: Path) -> None:
    with engine(Version(0, 32), busy=True) as (port, _):
        done = subprocess.run(
            [KVSYNC, "record", f"tcp://127.0.0.1:{port}", "--count", "20", "--for", "20s"],
            capture_output=True,
            timeout=40,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert b"20 messages" in done.stderr
    file = tmp_path / "stream"
    file.write_bytes(done.stdout)
    decoded = CliRunner().invoke(cli, ["decode", str(file)])
    sequences = [json.loads(line)["sequence"] for line in decoded.stdout.splitlines()]
    assert sequences == list(range(sequences[0], sequences[0] + 20))


def test_where_nothing_comes_the_reason_is_told() -> None:
    (closed,) = free_ports(1)
    done = subprocess.run(
        [KVSYNC, "record", f"tcp://127.0.0.1:{closed}", "--for", "4s"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "PortClosed" in done.stderr
    assert "0 messages" in done.stderr
