"""Recorded frames that were cut, turned, lied about and mixed up: a value or a WireError, soon."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.golden_messages import CAPTURE, GOLDEN, GOLDEN_FRAMES, Frames, replayed
from fuzz.oracles import check_message, check_replay
from kvsync.core.gist import read_gist
from kvsync.core.wire import decode_batch
from kvsync.model.events import WireError

DISTINCT = sorted({frames[2] for frames in GOLDEN_FRAMES}, key=lambda data: (len(data), data))
SAMPLES = [*DISTINCT, *(frames[2] for frames in CAPTURE[::20])]


def around(payload: bytes) -> Frames:
    return [b"t", bytes(8), payload]


def test_every_truncation_is_refused() -> None:
    for payload in SAMPLES:
        for length in range(len(payload)):
            for read in (decode_batch, read_gist):
                with pytest.raises(WireError):
                    read(around(payload[:length]))
        check_message(around(payload))


@pytest.mark.parametrize("payload", DISTINCT, ids=lambda payload: f"{len(payload)}B")
def test_every_bit_flip_gives_a_value_or_a_refusal(payload: bytes) -> None:
    for place, bit in itertools.product(range(len(payload)), range(8)):
        flipped = bytearray(payload)
        flipped[place] ^= 1 << bit
        check_message(around(bytes(flipped)))


def test_every_bit_flip_and_cut_of_a_replay_gives_a_value_or_a_refusal() -> None:
    for frames in {tuple(frames) for row in GOLDEN for frames in replayed(row)}:
        for index, frame in enumerate(frames):
            for other in (*(frame[:n] for n in range(len(frame))), *flips(frame), frame + b"\0"):
                check_replay([*frames[:index], other, *frames[index + 1 :]])
        for count in range(len(frames)):
            check_replay(frames[:count])


def flips(frame: bytes) -> Iterator[bytes]:
    for place, bit in itertools.product(range(len(frame)), range(8)):
        yield bytes(each ^ (1 << bit) * (at == place) for at, each in enumerate(frame))


# --- lies about lengths: every header of a payload, with every other length in every form ---

WIDTHS = {  # of a length by the first byte (msgpack spec): bin, ext, str, array, map
    **dict.fromkeys((0xC4, 0xC7, 0xD9), 1),
    **dict.fromkeys((0xC5, 0xC8, 0xDA, 0xDC, 0xDE), 2),
    **dict.fromkeys((0xC6, 0xC9, 0xDB, 0xDD, 0xDF), 4),
}
NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
NUMBERS |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
FULL = {"fixmap": 0xDF, "fixarray": 0xDD, "fixstr": 0xDB}


def headers(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of each header in a payload: where, how long it is, its length, its form with 32 bits."""
    at = 0
    while at < len(data):
        first, size, count = data[at], 1, 0
        if first in WIDTHS:
            size += WIDTHS[first]
            count = int.from_bytes(data[at + 1 : at + size], "big")
            form = {0xC4: 0xC6, 0xC5: 0xC6, 0xD9: 0xDB, 0xDA: 0xDB, 0xDC: 0xDD, 0xDE: 0xDF}
            yield at, size, count, form.get(first, first)
        elif 0x80 <= first < 0xC0:
            name = "fixmap" if first < 0x90 else "fixarray" if first < 0xA0 else "fixstr"
            count = first & (0x1F if name == "fixstr" else 0x0F)
            yield at, size, count, FULL[name]
        carried = count if first in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB) else 0
        carried = count if 0xA0 <= first < 0xC0 else carried
        at += size + carried + NUMBERS.get(first, 0)


def lies(data: bytes) -> Iterator[bytes]:
    for at, size, count, form in headers(data):
        for lie in (0, count - 1, count + 1, 1 << 16, (1 << 32) - 1):
            header = bytes([form]) + (lie % (1 << 32)).to_bytes(4, "big")
            yield data[:at] + header + data[at + size :]


