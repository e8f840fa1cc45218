"""An engine's message as the relay needs it, read in one go where it has the usual form.

``core/wire`` reads value by value and stays bounded whatever comes; an event of one block costs it
some 30 µs, and a busy engine sends thousands of those a second. A message of usual size and form is
read at once instead, several times cheaper, and says the same. Any other goes to ``core/wire``,
which also says what is wrong. What is refused only there: a field that stands twice (here the last
one counts), or whose name is written as bytes (here it is passed over).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgpack

from kvsync.core.envelope import sequence_of
from kvsync.core.event_fields import REMOVED, STORED
from kvsync.core.payload import UNREADABLE
from kvsync.core.wire import Keep, decode_batch
from kvsync.core.wire_limits import WireLimits
from kvsync.model.events import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored, KVEvent

AT_ONCE = 128 << 10
"""Bytes of the longest payload that is read at once; the worst of this size takes some 25 ms."""

_LIMITS = WireLimits()
_PRIVATE = Keep(token_ids=True, extra_keys=True)


class Stored(NamedTuple):
    """Blocks that entered a cache."""

    hashes: Sequence[BlockHash]
    parent: BlockHash | None
    tokens: Sequence[int]
    size: int
    medium: str | None
    remote: bool
    group: int | None
    kind: str | None
    tied: bool
    """Whether all of them depend on more than tokens: a LoRA, a cache salt."""
    extra: Sequence[Any]
    """What else each one's hash depends on, in the order of the blocks; empty for nothing."""


class Removed(NamedTuple):
    """Blocks that left a cache."""

    hashes: list[BlockHash]
    medium: str | None
    remote: bool
    group: int | None


class Cleared(NamedTuple):
    """The cache was emptied."""


Event: TypeAlias = Stored | Removed | Cleared


class Reading(NamedTuple):
    """One message. ``unknown`` counts its events of types that are not known."""

    sequence: int
    timestamp: float
    events: Sequence[Event]
    unknown: int


def read_message(frames: Sequence[bytes]) -> Reading:
    """Read the frames ``[topic, sequence, payload]`` of one published message.

    Raises WireError, and nothing else, when they are not what an engine publishes.
    """
    found = read_at_once(frames)
    return read_whole(frames) if found is None else found


def read_whole(frames: Sequence[bytes]) -> Reading:
    """Read a message of any form, value by value. Raises WireError."""
    batch = decode_batch(frames, keep=_PRIVATE)
    events = [event for event in map(_of_wire, batch.events) if event is not None]
    return Reading(batch.sequence, batch.timestamp, events, len(batch.events) - len(events))


def read_at_once(frames: Sequence[bytes]) -> Reading | None:
    """Read a message of usual size and form; None for any other."""
    if len(frames) != 3 or len(frames[0]) > _LIMITS.topic or len(frames[2]) > AT_ONCE:
        return None
    try:
        sequence = sequence_of(frames[1])
        batch = msgpack.unpackb(
            frames[2], max_ext_len=0, max_str_len=_LIMITS.text, max_bin_len=_LIMITS.text
        )
    except UNREADABLE:
        return None
    if not _is_usual(batch):
        return None
    events = _events(batch[1])
    return None if events is None else Reading(sequence, batch[0], events, 0)


def _events(sent: list[Any]) -> list[Event] | None:
    """None where anything is not as usual. Engines send a removal for each block: like ones become one."""
    events: list[Event] = []
    last: Removed | None = None
    like: Any = None
    for each in sent:
        hashes = _taken_hashes(each)
        if last is not None and _is_like(each, like) and _are_hashes(hashes):
            last.hashes.extend(hashes)
            continue
        event = _event(each, hashes)
        if event is None:
            return None
        events.append(event)
        last, like = (event, each) if type(event) is Removed else (None, None)
    return events


def _taken_hashes(each: Any) -> Any:
    """The hashes of a removal, out of it: the rest is compared. None for another event."""
    if type(each) is list:
        return each.pop(1) if len(each) > 1 and each[0] == "BlockRemoved" else None
    if type(each) is dict and each.get("type") == "BlockRemoved":
        return each.pop("block_hashes", None)
    return None


def _is_like(each: Any, like: Any) -> bool:
    """Whether two removals differ in nothing but their hashes; true is not like 1 here."""
    if each != like:
        return False
    if type(each) is list:
        return type(each[-1]) is type(like[-1])
    return type(each.get("group_idx")) is type(like.get("group_idx"))


