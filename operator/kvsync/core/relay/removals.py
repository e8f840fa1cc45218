"""Removals in front of a message, told by their bytes.

An engine with a full cache says one event for each block that it evicts, before it says what it
stores: dozens that differ in the eight bytes of their hash. To compare the others takes a quarter
of what it takes to read each one.
"""

from __future__ import annotations

import struct

import msgpack

from kvsync.core.payload import UNREADABLE

FEW = 8
"""Events of a message that are not worth it."""
_EVENTS = 10
"""Where the events of ``[time, events, rank]`` begin: after the array's header and the time."""
_HEAD = 16
"""Bytes of an event in which nothing but its form can stand."""
_LONGEST = 512
_HASH = b"\x91\xcf"
"""In front of a hash that is an integer, the only one of its event."""
_WIDTH = 8


def join_removals(payload: bytes) -> tuple[list[int], bytes]:
    """The hashes of removals in front that are alike, and the payload with the first of these alone.

    No hashes, and the payload as it is, where there are not many or not in the usual form. Nothing
    else is looked into: whether it is a payload at all is for others to say.
    """
    if payload[:2] not in (b"\x92\xcb", b"\x93\xcb") or payload[_EVENTS : _EVENTS + 1] != b"\xdc":
        return [], payload
    start = _EVENTS + 3
    count = int.from_bytes(payload[_EVENTS + 1 : start], "big")
    second = payload.find(payload[start : start + _HEAD], start + 1, start + _LONGEST)
    place = payload.find(_HASH, start, second) + len(_HASH) - start
    if count < FEW or second < 0 or place < 0 or not _is_hash_at(payload[start:second], place):
        return [], payload
    length = second - start
    before, behind = payload[start : start + place], payload[start + place + _WIDTH : second]
    hashes: list[bytes] = []
    at = start
    while (
        len(hashes) < count
        and payload.startswith(before, at)
        and payload.startswith(behind, at + length - len(behind))
    ):
        hashes.append(payload[at + place : at + place + _WIDTH])
        at += length
    left = (count - len(hashes) + 1).to_bytes(2, "big")
    rest = b"%b%b%b%b" % (payload[: _EVENTS + 1], left, payload[start:second], payload[at:])
    return list(struct.unpack(f">{len(hashes)}Q", b"".join(hashes))), rest


def _is_hash_at(event: bytes, place: int) -> bool:
    """Whether some bytes are a removal, and these in it its only hash: with another one it says that."""
    other = bytes(0xFF ^ octet for octet in event[place : place + _WIDTH])
    try:
        changed = msgpack.unpackb(event[:place] + other + event[place + _WIDTH :])
    except UNREADABLE:
        return False
    if type(changed) is dict:
        said = [changed.get("type"), changed.get("block_hashes")]
    elif type(changed) is list:
        said = changed[:2]
    else:
        return False
    return said == ["BlockRemoved", [int.from_bytes(other, "big")]]
