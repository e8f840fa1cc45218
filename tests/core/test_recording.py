"""Lines of recordings: written and read back, and what is no such line."""

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.recording import (
    LINE_LIMIT,
    MESSAGE_LIMIT,
    LineError,
    decode_line_or_error,
    read_line,
    write_line,
)
from kvsync.core.wire import Keep

FRAMES = st.lists(st.binary(max_size=40), max_size=16)


@given(FRAMES, st.floats(0, 2e9))
def test_what_is_written_is_read(frames: list[bytes], at: float) -> None:
    line = write_line(frames, at)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert read_line(line) == frames
    assert json.loads(line)["received_at"] == pytest.approx(at, abs=1e-6)


def test_the_longest_message_fits_a_line() -> None:
    assert len(write_line([b"t" * 1024, bytes(8), bytes(MESSAGE_LIMIT - 1032)], 2e9)) < LINE_LIMIT


@pytest.mark.parametrize(
    ("row", "frames"),
    [
        (
            {"topic": "é", "seq": 258, "payload_hex": "90"},
            ["é".encode(), b"\0" * 6 + b"\1\2", b"\x90"],
        ),
        ({"topic": "", "seq_hex": "00", "seq": 9, "payload_hex": ""}, [b"", b"\0", b""]),
        ({"frames_hex": ["AB", "a b"[::2]], "payload_hex": 3, "more": {}}, [b"\xab", b"\xab"]),
        ({"frames_hex": []}, []),
    ],
)
def test_both_forms_are_read(row: dict[str, Any], frames: list[bytes]) -> None:
    assert read_line(json.dumps(row).encode()) == frames
    assert read_line(b"\xef\xbb\xbf" + json.dumps(row).encode() + b"\r\n") == frames


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\xff", "UTF-8"),
        (b"7", "no JSON object"),
        (b"{", "no JSON: "),
        (b'{"seq": ' + b"1" * 5000 + b"}", "no JSON that can be read"),
        (b'{"frames_hex": {}}', "no list"),
        (b'{"frames_hex": [1]}', "no hexadecimal"),
        (b'{"frames_hex": ["abc"]}', "no hexadecimal"),
        (b'{"frames_hex": [null]}', "no hexadecimal"),
        (b'{"payload_hex": ""}', "'seq_hex'"),
        (b'{"payload_hex": "", "seq": true}', "'seq_hex'"),
        (b'{"payload_hex": "", "seq": -1}', "'seq_hex'"),
        (b'{"payload_hex": "", "seq": 18446744073709551616}', "'seq_hex'"),
        (b'{"payload_hex": "", "seq_hex": 7}', "'seq_hex'"),
        (b'{"payload_hex": "", "seq": 1}', "'topic'"),
        (b'{"payload_hex": "", "seq": 1, "topic": "\\ud800"}', "'topic'"),
        (b'{"frames_hex": ["secret"]}', "'frames_hex'"),
    ],
)
def test_other_lines_are_refused_in_plain_words(line: bytes, error: str) -> None:
    with pytest.raises(LineError, match=error) as refused:
        read_line(line)
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"[", b"1,", b'{"a":'])
def test_a_line_of_many_values_takes_no_more_than_itself(unit: bytes) -> None:
    line = b'{"frames_hex":[' + unit * (LINE_LIMIT // len(unit))
    tracemalloc.start()
    began = time.thread_time()
    try:
        with pytest.raises(LineError):
            read_line(line)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert time.thread_time() - began < 1


def test_deep_nesting_below_the_limit_of_values() -> None:
    with pytest.raises(LineError):
        read_line(b"[" * 4000)


@given(
    st.dictionaries(
        st.sampled_from(["frames_hex", "topic", "seq", "seq_hex", "payload_hex"]),
        st.none()
        | st.integers()
        | st.text(max_size=6)
        | st.lists(st.text("0123456789abcdef", max_size=6) | st.none(), max_size=4),
    )
)
def test_any_object_is_decoded_or_an_error(row: dict[str, Any]) -> None:
    entry, decoded = decode_line_or_error(json.dumps(row).encode(), Keep(), 3)
    assert decoded or entry["error"].startswith("line 3: ")
