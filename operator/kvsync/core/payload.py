"""A payload read value by value: the bounded way into msgpack that a stranger wrote.

Containers are entered by their headers and nothing is built that the reader did not name, so time
and memory are bounded by the payload's length. Failures are WireErrors that hold no values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgpack

from kvsync.model.events import BlockHash, Scalar, Value, WireError

UNREADABLE = (msgpack.UnpackException, ValueError, TypeError, RecursionError, MemoryError)
"""What msgpack raises on bad input. Its texts quote the stream: never pass them on."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one message may hold at most; far above what an engine's step produces. Bytes, counts."""

    topic: int = 1024
    payload: int = 4 << 20
    events: int = 1 << 14
    blocks: int = 1 << 16
    tokens: int = 1 << 22
    text: int = 4096
    fields: int = 64
    depth: int = 4


class Payload:
    """A cursor over one msgpack value.

    The container limits of 0 make msgpack refuse to build a container where a scalar is read.
    ``place`` names where the cursor stands, for messages.
    """

    def __init__(self, data: bytes, limits: WireLimits) -> None:
        self._data = data
        self._limits = limits
        self.place = "the batch"
        self._unpacker = msgpack.Unpacker(
            None,
            raw=False,
            use_list=False,
            strict_map_key=False,
            max_buffer_size=max(limits.payload, 1),
            max_str_len=limits.text,
            max_bin_len=limits.text,
            max_array_len=0,
            max_map_len=0,
            max_ext_len=0,
        )
        self._unpacker.feed(data)
        self._unpack = self._unpacker.unpack
        self.skip = self._unpacker.skip

    def wrong(self, what: str) -> WireError:
        """Say what is wrong where the cursor stands."""
        return WireError(f"{self.place} {what}")

    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - int(self._unpacker.tell())

    def at_map(self) -> bool:
        """Does a map come next?"""
        return self._first() & 0xF0 == 0x80 or self._first() in (0xDE, 0xDF)

    def at_array(self) -> bool:
        """Does an array come next?"""
        return self._first() & 0xF0 == 0x90 or self._first() in (0xDC, 0xDD)

    def _first(self) -> int:
        at = self._unpacker.tell()
        if at >= len(self._data):
            raise msgpack.OutOfData
        first: int = self._data[at]
        return first

    def array(self, limit: int) -> int:
        """Enter an array and return its length, at most ``limit``."""
        return self._checked(int(self._unpacker.read_array_header()), limit)

    def map(self) -> int:
        """Enter a map and return its number of fields."""
        return self._checked(int(self._unpacker.read_map_header()), self._limits.fields)

    def _checked(self, count: int, limit: int) -> int:
        if count > limit:
            raise self.wrong(f"claims {count} elements; at most {limit} are read")
        return count

    def key(self) -> str:
        """Read the name of a field."""
        key = self._unpack()
        if type(key) is bytes:
            key = key.decode()
        if type(key) is not str:
            raise self.wrong("has a field name that is no text")
        return key

    def number(self) -> float:
        """Read a finite number."""
        value = self._unpack()
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.wrong("has a time that is no number")
        return float(value)

    def integer(self) -> int:
        """Read an integer."""
        value = self._unpack()
        if type(value) is int:
            return value
        raise self.wrong(f"has {type(value).__name__} in place of an integer")

    def optional_integer(self) -> int | None:
        """Read an integer or nil."""
        value = self._unpack()
        if value is not None and type(value) is not int:
            raise self.wrong(f"has {type(value).__name__} in place of an integer")
        return value

    def optional_text(self) -> str | None:
        """Read a text or nil."""
        value = self._unpack()
        if value is not None and type(value) is not str:
            raise self.wrong(f"has {type(value).__name__} in place of a text")
        return value

    def scalar(self) -> Scalar:
        """Read anything that is not a container."""
        value = self._unpack()
        if value is not None and type(value) not in (bool, int, float, str, bytes):
            raise self.wrong(f"has {type(value).__name__} in place of a plain value")
        plain: Scalar = value
        return plain

    def optional_hash(self) -> BlockHash | None:
        """Read a block hash or nil."""
        value = self._unpack()
        if value is not None and type(value) is not int and type(value) is not bytes:
            raise self.wrong(f"has {type(value).__name__} in place of a block hash")
        found: BlockHash | None = value
        return found

    def hashes(self) -> tuple[BlockHash, ...]:
        """Read a list of block hashes."""
        unpack = self._unpack
        found: list[Any] = [unpack() for _ in range(self.array(self._limits.blocks))]
        if not {type(value) for value in found} <= {int, bytes}:
            raise self.wrong("has a block hash that is neither integer nor bytes")
        return tuple(found)

    def integers(self) -> tuple[int, ...]:
        """Read a list of integers, such as token ids."""
        return tuple([self.integer() for _ in range(self.array(self._limits.tokens))])

    def skip_array(self) -> int:
        """Step over an array without making its elements; return how many it has."""
        start = self._unpacker.tell()
        if not self.at_array():
            raise self.wrong("has no list where the token ids stand")
        self.skip()
        return self._checked(_array_length(self._data, start), self._limits.tokens)

    def value(self, depth: int | None = None) -> Value:
        """Any plain value or list, nested no deeper than the limit."""
        depth = self._limits.depth if depth is None else depth
        if not self.at_array():
            return self.scalar()
        if not depth:
            raise self.wrong("is nested too deeply")
        return tuple([self.value(depth - 1) for _ in range(self.array(self._limits.blocks))])


def _array_length(data: bytes, at: int) -> int:
    """The length in an array header: 4 bits, 16 bits (0xdc) or 32 bits (0xdd) (msgpack spec)."""
    width = {0xDC: 2, 0xDD: 4}.get(data[at])
    return int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else data[at] & 0x0F
