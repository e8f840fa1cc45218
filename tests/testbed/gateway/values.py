"""Single msgpack values as the gateway's Go code reads them."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped, unused-ignore]

from testbed.gateway.events import DecodeError

_GO_TYPES: dict[type, str] = {
    dict: "map[string]interface {}",
    list: "[]interface {}",
    str: "string",
    bytes: "[]uint8",
    bool: "bool",
    int: "int64",
    float: "float64",
    type(None): "<nil>",
}


def unpack(payload: bytes) -> Any:
    """One msgpack value; lists stay lists, text stays text, binary stays bytes.

    Raises:
        DecodeError: not one whole msgpack value, or nested without end.
    """
    try:
        return msgpack.unpackb(payload, raw=False, strict_map_key=False)
    except (ValueError, RecursionError) as problem:
        raise DecodeError(f"failed to unmarshal event batch: {problem}") from problem


def go_type(value: Any) -> str:
    """What Go's `%T` prints for the decoded value (widths of integers are not kept)."""
    return _GO_TYPES.get(type(value), type(value).__name__)


def integer(value: Any) -> int:
    """A whole number; raises DecodeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(f"unsupported int type: {go_type(value)}")
    return value


def hash_of(value: Any) -> int:
    """A block hash as a signed 64-bit number: of bytes, the first 8 count, big-endian."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return int.from_bytes(value[:8], "big", signed=len(value) >= 8)
    return _signed64(integer(value))


def _signed64(number: int) -> int:
    number &= 0xFFFFFFFFFFFFFFFF
    return number - (1 << 64) if number >> 63 else number
