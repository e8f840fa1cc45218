"""The smallest form that every AIBrix gateway since v0.6.0 decodes.

A batch is ``[time, events]``, an event an array; one block an event, for a gateway hangs each block
of an event on the event's parent; hashes are unsigned 64-bit integers
(AIBrix pkg/cache/kvcache/msgpack_decoder.go, pkg/utils/syncprefixcacheindexer/sync_hash.go). Token
ids are written with 32 bits each, whatever their size: so events of one block size are as long.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias, cast

import msgpack

from kvsync.model.events import BlockHash

Key: TypeAlias = int
"""A block's hash as it is sent on: an unsigned 64-bit integer."""

MESSAGE_EVENTS, MESSAGE_BYTES = 128, 48 << 10
"""What one message holds at most, so that none is long to send or to keep."""
REMOVED_KEYS = 1024
"""Removals in one event."""

TOKEN = 4
"""Bytes of a token in the table."""
LARGEST = 2**16 - 1
"""Tokens of a block at most."""

MASK = 2**64 - 1
"""Turns a signed 64-bit integer into the unsigned one of the same bits."""
_UINT32, _UINT64, _NIL = b"\xce", b"\xcf", b"\xc0"
_IS_LITTLE = struct.pack("=H", 1) == struct.pack("<H", 1)
"""Whether the machine's integers begin with the lowest byte."""
_TIME = struct.Struct(">BBd").pack
_INTEGER = frozenset((int,))
_STORED = b"\x95\xabBlockStored\x91\xcf"
CLEARED = b"\x91\xb0AllBlocksCleared"
"""The AllBlocksCleared event."""
_REMOVED = b"\x92\xacBlockRemoved"


def keys_of(hashes: Sequence[BlockHash]) -> tuple[list[Key], list[BlockHash] | None]:
    """The keys of an engine's hashes, and the hashes themselves unless all are integers."""
    if not _INTEGER.issuperset(map(type, hashes)):
        return list(map(key_of, hashes)), list(hashes)
    integers = list(cast(Sequence[int], hashes))
    if integers and min(integers) < 0:
        return [each & MASK for each in integers], None
    return integers, None


def key_of(block_hash: BlockHash) -> Key:
    """The key of an engine's hash: signed integers as unsigned ones, of bytes the first eight."""
    if type(block_hash) is int:
        return block_hash & MASK
    assert type(block_hash) is bytes
    return int.from_bytes(block_hash[:8], "big")


def packed_tokens(tokens: Sequence[int]) -> bytes | None:
    """Token ids as the table keeps them: four bytes each, the first one the highest.

    None where one does not fit 32 bits: a gateway drops the whole batch of such a one.

    Raises TypeError where one is no number.
    """
    try:
        packed = array("I", tokens)
    except OverflowError:
        return None
    if _IS_LITTLE:
        packed.byteswap()
    return packed.tobytes()


def stored_events(
    keys: Sequence[Key],
    parents: Sequence[Key],
    first: Iterable[int],
    tokens: bytes,
    veil: int = 0,
) -> bytes:
    """BlockStored events of one block each, their hashes under a ``veil`` (:func:`_hashes`).

    ``first`` are the places of those that have no block before them, whatever stands there in
    ``parents``; ``tokens`` are those of all as :func:`packed_tokens` gives them, as many for each.
    All is written column by column: that takes a third of what a loop over the blocks does, and a
    tenth of one over the tokens.
    """
    count = len(keys)
    size = len(tokens) // TOKEN // count
    ids = bytearray(_UINT32 * ((TOKEN + 1) * size * count))
    for place in range(TOKEN):
        ids[place + 1 :: TOKEN + 1] = tokens[place::TOKEN]
    cells = _cells(8, count)
    columns = [_STORED, b"", _UINT64, b"", _array(size), b"", _integer(size)] * count
    columns[1::7] = cells.unpack(_hashes(keys, veil))
    columns[3::7] = cells.unpack(_hashes(parents, veil))
    columns[5::7] = _cells((TOKEN + 1) * size, count).unpack(ids)
    for place in first:
        columns[7 * place + 2 : 7 * place + 4] = _NIL, b""
    return b"".join(columns)


def stored_octets(size: int) -> int:
    """Bytes that an event of a block of so many tokens has at most."""
    return len(_STORED) + 8 + 9 + len(_array(size)) + (TOKEN + 1) * size + len(_integer(size))


@lru_cache(256)
def _cells(width: int, count: int) -> struct.Struct:
    """Cuts bytes in so many pieces of a width."""
    return struct.Struct(f"{width}s" * count)


@lru_cache(256)
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(f">{count}Q")


def _hashes(keys: Sequence[Key], veil: int) -> bytes:
    """Hashes as they are sent, eight bytes each: each key, with the bits of ``veil`` turned over."""
    if veil:
        keys = [key ^ veil for key in keys]
    return _numbers(len(keys)).pack(*keys)


def removed_event(keys: Sequence[Key], veil: int = 0) -> bytes:
    """A BlockRemoved event for some blocks, ``REMOVED_KEYS`` at most."""
    count = len(keys)
    hashes = [_UINT64, b""] * count
    hashes[1::2] = _cells(8, count).unpack(_hashes(keys, veil))
    return b"%b%b%b" % (_REMOVED, _array(count), b"".join(hashes))


def batch(time: float, count: int, events: bytes) -> bytes:
    """A payload of so many events. ``time`` is in seconds since the epoch."""
    return b"%b%b%b" % (_TIME(0x92, 0xCB, time), _array(count), events)


def _array(count: int) -> bytes:
    """The header of an array (msgpack spec)."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big")


@lru_cache(16)
def _integer(number: int) -> bytes:
    packed: bytes = msgpack.packb(number)
    return packed
