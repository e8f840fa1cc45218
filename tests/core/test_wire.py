"""The wire decoder against frames of real releases, and against everything else."""

import dataclasses
import math
from collections import Counter
from typing import Any

import msgpack
import pytest

from core.golden_messages import CAPTURE, GOLDEN, Row, batches, published, replayed
from kvsync.core.wire import (
    HARMLESS_REPLAY_REQUEST,
    Keep,
    WireLimits,
    decode_batch,
    parse_replay,
)
from kvsync.model.events import (
    BlockRemoved,
    BlockStored,
    EventLayout,
    KVEvent,
    ReplayReply,
    UnknownEvent,
    WireError,
)

ALL = Keep(token_ids=True, extra_keys=True)
BY_RELEASE = pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["version"])


@BY_RELEASE
def test_golden_frames_hold_what_the_release_put_in(row: Row) -> None:
    read = [decode_batch(frames, keep=ALL) for frames in published(row)]
    assert read == list(batches(row))


@BY_RELEASE
def test_golden_replays_are_read_in_both_forms(row: Row) -> None:
    *replies, end = map(parse_replay, replayed(row))
    topic = b"t" if len(row["replay_from_1_frames_hex"][0]) == 4 else None
    assert end == ReplayReply(end=True, topic=None if topic is None else b"")
    assert [(reply.end, reply.sequence, reply.topic) for reply in replies] == [
        (False, 1, topic),
        (False, 2, topic),
    ]
    frames = [[b"t", (reply.sequence or 0).to_bytes(8, "big"), reply.payload] for reply in replies]
    assert [decode_batch(each, keep=ALL) for each in frames] == list(batches(row))[1:]


def test_both_forms_of_a_replay_are_among_the_recorded_ones() -> None:
    new = [row["version"] for row in GOLDEN if len(replayed(row)[0]) == 4]
    assert new == ["0.26.0", "0.31.0", "0.5.22", "0.5.23"]


def _plain(event: KVEvent) -> dict[str, Any]:
    fields = dataclasses.asdict(event)
    fields.pop("token_count", None)
    return {name: value for name, value in fields.items() if value is not None}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


def test_capture_decodes_to_what_an_untyped_reader_sees() -> None:
    kinds: Counter[str] = Counter()
    for index, frames in enumerate(CAPTURE):
        batch = decode_batch(frames, keep=ALL)
        timestamp, events, rank = msgpack.unpackb(frames[2])
        assert (batch.topic, batch.sequence) == ("kv-events", index)
        assert (batch.timestamp, batch.rank) == (timestamp, rank)
        for event, raw in zip(batch.events, events, strict=True):
            kind = raw.pop("type")
            assert type(event).__name__ == kind
            expected = {k: _tuples(v) for k, v in raw.items() if v is not None}
            assert _plain(event) == expected
            kinds[kind] += 1
    assert kinds == {"BlockStored": 126, "BlockRemoved": 337, "AllBlocksCleared": 1}


def test_token_ids_are_counted_and_not_kept() -> None:
    for frames in CAPTURE:
        for event in decode_batch(frames).events:
            if isinstance(event, BlockStored):
                assert (event.token_ids, event.extra_keys) == (None, None)
                assert event.token_count == len(event.block_hashes) * event.block_size


def _message(batch: Any) -> list[bytes]:
    return [b"", bytes(8), msgpack.packb(batch)]


STORED = {"type": "BlockStored", "block_hashes": [-5], "parent_block_hash": -7}
STORED |= {"token_ids": [], "block_size": 16}


def test_batch_as_map_reads_like_batch_as_array() -> None:
    as_array = decode_batch(_message([2.0, [STORED], 3]))
    as_map = decode_batch(
        _message({"later": [1], "data_parallel_rank": 3, "events": [STORED], "ts": 2})
    )
    assert as_map == as_array
    assert as_map.rank == 3


def test_signed_hashes_and_a_tag_that_stands_last() -> None:
    tag_last = {**{k: v for k, v in STORED.items() if k != "type"}, "type": "BlockStored"}
    (event,) = decode_batch(_message([1.0, [tag_last]])).events
    assert event == BlockStored((-5,), -7, 0, 16)


def test_fields_and_elements_of_a_later_release_are_passed_over() -> None:
    later = {**STORED, "novel": {"a": [[1], {"b": 2}]}, "other": b"x"}
    array = ["BlockRemoved", [1], "GPU", 0, None, None, {"novel": []}, 7]
    batch = decode_batch(_message([1.0, [later, array], 0, "more", [1]]))
    assert batch.events == (BlockStored((-5,), -7, 0, 16), BlockRemoved((1,), "GPU", 0))


def test_a_young_field_may_take_any_form() -> None:
    for name in ("locality", "ownership", "session_id"):
        for value, read in (("x", "x"), (1.5, 1.5), ([1, [2]], None), ({"a": {}}, None)):
            (event,) = decode_batch(_message([1.0, [{**STORED, name: value}]])).events
            assert getattr(event, name) == read


def test_the_rank_in_a_map_has_the_engines_name() -> None:
    for name in ("data_parallel_rank", "attn_dp_rank"):
        assert decode_batch(_message({"ts": 1, "events": [], name: 3})).rank == 3


