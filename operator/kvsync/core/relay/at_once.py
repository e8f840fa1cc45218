"""A message of usual size and form, read in one go.

Engines say one event for each block that they evict, and many say one for each that they store; these
are alike but for hashes, parents and tokens. Like events that follow each other are read field by
field instead of one by one, and become one where that says the same. What is refused only by
``core/wire``: a field that stands twice (here the last one counts), or whose name is written as
bytes (here it is passed over).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import msgpack

from kvsync.core.envelope import sequence_of
from kvsync.core.event_fields import FIELDS, REMOVED, STORED
from kvsync.core.payload import UNREADABLE
from kvsync.core.relay.encoding import TOKEN, packed_tokens
from kvsync.core.relay.happenings import Cleared, Event, Reading, Removed, Stored
from kvsync.core.relay.removals import join_removals
from kvsync.core.wire_limits import WireLimits
from kvsync.model.events import BlockHash

AT_ONCE = 128 << 10
"""Bytes of the longest payload that is read at once; the worst of this size takes some 25 ms."""
REMOTE = "REMOTE"
"""The locality of what is not in this pod."""

_LIMITS = WireLimits()
_INTEGERS = frozenset((int,))
_HASHES = frozenset((int, bytes))
_HASH_OR_NONE = frozenset((int, bytes, type(None)))
_INTEGER_OR_NONE = frozenset((int, type(None)))
_TEXT = frozenset((str,))
_TEXT_OR_NONE = frozenset((str, type(None)))
_LISTS = frozenset((list,))
_TRUE, _FALSE = (number.to_bytes(TOKEN, "big") for number in (True, False))

_OWN: Mapping[str, tuple[str, ...]] = {
    "BlockStored": STORED[:3],
    "BlockRemoved": REMOVED[:1],
    "AllBlocksCleared": (),
}
"""Fields in which like events differ; in an array they stand first, after the type."""
_OTHER = {kind: FIELDS[kind][len(own) :] for kind, own in _OWN.items()}
_NUMBERS = frozenset(("block_size", "lora_id", "group_idx", "kv_cache_spec_sliding_window"))
_STORED_ONLY = frozenset(STORED) - frozenset(REMOVED)
"""A removal does not have them; whether they make sense there is for ``core/wire`` to say."""
_PLACE_OF_HASHES: Mapping[type, Any] = {dict: "block_hashes", list: 1}
_MISSING = 0.5
"""Stands for a field that is not there; no field that is looked at may be such a number."""


def read_at_once(frames: Sequence[bytes]) -> Reading | None:
    """Read the frames ``[topic, sequence, payload]``; None where size or form are not usual."""
    if len(frames) != 3 or len(frames[0]) > _LIMITS.topic or len(frames[2]) > AT_ONCE:
        return None
    hashes, payload = join_removals(frames[2])
    try:
        sequence = sequence_of(frames[1])
        batch = msgpack.unpackb(
            payload, max_ext_len=0, max_str_len=_LIMITS.text, max_bin_len=_LIMITS.text
        )
    except UNREADABLE:
        return None
    if not _is_usual(batch):
        return None
    sent = len(batch[1])
    if hashes:
        batch[1][0][_PLACE_OF_HASHES[type(batch[1][0])]] = hashes
        sent += len(hashes) - 1
    events = _events(batch[1])
    return None if events is None else Reading(sequence, batch[0], events, sent, 0)


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


def _events(sent: list[Any]) -> list[Event] | None:
    """None where anything is not as usual."""
    kinds = _kinds(sent)
    if kinds is None:
        return None
    events: list[Event] = []
    start = 0
    for kind, same in groupby(kinds):
        end = start + len(list(same))
        found = _of_kind(kind, sent[start:end])
        if found is None:
            return None
        events += found
        start = end
    return events


def _kinds(sent: list[Any]) -> list[str] | None:
    """The type of each event; None unless all are maps, or all arrays, with a type that is known."""
    forms = set(map(type, sent))
    if forms == {dict}:
        kinds = [each.get("type") for each in sent]
    elif forms == {list} and all(sent):
        kinds = [each[0] for each in sent]
    else:
        return None if sent else []
    return kinds if _TEXT.issuperset(map(type, kinds)) and _OWN.keys() >= set(kinds) else None


def _of_kind(kind: str, some: list[Any]) -> list[Event] | None:
    """Events of one type."""
    if max(map(len, some)) >= _LIMITS.fields:
        return None
    if kind == "AllBlocksCleared":
        return [Cleared()] * len(some)
    apart = _apart(kind, some)
    if apart is None:
        return None
    columns, others = apart
    if _are_alike(kind, others):
        return _of_like(kind, columns, others[0])
    events: list[Event] = []
    for number, other in enumerate(others):
        found = _of_like(kind, [column[number : number + 1] for column in columns], other)
        if found is None:
            return None
        events += found
    return events


def _apart(kind: str, some: list[Any]) -> tuple[list[list[Any]], list[Any]] | None:
    """The own fields of events, field by field, and what else each of them has."""
    own = _OWN[kind]
    if type(some[0]) is dict:
        return [[each.pop(name, _MISSING) for each in some] for name in own], some
    count = 1 + len(own)
    if min(map(len, some)) < count:
        return None
    columns = [[each[place] for each in some] for place in range(1, count)]
    return columns, [each[count:] for each in some]


def _are_alike(kind: str, others: list[Any]) -> bool:
    """Whether they are equal; True does not equal 1 here, nor does 1.0."""
    first = others[0]
    if len(others) == 1:
        return True
    if others.count(first) != len(others):
        return False
    if type(first) is dict:
        numbers: list[Any] = [name for name in first if name in _NUMBERS]
    else:
        names = _OTHER[kind][: len(first)]
        numbers = [place for place, name in enumerate(names) if name in _NUMBERS]
    return all(len(set(map(type, map(itemgetter(number), others)))) == 1 for number in numbers)


def _of_like(kind: str, columns: list[list[Any]], other: Any) -> list[Event] | None:
    """Events that are alike: their own fields, and what else each of them has."""
    fields = other if type(other) is dict else dict(zip(_OTHER[kind], other, strict=False))
    return (_removed if kind == "BlockRemoved" else _stored)(columns, fields)


def _removed(columns: list[list[Any]], fields: Mapping[str, Any]) -> list[Event] | None:
    hashes = _flat_hashes(columns[0])
    medium, group = fields.get("medium"), fields.get("group_idx")
    if hashes is None or type(medium) not in _TEXT_OR_NONE or type(group) not in _INTEGER_OR_NONE:
        return None
    if not _STORED_ONLY.isdisjoint(fields):
        return None
    return [Removed(hashes, medium, fields.get("locality") == REMOTE, group)]


def _stored(columns: list[list[Any]], fields: Mapping[str, Any]) -> list[Event] | None:
    hashes, parents, tokens = columns
    packed = _packed(tokens)
    if (
        packed is None
        or _flat_hashes(hashes) is None
        or not _HASH_OR_NONE.issuperset(map(type, parents))
    ):
        return None
    like = _shared(fields, set(map(len, hashes)))
    if like is None:
        return None
    return [
        like._replace(hashes=some, parent=parent, tokens=packed[start:end])
        for some, parent, start, end in _chained(hashes, parents, map(len, tokens), like.size)
    ]


def _shared(fields: Mapping[str, Any], counts: set[int]) -> Stored | None:
    """What like events share, of so many blocks each; an event without any yet."""
    get = fields.get
    size, extra, medium = get("block_size"), get("extra_keys"), get("medium")
    group, kind = get("group_idx"), get("kv_cache_spec_kind")
    lora, name, salt = get("lora_id"), get("lora_name"), get("cache_salt")
    if (
        type(size) is not int
        or not _TEXT_OR_NONE.issuperset(map(type, (medium, kind, name, salt)))
        or not _INTEGER_OR_NONE.issuperset(
            map(type, (group, lora, get("kv_cache_spec_sliding_window")))
        )
    ):
        return None
    if extra is not None and (
        type(extra) is not list or extra.count(None) != len(extra) or counts != {len(extra)}
    ):
        return None
    tied = lora is not None or name is not None or salt is not None
    return Stored((), None, b"", size, medium, get("locality") == REMOTE, group, kind, tied, ())


def _chained(
    hashes: list[list[BlockHash]],
    parents: list[BlockHash | None],
    counts: Iterator[int],
    size: int,
) -> Iterator[tuple[list[BlockHash], BlockHash | None, int, int]]:
    """Events as ``(hashes, parent, first token's place, last one's)``, places in bytes.

    One that hangs on the last block before it becomes one with that.
    """
    held: list[BlockHash] = []
    above: BlockHash | None = None
    start = end = 0
    for some, parent, count in zip(hashes, parents, counts, strict=True):
        is_whole = bool(some) and count == len(some) * size
        if held and is_whole and parent is not None and parent == held[-1]:
            held += some
        else:
            if held:
                yield held, above, start, end
            held, above, start = some, parent, end
        end += TOKEN * count
        if not is_whole:
            yield held, above, start, end
            held = []
    if held:
        yield held, above, start, end


def _flat_hashes(columns: list[Any]) -> list[BlockHash] | None:
    """Those of all events in one list; None unless all are hashes."""
    if not _LISTS.issuperset(map(type, columns)):
        return None
    hashes = list(chain.from_iterable(columns))
    return hashes if _HASHES.issuperset(map(type, hashes)) else None


def _packed(tokens: list[Any]) -> bytes | None:
    """The tokens of all events in one; None unless all are integers that fit."""
    if not _LISTS.issuperset(map(type, tokens)):
        return None
    together = tokens[0] if len(tokens) == 1 else list(chain.from_iterable(tokens))
    try:
        packed = packed_tokens(together)
    except TypeError:
        return None
    if packed is None:
        return None
    # True and False pass as 1 and 0: only where there are such tokens each one is looked at.
    if (_TRUE in packed or _FALSE in packed) and not _INTEGERS.issuperset(map(type, together)):
        return None
    return packed
