"""kvsync record over real sockets: every byte, every end, and an engine that is never burdened."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner

from cli.peers import DEADLINE, KVSYNC, Socket, banner, bound, endless, kvsync, publishing, running
from kvsync.cli.main import cli
from kvsync.model.events import WATCHING
from testbed.engine.launch import free_ports

CAPTURE = Path(__file__).parents[1] / "testbed" / "data" / "vllm_capture_0.32.0.jsonl"
ROWS = [json.loads(line) for line in CAPTURE.read_text().splitlines()]


def of_capture(number: int) -> list[bytes]:
    row = ROWS[number % len(ROWS)]
    return [row["topic"].encode(), bytes.fromhex(row["seq_hex"]), bytes.fromhex(row["payload_hex"])]


def recorded(*words: str) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[str]]:
    done = kvsync("record", *words)
    return [json.loads(line) for line in done.stdout.splitlines()], done


def test_frames_of_a_real_engine_come_byte_for_byte(tmp_path: Path) -> None:
    began = time.time()
    with publishing(of_capture, every=0.002) as address:
        lines, done = recorded(address, "--count", "100", "--for", "25s")
    assert done.returncode == 0, done.stderr
    assert len(lines) == 100
    start = int(lines[0]["frames_hex"][1], 16)
    for offset, line in enumerate(lines):
        assert list(line) == ["frames_hex", "received_at"]
        assert [bytes.fromhex(text) for text in line["frames_hex"]] == of_capture(start + offset)
        assert began <= line["received_at"] <= time.time()
    assert done.stderr.startswith(f"Recording {address}, until 25 s or 100 messages or Ctrl-C.\n")
    assert done.stderr.splitlines()[-1].startswith("100 messages, ")
    (tmp_path / "stream").write_text(done.stdout)
    decoded = CliRunner().invoke(cli, ["decode", str(tmp_path / "stream")])
    assert decoded.exit_code == 0
    of_file = CliRunner().invoke(cli, ["decode", str(CAPTURE)]).stdout.splitlines()
    wanted = [of_file[(start + offset) % len(ROWS)] for offset in range(100)]
    assert decoded.stdout.splitlines() == wanted


def test_only_topics_with_the_prefix_and_whatever_they_hold() -> None:
    topics = [b"kv-a", b"other", b"\xff", b"kv-b"]
    with publishing(lambda number: [topics[number % 4], b"no sequence", b"", b"four"]) as address:
        lines, done = recorded(address, "--topic", "kv-", "--count", "6")
    assert {line["frames_hex"][0] for line in lines} == {b"kv-a".hex(), b"kv-b".hex()}
    assert all(
        line["frames_hex"][1:] == [b"no sequence".hex(), "", b"four".hex()] for line in lines
    )
    assert "topics beginning with 'kv-'" in done.stderr


def test_a_topic_that_nobody_uses_is_named() -> None:
    with publishing(of_capture) as address:
        lines, done = recorded(address, "--topic", "nobody", "--for", "2s")
    assert (lines, done.returncode) == ([], 1)
    assert "WrongTopic" in done.stderr.splitlines()[-1]
    assert "'kv-events', not 'nobody'" in done.stderr


def test_an_idle_publisher_is_no_failure() -> None:
    with bound() as (_, address):
        lines, done = recorded(address, "--for", "1s")
    assert (lines, done.returncode) == ([], 0)
    assert done.stderr.splitlines()[1].startswith("Idle: ")
    assert "0 messages, 0 bytes." in done.stderr


def test_no_publisher_at_all_is_told_while_it_waits() -> None:
    with banner(b"SSH-2.0-OpenSSH_9.9\r\n") as address, running("record", address) as process:
        assert process.stderr is not None
        assert b"until Ctrl-C" in process.stderr.readline()
        assert process.stderr.readline().startswith(b"NotZMQ: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 1
        summary, verdict = process.stderr.read().splitlines()
    assert summary.startswith(b"0 messages")
    assert verdict.startswith(b"NotZMQ: ")
    assert b"Move that program" in verdict


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_there_is(number: signal.Signals) -> None:
    with publishing(of_capture) as address, running("record", address) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        read += process.stdout.readlines()
        assert process.wait(DEADLINE) == 0
        summary = process.stderr.read().splitlines()[-1]
    assert all(json.loads(line) for line in read)
    assert summary.startswith(f"{len(read)} messages, ".encode())


def test_a_reader_that_goes_ends_it_without_noise() -> None:
    with publishing(of_capture) as address:
        done = subprocess.run(
            f"set -o pipefail; '{KVSYNC}' record {address} | head -n 1",
            shell=True,
            executable="/bin/bash",
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert done.stderr.startswith(b"Recording ")
    assert b"Traceback" not in done.stderr


def test_a_full_disk_is_one_line() -> None:
    with publishing(of_capture) as address, Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [KVSYNC, "record", address],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.endswith(b"kvsync: cannot write to stdout: No space left on device\n")


def test_it_unsubscribes_in_the_end() -> None:
    words = ("--topic", "kv", "--count", "1")
    with bound(zmq.XPUB) as (publisher, address), running("record", address, *words):
        heard: list[bytes] = []
        publisher.RCVTIMEO = 100
        end = time.monotonic() + DEADLINE
        while b"\0kv" not in heard and time.monotonic() < end:
            try:
                heard.append(publisher.recv())
            except zmq.Again:
                publisher.send_multipart([b"kv", bytes(8), b"\x90"])
    # What only a relay makes something of stands aside.
    asked = [each for each in heard if each[1:] != WATCHING]
    assert sorted(asked) == [b"\0", b"\0kv", b"\1", b"\1kv"]


def test_a_frame_that_is_too_long_is_left_out_and_the_next_ones_come() -> None:
    long = [b"", bytes(8), bytes(5 << 20)]
    with publishing(lambda n: long if n % 50 == 25 else of_capture(n)) as address:
        lines, done = recorded(address, "--count", "60", "--for", "25s")
    assert len(lines) == 60
    assert "the connection was lost" in done.stderr


def test_messages_of_many_or_long_frames_are_left_out() -> None:
    odd = {1: [b"x"] * 17, 2: [bytes(3 << 20)] * 2}
    with publishing(lambda n: odd.get(n % 4) or of_capture(n)) as address:
        lines, done = recorded(address, "--count", "8")
    assert all(len(line["frames_hex"]) == 3 for line in lines)
    assert "left out (longer than" in done.stderr


def test_a_publisher_that_starts_again_is_heard_again() -> None:
    (port,) = free_ports(1)
    address = f"tcp://127.0.0.1:{port}"
    with running("record", address) as process:
        assert process.stdout is not None
        for topic in (b"first", b"second"):
            context: zmq.Context[Socket] = zmq.Context()
            publisher = context.socket(zmq.PUB)
            publisher.bind(address)
            _publish_until_read(publisher, topic, process)
            context.destroy(linger=0)


def _publish_until_read(publisher: Socket, topic: bytes, process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    poller = zmq.Poller()
    poller.register(process.stdout.fileno(), zmq.POLLIN)
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        publisher.send_multipart([topic, bytes(8), b"\x90"])
        while poller.poll(50):
            if json.loads(process.stdout.readline())["frames_hex"][0] == topic.hex():
                return
    raise AssertionError(f"{topic!r} was not recorded")


def test_a_slow_reader_of_stdout_is_the_engines_trouble_never() -> None:
    message = [b"kv", bytes(8), bytes(1 << 20)]
    with bound(zmq.XPUB) as (publisher, address), running("record", address) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        publisher.RCVTIMEO = 20
        end, sent, paused = time.monotonic() + DEADLINE, 0, False
        while not paused and time.monotonic() < end:
            publisher.send_multipart(message)
            sent += 1
            try:
                heard = publisher.recv()
            except zmq.Again:
                continue
            if heard[1:] == WATCHING:
                continue
            # The look before the recording takes 4 MiB and unsubscribes too.
            paused = heard[:1] == b"\0" and sent > 8
            sent = 0
        assert paused, "still subscribed while nobody reads"
        process.send_signal(signal.SIGINT)
        lines = process.stdout.read().splitlines()
        assert process.wait(DEADLINE) == 0
        told = process.stderr.read()
    assert all(json.loads(line)["frames_hex"][2] == message[2].hex() for line in lines)
    assert f"{len(lines)} messages".encode() in told
    assert b"paused 1 times" in told


def test_a_message_without_an_end_ends_it() -> None:
    with endless() as address:
        lines, done = recorded(address)
    assert (lines, done.returncode) == ([], 1)
    assert "find out what listens there" in done.stderr


def test_wrong_usage() -> None:
    for words in (["--for", "0s"], ["--count", "0"], ["--for", "x"]):
        assert CliRunner().invoke(cli, ["record", "tcp://h:1", *words]).exit_code == 2