def test_the_headers_are_found() -> None:
    data = msgpack.packb({"a": ["x" * 40, b"y", [1.5, 70_000, None]] * 6})
    rebuilt, end = b"", 0
    for at, size, count, form in headers(data):
        rebuilt += data[end:at] + bytes([form]) + count.to_bytes(4, "big")
        end = at + size
    assert msgpack.unpackb(rebuilt + data[end:]) == msgpack.unpackb(data)
    assert sum(1 for _ in headers(data)) == 1 + 1 + 1 + 6 * 3


def test_every_lie_about_a_length_gives_a_value_or_a_refusal() -> None:
    for payload in SAMPLES:
        for told in lies(payload):
            check_message(around(told))


INSERTS = st.sampled_from(
    [
        b"\xdc\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\x7f\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xde\xff\xff",
        b"\xc1",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\x91" * 99,
    ]
)


@settings(max_examples=400)
@given(
    st.sampled_from([frames[2] for frames in CAPTURE] + DISTINCT),
    st.data(),
    INSERTS | st.binary(max_size=12),
    st.booleans(),
)
def test_anything_anywhere_gives_a_value_or_a_refusal(
    payload: bytes, data: st.DataObject, strange: bytes, insert: bool
) -> None:
    at = data.draw(st.integers(0, len(payload)))
    rest = payload[at:] if insert else payload[at + len(strange) :]
    check_message(around(payload[:at] + strange + rest))


@settings(max_examples=300)
@given(st.sampled_from([frames[2] for frames in CAPTURE]), st.data())
def test_a_bit_flip_of_a_long_payload_gives_a_value_or_a_refusal(
    payload: bytes, data: st.DataObject
) -> None:
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    flipped = bytearray(payload)
    flipped[bit // 8] ^= 1 << bit % 8
    check_message(around(bytes(flipped)))


PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
ANYTHING = st.recursive(
    PLAIN | st.binary(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=64), max_size=5))
def test_any_frames_give_a_value_or_a_refusal(frames: Frames) -> None:
    check_message(frames)
    check_replay(frames)


@given(ANYTHING)
def test_any_payload_gives_a_value_or_a_refusal(batch: Any) -> None:
    check_message(around(msgpack.packb(batch)))


# --- payloads that look like events, field by field ---

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["BlockStored", "BlockRemoved", "AllBlocksCleared", "Moved", "", 7]),
    "block_hashes": st.lists(st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=4), max_size=3),
    "parent_block_hash": st.none() | st.integers(0, 9),
    "token_ids": st.lists(st.integers(0, 300), max_size=4),
    "block_size": st.integers(0, 64),
    "medium": st.none() | st.text(max_size=3),
    "extra_keys": st.none() | st.lists(st.lists(st.text(max_size=2), max_size=2), max_size=2),
    "ownership": st.none() | st.dictionaries(st.text(max_size=2), PLAIN, max_size=2),
    "lookahead_token_ids": st.none() | st.lists(st.integers(0, 9), max_size=2) | st.text(),
    "later": ANYTHING,
}
REQUIRED = ("type", "block_hashes", "parent_block_hash", "token_ids", "block_size")


@st.composite
def map_events(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.permutations(list(FIELDS)))
    kept = [name for name in names if name in REQUIRED or draw(st.booleans())]
    strange = draw(st.sampled_from([*FIELDS, None, None, None]))
    return {name: draw(ANYTHING if name == strange else FIELDS[name]) for name in kept}


ARRAY_EVENTS = st.tuples(
    *(FIELDS[name] for name in (*REQUIRED, "parent_block_hash", "medium", "medium", "extra_keys"))
).flatmap(lambda fields: st.integers(0, len(fields)).map(lambda n: fields[:n]))
BATCHES = st.lists(map_events() | ARRAY_EVENTS, max_size=4)


@given(BATCHES, st.booleans(), st.none() | st.integers(0, 3))
def test_readers_agree_on_what_looks_like_events(
    events: list[Any], as_map: bool, rank: int | None
) -> None:
    batch = {"events": events, "attn_dp_rank": rank, "ts": 1} if as_map else [1.5, events, rank]
    check_message(around(msgpack.packb(batch)))
