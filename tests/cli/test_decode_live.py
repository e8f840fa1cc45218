"""kvsync decode as a process: live pipes, ends of pipes, memory, and values field by field."""

import json
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import pytest
from click.testing import CliRunner

from cli.peers import DEADLINE, KVSYNC, running
from kvsync.cli.main import cli
from kvsync.core.recording import LINE_LIMIT

CAPTURE = Path(__file__).parents[1] / "testbed" / "data" / "vllm_capture_0.32.0.jsonl"
ROWS = [json.loads(line) for line in CAPTURE.read_text().splitlines()]
TOKENS = ("token_ids", "lookahead_token_ids")


@pytest.mark.parametrize("options", [[], ["--token-ids"]])
def test_every_field_of_the_capture_is_as_an_untyped_reader_sees_it(options: list[str]) -> None:
    done = CliRunner().invoke(cli, ["decode", *options, str(CAPTURE)])
    assert done.exit_code == 0
    for line, row in zip(done.stdout.splitlines(), ROWS, strict=True):
        timestamp, events, rank = msgpack.unpackb(bytes.fromhex(row["payload_hex"]))
        expected = [
            {k: v for k, v in event.items() if _is_shown(k, v, options)} for event in events
        ]
        assert json.loads(line) == {
            "topic": row["topic"],
            "sequence": row["seq"],
            "timestamp": timestamp,
            "rank": rank,
            "events": expected,
        }


def _is_shown(name: str, value: Any, options: list[str]) -> bool:
    if name in TOKENS and not options:
        return False
    return value is not None or name == "parent_block_hash"


def test_a_line_is_shown_before_the_next_comes() -> None:
    with running("decode", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for row in ROWS[:3]:
            process.stdin.write(json.dumps(row).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["sequence"] == row["seq"]
        process.stdin.write(b"half a li")
        process.stdin.close()
        assert json.loads(process.stdout.readline())["error"].startswith("line 4: is no JSON")
        assert process.wait(DEADLINE) == 1


def test_hostile_lines_cost_no_memory() -> None:
    with running("decode", "-") as process:
        assert process.stdin is not None
        for unit in (b"[],", b'{"a":', b"x", b"[", b'"frames_hex"'):
            process.stdin.write(unit * ((LINE_LIMIT - 8) // len(unit)) + b"\n")
        for _ in range(64):
            process.stdin.write(bytes(1 << 20))
        process.stdin.write(b"\n")
        process.stdin.write(json.dumps(ROWS[0]).encode())
        process.stdin.close()
        assert process.stdout is not None
        entries = [json.loads(line) for line in process.stdout]
        assert [list(entry) for entry in entries[:6]] == [["error"]] * 6
        assert entries[6]["sequence"] == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1
    # A child's peak begins at its parent's size when it was made.
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert usage.ru_maxrss < max(parent, 40 << 10) + (48 << 10)


def test_a_reader_that_goes_ends_it_without_noise() -> None:
    with running("decode", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(ROWS[0]).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(json.dumps(ROWS[1]).encode() + b"\n")
        process.stdin.flush()
        assert process.wait(DEADLINE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [KVSYNC, "decode", str(CAPTURE)],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"kvsync: cannot write to stdout: No space left on device\n"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli, ["decode", str(tmp_path)]).exit_code == 2
    unreadable = subprocess.run(
        [KVSYNC, "decode", "/proc/self/mem"], capture_output=True, timeout=DEADLINE, check=False
    )
    assert unreadable.returncode == 1
    assert b"kvsync: /proc/self/mem: cannot be read" in unreadable.stderr
    assert unreadable.stderr.count(b"\n") == 1


def test_an_empty_file_has_no_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n \r\n")
    done = CliRunner().invoke(cli, ["decode", str(tmp_path / "empty")])
    assert (done.exit_code, done.output) == (0, "")


def test_ctrl_c_is_no_traceback() -> None:
    with running("decode", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(ROWS[0]).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 1
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
