"""Decodes a batch as the gateway does from v0.6.0 on: array events only.

After AIBrix `pkg/cache/kvcache/msgpack_decoder.go`. Written apart from kvsync's decoder on purpose:
the two are compared in tests, neither may lean on the other. One bad event drops its batch.
"""

from __future__ import annotations

import struct
from typing import Any

from testbed.gateway.events import (
    AllBlocksCleared,
    BlockRemoved,
    BlockStored,
    DecodeError,
    Event,
)
from testbed.gateway.values import go_type, hash_of, integer, unpack

_ARRAY_CODES = frozenset({0xDC, 0xDD, *range(0x90, 0xA0)})
_TOKEN_MAX = 0xFFFFFFFF


def decode(payload: bytes) -> list[Event]:
    """The events of one batch `[ts, [event, …], rank?]`.

    Raises:
        DecodeError: anything else, with the gateway's words.
    """
    if payload and payload[0] not in _ARRAY_CODES:
        raise DecodeError(
            "failed to unmarshal event batch: "
            f"msgpack: invalid code={payload[0]:x} decoding array length"
        )
    events = _events_of(unpack(payload))
    return [_numbered(number, event) for number, event in enumerate(events)]


def _events_of(batch: list[Any]) -> list[Any]:
    if len(batch) == 3:
        _rank(batch[2])
    elif len(batch) != 2:
        raise DecodeError(f"expected 2 elements in batch (ts, events), got {len(batch)}")
    if not isinstance(batch[0], float):
        raise DecodeError(f"invalid batch timestamp type: {go_type(batch[0])}")
    if not isinstance(batch[1], list):
        raise DecodeError(f"expected events array, got {go_type(batch[1])}")
    return batch[1]


def _rank(value: Any) -> None:
    try:
        integer(value)
    except DecodeError:
        raise DecodeError(f"data_parallel_rank is not an int: {go_type(value)}") from None


def _numbered(number: int, event: Any) -> Event:
    if not isinstance(event, list):
        raise DecodeError(f"event {number}: expected msgpack array, got {go_type(event)}")
    try:
        return _event(event)
    except DecodeError as problem:
        raise DecodeError(f"event {number}: {problem}") from None


def _event(fields: list[Any]) -> Event:
    if not fields:
        raise DecodeError("empty event array")
    tag = fields[0]
    if not isinstance(tag, str):
        raise DecodeError(f"event tag not string: {go_type(tag)}")
    if tag == "BlockStored":
        return _stored(fields)
    if tag == "BlockRemoved":
        return _removed(fields)
    if tag == "AllBlocksCleared":
        return AllBlocksCleared()
    raise DecodeError(f"unknown event type: {tag}")


def _stored(fields: list[Any]) -> BlockStored:
    if len(fields) < 5:
        raise DecodeError(f"BlockStored requires at least 5 fields, got {len(fields)}")
    _, hashes, parent, tokens, block_size, *_ = fields
    return BlockStored(
        hashes=_hashes(hashes),
        parent=None if parent is None else _hash("invalid parent_block_hash", parent),
        blocks=_blocks(tokens, block_size),
    )


def _removed(fields: list[Any]) -> BlockRemoved:
    if len(fields) < 2:
        raise DecodeError(f"BlockRemoved expects ≥2 fields, got {len(fields)}")
    return BlockRemoved(hashes=_hashes(fields[1]))


def _hashes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise DecodeError(f"invalid block_hashes: expected []interface{{}}, got {go_type(value)}")
    return tuple(
        _hash(f"invalid block_hashes: block_hashes[{number}]", item)
        for number, item in enumerate(value)
    )


def _hash(what: str, value: Any) -> int:
    try:
        return hash_of(value)
    except DecodeError as problem:
        raise DecodeError(f"{what}: {problem}") from None


def _blocks(tokens: Any, block_size: Any) -> tuple[bytes, ...]:
    if not isinstance(tokens, list):
        raise DecodeError(f"invalid token_ids type: {go_type(tokens)}")
    size = _block_size(block_size)
    packed = b"".join(_token(number, token) for number, token in enumerate(tokens))
    if size <= 0 or len(tokens) % size:
        raise DecodeError(f"token_ids length {len(tokens)} is not a multiple of block_size {size}")
    step = 4 * size
    return tuple(packed[start : start + step] for start in range(0, len(packed), step))


def _block_size(value: Any) -> int:
    try:
        return integer(value)
    except DecodeError as problem:
        raise DecodeError(f"invalid block_size: {problem}") from None


def _token(number: int, token: Any) -> bytes:
    if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token <= _TOKEN_MAX:
        raise DecodeError(f"token_ids[{number}]: not a uint32: {go_type(token)}")
    return struct.pack(">I", token)