def _are_hashes(value: Any) -> bool:
    return type(value) is list and _HASHES.issuperset(map(type, value))


def _is_usual(batch: Any) -> bool:
    """Whether it is ``[time, events, rank]`` with or without the rank."""
    return (
        type(batch) is list
        and 2 <= len(batch) <= 3
        and type(batch[0]) is float
        and math.isfinite(batch[0])
        and type(batch[1]) is list
        and (len(batch) == 2 or type(batch[2]) in _INTEGER_OR_NONE)
    )


def _of_wire(event: KVEvent) -> Event | None:
    if isinstance(event, BlockStored):
        tied = event.lora_id is not None or event.lora_name is not None
        extra = event.extra_keys
        return Stored(
            event.block_hashes,
            event.parent_block_hash,
            event.token_ids or (),
            event.block_size,
            event.medium,
            event.locality == _REMOTE,
            event.group_idx,
            event.kv_cache_spec_kind,
            tied or event.cache_salt is not None or not isinstance(extra, tuple | None),
            extra if isinstance(extra, tuple) else (),
        )
    if isinstance(event, BlockRemoved):
        remote = event.locality == _REMOTE
        return Removed(list(event.block_hashes), event.medium, remote, event.group_idx)
    return Cleared() if isinstance(event, AllBlocksCleared) else None


_REMOTE = "REMOTE"
_INTEGERS = frozenset((int,))
_HASHES = frozenset((int, bytes))
_HASH_OR_NONE = frozenset((int, bytes, type(None)))
_INTEGER_OR_NONE = frozenset((int, type(None)))
_TEXT_OR_NONE = frozenset((str, type(None)))
_NAMES = {"BlockStored": STORED, "BlockRemoved": REMOVED}
_MISSING = 0.5
"""Stands for a field that is not there; no field that is looked at may be such a number."""


def _event(each: Any, removed: Any) -> Event | None:
    """None where anything is not as usual. ``removed`` are the hashes of a removal."""
    fields: Mapping[str, Any]
    if type(each) is dict:
        fields = each
        kind = each.get("type")
    elif type(each) is list and each and type(each[0]) is str:
        kind = each[0]
        names = _NAMES.get(kind, ())
        fields = dict(zip(names[1:] if kind == "BlockRemoved" else names, each[1:], strict=False))
    else:
        return None
    if type(kind) is not str or len(each) >= _LIMITS.fields:
        return None
    if kind == "BlockRemoved":
        return _removed(fields, removed)
    if kind == "BlockStored":
        return _stored(fields)
    return Cleared() if kind == "AllBlocksCleared" else None


def _stored(fields: Mapping[str, Any]) -> Stored | None:
    get = fields.get
    hashes, tokens, extra = get("block_hashes"), get("token_ids"), get("extra_keys")
    if type(hashes) is not list or type(tokens) is not list:
        return None
    parent, size = get("parent_block_hash", _MISSING), get("block_size")
    medium, group, kind = get("medium"), get("group_idx"), get("kv_cache_spec_kind")
    lora, name, salt = get("lora_id"), get("lora_name"), get("cache_salt")
    if (
        type(size) is not int
        or type(parent) not in _HASH_OR_NONE
        or not _HASHES.issuperset(map(type, hashes))
        or not _INTEGERS.issuperset(map(type, tokens))
        or not _TEXT_OR_NONE.issuperset(map(type, (medium, kind, name, salt)))
        or not _INTEGER_OR_NONE.issuperset(
            map(type, (group, lora, get("kv_cache_spec_sliding_window")))
        )
    ):
        return None
    if extra is None:
        extra = ()
    elif type(extra) is not list or extra.count(None) != len(extra):
        return None
    return Stored(
        hashes,
        parent,
        tokens,
        size,
        medium,
        get("locality") == _REMOTE,
        group,
        kind,
        lora is not None or name is not None or salt is not None,
        extra,
    )


def _removed(fields: Mapping[str, Any], hashes: Any) -> Removed | None:
    medium, group = fields.get("medium"), fields.get("group_idx")
    if (
        not _are_hashes(hashes)
        or type(medium) not in _TEXT_OR_NONE
        or type(group) not in _INTEGER_OR_NONE
    ):
        return None
    return Removed(hashes, medium, fields.get("locality") == _REMOTE, group)