def test_the_layout_is_that_of_the_first_event() -> None:
    array, as_map = ["AllBlocksCleared"], {"type": "AllBlocksCleared"}
    for events, layout in (
        ([], None),
        ([array, as_map], EventLayout.ARRAY),
        ([as_map, array], EventLayout.MAP),
    ):
        assert decode_batch(_message([1.0, events])).layout is layout
        assert decode_batch(_message({"events": events, "ts": 1})).layout is layout


def test_an_event_of_a_later_release_is_named_and_not_read() -> None:
    batch = decode_batch(_message([1.0, [["BlockMoved", [[]]], {"type": "Moved", "medium": 3}]]))
    assert batch.events == (UnknownEvent("BlockMoved"), UnknownEvent("Moved"))


def test_lookahead_tokens_are_tokens() -> None:
    message = _message([1.0, [{**STORED, "lookahead_token_ids": [77, 78]}]])
    (kept,) = decode_batch(message, keep=Keep(token_ids=True)).events
    (left,) = decode_batch(message).events
    assert isinstance(kept, BlockStored)
    assert isinstance(left, BlockStored)
    assert (kept.lookahead_token_ids, left.lookahead_token_ids) == ((77, 78), None)


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in STORED.items() if key != name}


NESTED = b"\x91" * 100_000
REFUSED = {
    "two frames": [b"", bytes(8)],
    "short sequence": [b"", bytes(7), b"\x90"],
    "long topic": [b"t" * 1025, bytes(8), b"\x90"],
    "empty payload": [b"", bytes(8), b""],
    "json": [b"", bytes(8), b'{"events": []}'],
    "http": [b"HTTP/1.1 400 Bad Request", bytes(8), b"\r\n"],
    "empty batch": _message([]),
    "number": _message(7),
    "no events": _message([1.0]),
    "text for a time": _message(["1.0", []]),
    "NaN": _message([math.nan, []]),
    "true for a time": _message([True, []]),
    "nil events": _message([1.0, None]),
    "map without ts": _message({"events": []}),
    "bad rank": _message([1.0, [], "0"]),
    "empty event": _message([1.0, [[]]]),
    "event is a number": _message([1.0, [5]]),
    "untagged": _message([1.0, [_without("type")]]),
    "no hashes": _message([1.0, [_without("block_hashes")]]),
    "no tokens": _message([1.0, [_without("token_ids")]]),
    "hash is text": _message([1.0, [{**STORED, "block_hashes": ["a"]}]]),
    "hash is a list": _message([1.0, [{**STORED, "block_hashes": [[]]}]]),
    "true for a hash": _message([1.0, [{**STORED, "block_hashes": [True]}]]),
    "no block size": _message([1.0, [{**STORED, "block_size": None}]]),
    "tokens are text": _message([1.0, [{**STORED, "token_ids": "abc"}]]),
    "type is no name": _message([1.0, [["a b"]]]),
    "type is a list": _message([1.0, [[["BlockStored"]]]]),
    "bytes follow": [b"", bytes(8), msgpack.packb([1.0, []]) + b"\x00"],
    "ext": _message([1.0, [], msgpack.ExtType(4, b"")]),
    "not utf-8": [b"", bytes(8), b"\x92\x01\x91\x91\xa2\xff\xfe"],
    "field twice": [b"", bytes(8), b"\x82\xa2ts\x01\xa2ts\x01"],
    "nested": [b"", bytes(8), NESTED],
    "nested in tokens": [b"", bytes(8), b"\x92\x01\x91\x94\xabBlockStored\x90\xc0" + NESTED],
    "a million empty lists": _message([1.0, [[]] * 1_000_000]),
    "claims 4 G events": [b"", bytes(8), b"\x92\x01\xdd\xff\xff\xff\xff"],
    "claims 4 G tokens": [
        b"",
        bytes(8),
        b"\x92\x01\x91\x95\xabBlockStored\x90\xc0\xdd\xff\xff\xff\xff",
    ],
}


@pytest.mark.parametrize("frames", REFUSED.values(), ids=REFUSED.keys())
def test_other_layouts_are_refused_in_plain_words(frames: list[bytes]) -> None:
    with pytest.raises(WireError) as refused:
        decode_batch(frames, keep=ALL)
    assert len(str(refused.value)) < 120
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_refusal_names_the_place_and_never_a_token() -> None:
    tokens = [424_242, "secret", 31_337]
    message = _message([1.0, [STORED, {**STORED, "token_ids": tokens}]])
    with pytest.raises(WireError, match="event 1 has str in place of an integer") as refused:
        decode_batch(message, keep=ALL)
    assert not {"424242", "secret", "31337"} & set(str(refused.value).split())


def test_limits_are_the_callers() -> None:
    with pytest.raises(WireError, match="payload has"):
        decode_batch(CAPTURE[0], limits=WireLimits(payload=64))
    with pytest.raises(WireError, match="at most 3"):
        decode_batch(CAPTURE[0], limits=WireLimits(tokens=3))


def test_replay_refusals() -> None:
    for frames in ([], [b"x"], [b""] * 5, [b"", b"abc", b""], [b"", b"\xff" * 8, b"data"]):
        with pytest.raises(WireError):
            parse_replay(frames)


def test_the_harmless_request_asks_for_the_last_possible_sequence() -> None:
    delimiter, start = HARMLESS_REPLAY_REQUEST
    assert delimiter == b""
    # one below the end marker: the comparison `seq >= start` of the engine never holds
    assert int.from_bytes(start, "big") == 2**64 - 2
    assert parse_replay([b"", b"\xff" * 8, b""]) == ReplayReply(end=True)
