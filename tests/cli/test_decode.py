"""kvsync decode: a stranger's stream, line by line, whatever is in it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from kvsync.cli.main import cli
from kvsync.core.recording import decode_line_or_error, write_line
from kvsync.core.wire import Keep

DATA = Path(__file__).parents[1] / "testbed" / "data"
CAPTURE = (DATA / "vllm_capture_0.32.0.jsonl").read_text()
GOLDEN = [
    json.loads(line)
    for name in ("vllm_golden.jsonl", "sglang_golden.jsonl")
    for line in (DATA / name).read_text().splitlines()
]
ROWS = pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["version"])


def decode(text: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["decode", *options, "-"], input=text)


def shown(text: str, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in decode(text, *options).stdout.splitlines()]


def test_a_capture_of_a_real_engine_is_decoded_line_by_line() -> None:
    done = decode(CAPTURE)
    batches = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    sent = [json.loads(line) for line in CAPTURE.splitlines()]
    assert [b["sequence"] for b in batches] == [row["seq"] for row in sent]
    types = [event["type"] for batch in batches for event in batch["events"]]
    assert (types.count("BlockStored"), types.count("BlockRemoved")) == (126, 337)
    assert types.count("AllBlocksCleared") == 1
    assert {batch["topic"] for batch in batches} == {row["topic"] for row in sent}


@ROWS
def test_golden_frames_of_every_release(row: dict[str, Any]) -> None:
    text = "\n".join(json.dumps({"frames_hex": frames}) for frames in row["pub_frames_hex"])
    batches = shown(text)
    assert [(b["topic"], b["sequence"], b["timestamp"]) for b in batches] == [
        ("t", 0, 1.5),
        ("t", 1, 2.5),
        ("t", 2, 3.5),
    ]
    assert "token_ids" not in str(batches)
    stored = [e for b in shown(text, "--token-ids") for e in b["events"] if "Stored" in e["type"]]
    assert all(len(e["token_ids"]) == e["block_size"] * len(e["block_hashes"]) for e in stored)


def test_hashes_are_shown_as_they_were_sent() -> None:
    (new,) = (row for row in GOLDEN if row["version"] == "0.10.2")
    text = "\n".join(json.dumps({"frames_hex": frames}) for frames in new["pub_frames_hex"])
    first, second, _ = shown(text)
    assert first["events"][0]["block_hashes"] == [111, 222]
    assert first["events"][0]["parent_block_hash"] is None
    assert second["events"][0]["block_hashes"] == ["01" * 32]
    assert second["events"][0]["parent_block_hash"] == 222


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("no json", "line 1: is no JSON"),
        ("[]", "line 1: is no JSON object"),
        ("{}", "line 1: has neither 'frames_hex' nor 'payload_hex'"),
        ('{"frames_hex": ["zz"]}', "line 1: has a 'frames_hex' that is no hexadecimal text"),
        ('{"frames_hex": ["", "00"]}', "line 1: the message has 2 frames; an engine sends 3"),
        (
            '{"topic": "t", "payload_hex": ""}',
            "line 1: has neither 'seq_hex' nor a 'seq' of 64 bits",
        ),
        ("[" * 5000, "line 1: holds more than the 4096 values that are read"),
    ],
)
def test_a_bad_line_is_one_error_and_the_next_goes_on(line: str, error: str) -> None:
    done = decode(f"{line}\n\n{CAPTURE.splitlines()[0]}\n")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["error"].startswith(error)
    assert second["sequence"] == json.loads(CAPTURE.splitlines()[0])["seq"]
    assert done.exit_code == 1


def test_a_file_that_is_not_there_is_wrong_usage() -> None:
    assert CliRunner().invoke(cli, ["decode", "/no/such/file"]).exit_code == 2


_FRAMES = [[bytes.fromhex(f) for f in frames] for row in GOLDEN for frames in row["pub_frames_hex"]]


@given(frames=st.sampled_from(_FRAMES), cut=st.integers(0, 200), flip=st.integers(0, 2000))
def test_damaged_frames_give_a_value_or_an_error_that_is_json(
    frames: list[bytes], cut: int, flip: int
) -> None:
    payload = bytearray(frames[2])
    if payload:
        payload[flip // 8 % len(payload)] ^= 1 << flip % 8
    line = write_line([frames[0], frames[1], bytes(payload[: max(0, len(payload) - cut)])], 1.0)
    entry, decoded = decode_line_or_error(line, Keep(token_ids=True, extra_keys=True), 1)
    again = json.loads(json.dumps(entry, allow_nan=False))
    assert ("error" in again) is not decoded


@given(st.binary(max_size=300))
def test_any_bytes_are_a_line(data: bytes) -> None:
    entry, _ = decode_line_or_error(data, Keep(), 7)
    assert entry.keys() in ({"error"}, {"topic", "sequence", "timestamp", "rank", "events"})
    io.StringIO().write(json.dumps(entry, allow_nan=False))
