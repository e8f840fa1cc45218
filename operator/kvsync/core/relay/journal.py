"""What a relay leaves to the one after it: the hashes it told, and how far it had heard each rank.

A file lives as long as the pod, so a relay that was killed finds what readers believe of it. It holds
no token ids. Entries follow each other, each with its length and checksum, and are written before
what they say is published: what was told stands in the file, whenever the end comes. One that was cut
off was never published. Integers are in the order of the machine, which the first bytes tell, for
the file never leaves it.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from kvsync.core.relay.encoding import Key
from kvsync.model.relay import MAX_RANKS

KEYS = 8192
"""Hashes in one entry at most, of a kind."""
FINGERPRINTED = 128
"""Bytes of a message that are looked at: its time, which no other engine's message has, is in front."""

HEAD = b"kvsync relay journal 1\n" + struct.pack("=Q", 0x0102030405060708)
_ENTRY = struct.Struct("=II")
_COUNTS = struct.Struct("=HII")
_MARK = struct.Struct("=HBQ8s")
_KNOWN, _COMPLETE = 1, 2
_LONGEST = _COUNTS.size + MAX_RANKS * _MARK.size + 2 * KEYS * 8


class Mark(NamedTuple):
    """The last message of a rank that was taken. ``complete`` as in ``intake.Apply``."""

    sequence: int
    fingerprint: bytes
    complete: bool


@dataclass(slots=True)
class Memory:
    """What stands in a journal."""

    marks: dict[int, Mark] = field(default_factory=dict)
    """By rank."""
    told: dict[Key, None] = field(default_factory=dict)
    """What readers may know."""
    gone: dict[Key, None] = field(default_factory=dict)
    """What was taken back, the last ones, in that order: not all of it may have reached everybody."""
    unread: int = 0
    """Bytes at the end that are no entries."""


def fingerprint(payload: bytes) -> bytes:
    """Eight bytes by which a message is known again."""
    return blake2b(
        payload[:FINGERPRINTED], digest_size=8, salt=len(payload).to_bytes(16, "little")
    ).digest()


def entries(
    marks: Mapping[int, Mark | None], told: Sequence[Key], gone: Sequence[Key]
) -> Iterable[bytes]:
    """Entries that say all of this. None for a rank of which nothing is known any more.

    The marks stand in the last one: what comes before is true with the marks that stood already.
    """
    count = max(1, -(-max(len(told), len(gone)) // KEYS))
    for number in range(count):
        some = slice(number * KEYS, (number + 1) * KEYS)
        yield _entry(marks if number == count - 1 else {}, told[some], gone[some])


def _entry(marks: Mapping[int, Mark | None], told: Sequence[Key], gone: Sequence[Key]) -> bytes:
    body = b"".join(
        (
            _COUNTS.pack(len(marks), len(told), len(gone)),
            *(_mark(rank, mark) for rank, mark in marks.items()),
            array("Q", told).tobytes(),
            array("Q", gone).tobytes(),
        )
    )
    return _ENTRY.pack(len(body), zlib.crc32(body)) + body


def _mark(rank: int, mark: Mark | None) -> bytes:
    if mark is None:
        return _MARK.pack(rank, 0, 0, b"")
    flags = _KNOWN | (_COMPLETE if mark.complete else 0)
    return _MARK.pack(rank, flags, mark.sequence, mark.fingerprint)


def remember(data: bytes, *, remembered: int) -> Memory | None:
    """Read a journal; None where it is none of this machine.

    What follows an entry that is cut off or damaged is not read. At most ``remembered`` hashes that
    were taken back are kept, the last ones.
    """
    if not data.startswith(HEAD):
        return None
    memory = Memory()
    at = len(HEAD)
    while (body := _body(data, at)) is not None and _take(memory, body):
        at += _ENTRY.size + len(body)
        while len(memory.gone) > remembered:
            del memory.gone[next(iter(memory.gone))]
    memory.unread = len(data) - at
    return memory


def _body(data: bytes, at: int) -> bytes | None:
    """The entry that begins there; None where there is none that is whole."""
    if len(data) - at < _ENTRY.size + _COUNTS.size:
        return None
    length, checksum = _ENTRY.unpack_from(data, at)
    start = at + _ENTRY.size
    if not _COUNTS.size <= length <= _LONGEST or len(data) - start < length:
        return None
    body = data[start : start + length]
    return body if zlib.crc32(body) == checksum else None


def _take(memory: Memory, body: bytes) -> bool:
    """Whether an entry could be read, and was."""
    marks, told, gone = _COUNTS.unpack_from(body)
    at = _COUNTS.size + marks * _MARK.size
    if len(body) != at + 8 * (told + gone):
        return False
    for number in range(marks):
        rank, flags, sequence, print_ = _MARK.unpack_from(body, _COUNTS.size + number * _MARK.size)
        if flags & _KNOWN:
            memory.marks[rank] = Mark(sequence, print_, bool(flags & _COMPLETE))
        else:
            memory.marks.pop(rank, None)
    keys = array("Q")
    keys.frombytes(body[at:])
    for key in keys[:told]:
        memory.told[key] = None
        memory.gone.pop(key, None)
    for key in keys[told:]:
        memory.told.pop(key, None)
        memory.gone.pop(key, None)
        memory.gone[key] = None
    return True
