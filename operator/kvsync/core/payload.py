"""A payload read value by value: the bounded way into msgpack that a stranger wrote.

Containers are entered by their headers and nothing is built that the reader did not name; what is
stepped over costs next to nothing, and what is built counts against a budget. Failures are
WireErrors that hold no values.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack

from kvsync.core.wire_limits import WireLimits
from kvsync.model.events import BlockHash, Scalar, Value, WireError

UNREADABLE = (msgpack.UnpackException, ValueError, TypeError, RecursionError, MemoryError)
"""What msgpack raises on bad input. Its texts quote the stream: never pass them on."""


_ARRAYS = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))
_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
"""First bytes of containers: the length in 4 bits, 16 bits or 32 bits (msgpack spec)."""
_CONTAINERS = _ARRAYS | _MAPS
_SCALARS = frozenset((bool, int, float, str, bytes))
_HASHES = frozenset((int, bytes))
_INTEGERS = frozenset((int,))

EVENT_COST, _FIELD_COST, _NESTED_COST = 4, 4, 4
"""What takes steps of our own costs more of the values than an element of a plain list."""


class Payload:
    """A cursor over one msgpack value.

    The container limits of 0 make msgpack refuse to build a container where a scalar is read.
    ``place`` names where the cursor stands, for messages; ``event`` is the index of an event there.
    ``unpack`` reads and ``skip`` steps over one value, whatever it is.
    """

    def __init__(self, data: bytes, limits: WireLimits) -> None:
        self._data = data
        self._limits = limits
        self._values = limits.values
        self.place = "the batch"
        self.event: int | None = None
        self._unpacker = msgpack.Unpacker(
            None,
            raw=False,
            use_list=False,
            strict_map_key=False,
            read_size=max(len(data), 1),  # the buffer's size; without it 1 MiB for any message
            max_buffer_size=max(limits.payload, len(data), 1),
            max_str_len=limits.text,
            max_bin_len=limits.text,
            max_array_len=0,
            max_map_len=0,
            max_ext_len=0,
        )
        self._unpacker.feed(data)
        self.unpack = self._unpacker.unpack
        self._tell = self._unpacker.tell
        self.skip = self._unpacker.skip

    @property
    def where(self) -> str:
        """Where the cursor stands, in words."""
        return self.place if self.event is None else f"event {self.event}"

    def wrong(self, what: str) -> WireError:
        """Say what is wrong where the cursor stands."""
        return WireError(f"{self.where} {what}")

    def _misplaced(self, value: Any, wanted: str) -> WireError:
        return self.wrong(f"has {type(value).__name__} in place of {wanted}")

    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - int(self._tell())

    def at_map(self) -> bool:
        """Does a map come next?"""
        return self._first() in _MAPS

    def at_array(self) -> bool:
        """Does an array come next?"""
        return self._first() in _ARRAYS

    def _first(self) -> int:
        try:
            first: int = self._data[self._tell()]
        except IndexError:
            raise msgpack.OutOfData from None
        return first

    def array(self, limit: int, cost: int = 1) -> int:
        """Enter an array and return its length, at most ``limit``.

        ``cost`` is what each element takes of the values that one batch may hold.
        """
        return self._checked(self._unpacker.read_array_header(), limit, cost)

    def map(self) -> int:
        """Enter a map and return its number of fields."""
        return self._checked(self._unpacker.read_map_header(), self._limits.fields, _FIELD_COST)

    def _checked(self, count: int, limit: int, cost: int) -> int:
        if count > limit:
            raise self.wrong(f"claims {count} elements; at most {limit} are read")
        self._values -= count * cost
        if self._values < 0:
            raise self.wrong(f"goes beyond the {self._limits.values} values read of one batch")
        return count

    def key(self) -> str:
        """Read the name of a field."""
        key = self.unpack()
        return key if type(key) is str else self.key_of(key)

    def key_of(self, value: Any) -> str:
        """The name of a field in what was read in its place."""
        if type(value) is bytes:
            return value.decode()
        if type(value) is not str:
            raise self.wrong("has a field name that is no text")
        return value

    def kind(self) -> str:
        """Read the type of an event."""
        kind = self.key()
        if not (len(kind) <= 64 and kind.isascii() and kind.isidentifier()):
            raise self.wrong("has a type that is no name")
        return kind

    def number(self) -> float:
        """Read a finite number."""
        value = self.unpack()
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.wrong("has a time that is no number")
        return float(value)

    def integer(self) -> int:
        """Read an integer."""
        value = self.unpack()
        if type(value) is int:
            return value
        raise self._misplaced(value, "an integer")

    def optional_integer(self) -> int | None:
        """Read an integer or nil."""
        value = self.unpack()
        if value is not None and type(value) is not int:
            raise self._misplaced(value, "an integer")
        return value

    def optional_text(self) -> str | None:
        """Read a text or nil."""
        value = self.unpack()
        if value is not None and type(value) is not str:
            raise self._misplaced(value, "a text")
        return value

    def scalar(self) -> Scalar:
        """Read anything that is not a container."""
        value = self.unpack()
        if value is not None and type(value) not in _SCALARS:
            raise self._misplaced(value, "a plain value")
        plain: Scalar = value
        return plain

    def scalar_or_nothing(self) -> Scalar:
        """Read anything that is not a container; step over a container."""
        if self._first() in _CONTAINERS:
            self.skip()
            return None
        return self.scalar()

    def optional_hash(self) -> BlockHash | None:
        """Read a block hash or nil."""
        value = self.unpack()
        if value is not None and type(value) is not int and type(value) is not bytes:
            raise self._misplaced(value, "a block hash")
        found: BlockHash | None = value
        return found

    def hashes(self) -> tuple[BlockHash, ...]:
        """Read a list of block hashes."""
        unpack = self.unpack
        found = tuple([unpack() for _ in range(self.array(self._limits.blocks))])
        if not _HASHES.issuperset(map(type, found)):
            raise self.wrong("has a block hash that is neither integer nor bytes")
        return found

    def integers(self) -> tuple[int, ...]:
        """Read a list of integers, such as token ids."""
        unpack = self.unpack
        found = tuple([unpack() for _ in range(self.array(self._limits.tokens))])
        if not _INTEGERS.issuperset(map(type, found)):
            stranger = next(value for value in found if type(value) is not int)
            raise self._misplaced(stranger, "an integer")
        return found

    def skip_values(self, count: int) -> None:
        """Step over the next values, whatever they are."""
        skip = self.skip
        for _ in range(count):
            skip()

    def skip_array(self) -> int:
        """Step over an array without making its elements; return how many it has."""
        start = self._tell()
        if not self.at_array():
            raise self.wrong("has no list where the token ids stand")
        self.skip()
        return self._checked(_array_length(self._data, start), self._limits.tokens, 0)

    def value(self, depth: int | None = None) -> Value:
        """Any plain value or list, nested no deeper than the limit."""
        depth = self._limits.depth if depth is None else depth
        if self._first() not in _ARRAYS:
            return self.scalar()
        if not depth:
            raise self.wrong("is nested too deeply")
        count = self.array(self._limits.blocks, _NESTED_COST)
        return tuple([self.value(depth - 1) for _ in range(count)])


def _array_length(data: bytes, at: int) -> int:
    """The length in an array header (msgpack spec)."""
    first = data[at]
    if first < 0xDC:
        return first & 0x0F
    return int.from_bytes(data[at + 1 : at + (3 if first == 0xDC else 5)], "big")
