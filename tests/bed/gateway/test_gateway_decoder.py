"""The gateway's decoders against frames that vLLM releases really publish."""

import json
import struct
from pathlib import Path
from typing import Any

import msgpack
import pytest

from testbed.gateway import array_decoder, map_decoder
from testbed.gateway.events import AllBlocksCleared, BlockRemoved, BlockStored, DecodeError

DATA = Path(__file__).parents[2] / "testbed" / "data"
GOLDEN = [json.loads(line) for line in (DATA / "vllm_golden.jsonl").open()]
ARRAYS = [row for row in GOLDEN if row["array_like"]["BlockStored"]]
MAPS = [row for row in GOLDEN if not row["array_like"]["BlockStored"]]


def tokens(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def payloads(row: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(frames[2]) for frames in row["pub_frames_hex"]]


def batch(*events: Any, rank: Any = 0) -> bytes:
    return bytes(msgpack.packb([1.5, list(events), rank]))


def stored(
    *,
    hashes: tuple[Any, ...] = (1,),
    parent: Any = None,
    token_ids: tuple[int, ...] = (1, 2, 3, 4),
    block_size: Any = 4,
) -> list[Any]:
    return ["BlockStored", list(hashes), parent, list(token_ids), block_size]


def test_the_data_holds_both_forms() -> None:
    assert ARRAYS
    assert MAPS


@pytest.mark.parametrize("row", ARRAYS, ids=lambda row: row["version"])
def test_array_releases_decode(row: dict[str, Any]) -> None:
    first, second, third = (array_decoder.decode(payload) for payload in payloads(row))
    assert first == [
        BlockStored((111, 222), None, (tokens(1, 2, 3, 4), tokens(5, 6, 7, 8))),
    ]
    stored_block, removed = second
    assert stored_block == BlockStored((0x0101010101010101,), 222, (tokens(9, 10, 11, 12),))
    assert removed == BlockRemoved((111,))
    assert third == [AllBlocksCleared()]


@pytest.mark.parametrize("row", MAPS, ids=lambda row: row["version"])
def test_map_releases_are_errors(row: dict[str, Any]) -> None:
    for payload in payloads(row):
        with pytest.raises(DecodeError) as refused:
            array_decoder.decode(payload)
        assert str(refused.value) == (
            "event 0: expected msgpack array, got map[string]interface {}"
        )


def test_captured_map_batches_are_all_errors() -> None:
    with (DATA / "vllm_capture_0.32.0.jsonl").open() as lines:
        captured = [bytes.fromhex(json.loads(line)["payload_hex"]) for line in lines]
    assert len(captured) == 187
    for payload in captured:
        with pytest.raises(DecodeError, match="expected msgpack array"):
            array_decoder.decode(payload)


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["version"])
def test_releases_before_0_6_decode_nothing(row: dict[str, Any]) -> None:
    for payload in payloads(row):
        with pytest.raises(DecodeError, match=r"msgpack : invalid code 9[23] decoding map"):
            map_decoder.decode(payload)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "failed to unmarshal"),
        (batch(stored())[:-3], "failed to unmarshal"),
        (msgpack.packb({"ts": 1.5}), "msgpack: invalid code=81 decoding array length"),
        (msgpack.packb([1.5]), "expected 2 elements in batch"),
        (msgpack.packb([1.5, [], 0, 0]), "expected 2 elements in batch"),
        (msgpack.packb([1.5, [], None]), "data_parallel_rank is not an int: <nil>"),
        (msgpack.packb([1, []]), "invalid batch timestamp type: int64"),
        (msgpack.packb([1.5, 3]), "expected events array, got int64"),
        (batch([]), "event 0: empty event array"),
        (batch([7]), "event tag not string: int64"),
        (batch(stored(), ["BlockMoved", [1]]), "event 1: unknown event type: BlockMoved"),
        (batch(stored()[:4]), "BlockStored requires at least 5 fields, got 4"),
        (batch(["BlockRemoved"]), "BlockRemoved expects"),
        (batch(stored(token_ids=(1, 2, 3))), "not a multiple of block_size 4"),
        (batch(stored(block_size=0)), "not a multiple of block_size 0"),
        (batch(stored(block_size=None)), "invalid block_size"),
        (batch(stored(token_ids=(-1, 2, 3, 4))), "token_ids[0]"),
        (batch(stored(hashes=(1.5,))), "block_hashes[0]"),
        (batch(["BlockRemoved", 1]), "invalid block_hashes"),
        (batch(stored(parent=1.5)), "invalid parent_block_hash"),
    ],
)
def test_one_bad_thing_drops_the_batch(payload: bytes, words: str) -> None:
    with pytest.raises(DecodeError) as refused:
        array_decoder.decode(payload)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (2**64 - 1, -1),
        (bytes(range(1, 33)), 0x0102030405060708),
        (b"\xff" * 8, -1),
        (b"\xff\x01", 0xFF01),
        (b"", 0),
    ],
)
def test_hashes_are_signed_64_bit(given: Any, number: int) -> None:
    (removed,) = array_decoder.decode(batch(["BlockRemoved", [given]]))
    assert removed == BlockRemoved((number,))


def test_an_offload_placeholder_has_no_blocks() -> None:
    (event,) = array_decoder.decode(batch(stored(token_ids=())))
    assert event == BlockStored((1,), None, ())


def test_endless_nesting_is_an_error_and_no_crash() -> None:
    with pytest.raises(DecodeError):
        array_decoder.decode(b"\x91" * 100_000)


def old(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": 1, "model_name": "m", **fields}


def test_the_old_form_of_its_own_decodes() -> None:
    payload = msgpack.packb(
        {
            "events": [
                old("BlockStored", block_hashes=[1], token_ids=[[1, 2]], parent_block_hash=9),
                old("BlockRemoved", block_hashes=[1]),
                old("AllBlocksCleared"),
            ]
        }
    )
    assert map_decoder.decode(payload) == [
        BlockStored((1,), 9, (tokens(1, 2),)),
        BlockRemoved((1,)),
        AllBlocksCleared(),
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "missing or invalid events field"),
        ({"events": [3]}, "index 0: invalid event format: expected map, got int64"),
        ({"events": [{}]}, "missing event type"),
        ({"events": [{"type": "Other"}]}, "unknown event type: Other"),
        ({"events": [{"type": "BlockRemoved", "model_name": "m"}]}, "parse timestamp"),
        ({"events": [{"type": "BlockRemoved", "timestamp": 1}]}, "invalid model_name"),
        ({"events": [old("BlockRemoved")]}, "failed to parse block_hashes"),
        ({"events": [old("BlockStored", block_hashes=[1])]}, "invalid token_ids"),
        (
            {"events": [old("BlockStored", block_hashes=[1], token_ids=[3])]},
            "token_ids at index 0",
        ),
    ],
)
def test_the_old_form_is_checked(value: Any, words: str) -> None:
    with pytest.raises(DecodeError) as refused:
        map_decoder.decode(msgpack.packb(value))
    assert words in str(refused.value)
