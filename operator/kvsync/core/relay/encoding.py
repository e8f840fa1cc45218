"""The smallest form that every AIBrix gateway since v0.6.0 decodes.

A batch is ``[time, events]``, an event an array; one block an event, for a gateway hangs each block
of an event on the event's parent; hashes are unsigned 64-bit integers
(AIBrix pkg/cache/kvcache/msgpack_decoder.go, pkg/utils/syncprefixcacheindexer/sync_hash.go).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgpack

from kvsync.model.events import BlockHash

Key: TypeAlias = int
"""A block's hash as it is sent on: an unsigned 64-bit integer."""

MESSAGE_EVENTS, MESSAGE_BYTES = 128, 48 << 10
"""What one message holds at most, so that none is long to send or to keep."""
REMOVED_KEYS = 1024
"""Removals in one event."""

MASK = 2**64 - 1
"""Turns a signed 64-bit integer into the unsigned one of the same bits."""
_UINT64 = 0xCF
_ROOT = struct.Struct(">15sQB").pack
_CHILD = struct.Struct(">15sQBQ").pack
_KEY = struct.Struct(">BQ").pack
_TIME = struct.Struct(">BBd").pack
_STORED = b"\x95\xabBlockStored\x91\xcf"
CLEARED = b"\x91\xb0AllBlocksCleared"
"""The AllBlocksCleared event."""
_REMOVED = b"\x92\xacBlockRemoved"
_NIL = 0xC0


def key_of(block_hash: BlockHash) -> Key:
    """The key of an engine's hash: signed integers as unsigned ones, of bytes the first eight."""
    if type(block_hash) is int:
        return block_hash & MASK
    assert type(block_hash) is bytes
    return int.from_bytes(block_hash[:8], "big")


class StoredEvents:
    """Writes BlockStored events of one block each. Token ids must fit 32 bits."""

    def __init__(self) -> None:
        self._pack = msgpack.Packer().pack
        self._sizes: dict[int, bytes] = {}

    def write(self, key: Key, parent: Key | None, tokens: Sequence[int]) -> bytes:
        """One event."""
        count = len(tokens)
        size = self._sizes.get(count)
        if size is None:
            self._sizes.clear()  # an engine has one block size, or a few
            size = self._sizes[count] = self._pack(count)
        root = parent is None
        head = _ROOT(_STORED, key, _NIL) if root else _CHILD(_STORED, key, _UINT64, parent)
        event: bytes = head + self._pack(tokens) + size
        return event


def removed_events(keys: Sequence[Key]) -> Iterator[bytes]:
    """BlockRemoved events for any number of blocks."""
    for start in range(0, len(keys), REMOVED_KEYS):
        some = keys[start : start + REMOVED_KEYS]
        yield b"%b%b%b" % (_REMOVED, _array(len(some)), b"".join([_KEY(_UINT64, k) for k in some]))


def stored_key(event: bytes) -> Key | None:
    """The block of an event that :class:`StoredEvents` wrote; None for another event."""
    start = len(_STORED)
    return int.from_bytes(event[start : start + 8], "big") if event.startswith(_STORED) else None


def fitting(events: Sequence[bytes]) -> int:
    """How many of these, from the first on, one message holds; at least one."""
    some = events[:MESSAGE_EVENTS]
    size = sum(map(len, some))
    count = len(some)
    while size > MESSAGE_BYTES and count > 1:
        count -= 1
        size -= len(some[count])
    return count


def batch(time: float, events: Sequence[bytes]) -> bytes:
    """A payload. ``time`` is in seconds since the epoch."""
    return b"%b%b%b" % (_TIME(0x92, 0xCB, time), _array(len(events)), b"".join(events))


def _array(count: int) -> bytes:
    """The header of an array (msgpack spec)."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big")
