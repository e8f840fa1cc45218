"""Decodes a batch as the gateway did up to v0.5.0: a map in a form of its own.

After AIBrix `pkg/cache/kvcache/msgpack_decoder.go` before its change to arrays. No vLLM release
publishes this form, so every real batch is an error; it is here so that the error is the true one
and a relay that would speak the form could be tested.
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

_MAP_CODES = frozenset({0xDE, 0xDF, *range(0x80, 0x90)})


def decode(payload: bytes) -> list[Event]:
    """The events of one batch `{"events": [{"type": …, "timestamp": …, "model_name": …}, …]}`.

    Raises:
        DecodeError: anything else, with the gateway's words.
    """
    if payload and payload[0] not in _MAP_CODES:
        raise DecodeError(
            f"failed to unmarshal event batch: msgpack : invalid code {payload[0]:x} decoding map"
        )
    batch: dict[str, Any] = unpack(payload)
    events = batch.get("events")
    if not isinstance(events, list):
        raise DecodeError("missing or invalid events field")
    return [_numbered(number, event) for number, event in enumerate(events)]


def _numbered(number: int, event: Any) -> Event:
    try:
        return _event(event)
    except DecodeError as problem:
        raise DecodeError(f"failed to parse event at index {number}: {problem}") from None


def _event(event: Any) -> Event:
    if not isinstance(event, dict):
        raise DecodeError(f"invalid event format: expected map, got {go_type(event)}")
    tag = event.get("type")
    if not isinstance(tag, str):
        raise DecodeError("missing event type")
    if tag not in ("BlockStored", "BlockRemoved", "AllBlocksCleared"):
        raise DecodeError(f"unknown event type: {tag}")
    _envelope(event)
    if tag == "AllBlocksCleared":
        return AllBlocksCleared()
    hashes = _hashes(event.get("block_hashes"))
    return BlockRemoved(hashes) if tag == "BlockRemoved" else _stored(event, hashes)


def _envelope(event: dict[str, Any]) -> None:
    if not isinstance(event.get("timestamp"), int | float | str):
        raise DecodeError(
            "failed to parse timestamp: "
            f"unsupported timestamp type: {go_type(event.get('timestamp'))}"
        )
    if not isinstance(event.get("model_name"), str):
        raise DecodeError("missing or invalid model_name")


def _stored(event: dict[str, Any], hashes: tuple[int, ...]) -> BlockStored:
    blocks = event.get("token_ids")
    if not isinstance(blocks, list):
        raise DecodeError("missing or invalid token_ids")
    parent = event.get("parent_block_hash")
    return BlockStored(
        hashes=hashes,
        parent=None if parent is None else hash_of(parent),
        blocks=tuple(_block(number, block) for number, block in enumerate(blocks)),
    )


def _block(number: int, tokens: Any) -> bytes:
    if not isinstance(tokens, list):
        raise DecodeError(
            f"failed to parse token_ids at index {number}: expected array, got {go_type(tokens)}"
        )
    return b"".join(struct.pack(">I", integer(token) & 0xFFFFFFFF) for token in tokens)


def _hashes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise DecodeError(f"failed to parse block_hashes: expected array, got {go_type(value)}")
    return tuple(hash_of(integer(item)) for item in value)
