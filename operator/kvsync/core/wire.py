"""From frames to batches: the layout of every vLLM release since 0.9.0, and SGLang's.

Array events (vLLM 0.9.0 - 0.23) and map events (since 0.24) in a batch that is an array or a map
(vllm/distributed/kv_events.py). Any bytes in: a value, or exactly one WireError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from kvsync.core.payload import UNREADABLE, Payload, WireLimits
from kvsync.model.events import (
    END_OF_REPLAY,
    HARMLESS_REPLAY_REQUEST,
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    BlockStored,
    KVEvent,
    ReplayReply,
    UnknownEvent,
    WireError,
)

__all__ = [
    "HARMLESS_REPLAY_REQUEST",
    "Keep",
    "WireLimits",
    "decode_batch",
    "parse_replay",
]


@dataclass(frozen=True, slots=True)
class Keep:
    """Which private or bulky fields are kept; by default none."""

    token_ids: bool = False
    extra_keys: bool = False


_LIMITS = WireLimits()
_NOTHING = Keep()
_LATER_ELEMENTS = 16  # that a coming release may append to a batch we know

_STORED = (
    "block_hashes",
    "parent_block_hash",
    "token_ids",
    "block_size",
    "lora_id",
    "medium",
    "lora_name",
    "extra_keys",
    "group_idx",
    "kv_cache_spec_kind",
    "kv_cache_spec_sliding_window",
    "locality",
    "ownership",
    "session_id",
    "lookahead_token_ids",
)
_REMOVED = ("block_hashes", "medium", "group_idx", "locality", "ownership")
_FIELDS: dict[str, tuple[str, ...]] = {  # in the order of the array form
    "BlockStored": _STORED,
    "BlockRemoved": _REMOVED,
    "AllBlocksCleared": (),
}
_REQUIRED = {
    "BlockStored": frozenset(_STORED[:4]),
    "BlockRemoved": frozenset(_REMOVED[:1]),
    "AllBlocksCleared": frozenset[str](),
}


def decode_batch(
    frames: Sequence[bytes], *, keep: Keep = _NOTHING, limits: WireLimits = _LIMITS
) -> Batch:
    """Decode the frames ``[topic, sequence, payload]`` of one published message.

    Raises WireError, and nothing else, when they are not what an engine publishes.
    """
    if len(frames) != 3:
        raise WireError(f"the message has {len(frames)} frames; an engine sends 3")
    topic, sequence, data = frames
    _check_length("topic", topic, limits.topic)
    _check_length("payload", data, limits.payload)
    number = _sequence(sequence)
    timestamp, events, rank = _read(data, keep, limits)
    return Batch(topic.decode("utf-8", "backslashreplace"), number, timestamp, events, rank)


def parse_replay(frames: Sequence[bytes]) -> ReplayReply:
    """Read one message of a replay socket, in the form before or since vLLM 0.26.

    Read from the end, where both forms agree. Raises WireError.
    """
    if not 2 <= len(frames) <= 4:
        raise WireError(f"the replay message has {len(frames)} frames; an engine sends 3 or 4")
    sequence, payload = frames[-2], frames[-1]
    topic = frames[1] if len(frames) == 4 else None
    if sequence != END_OF_REPLAY:
        return ReplayReply(False, _sequence(sequence), payload, topic)
    if payload:
        raise WireError(f"the replay's end marker carries {len(payload)} bytes")
    return ReplayReply(end=True, topic=topic)


def _check_length(what: str, frame: bytes, limit: int) -> None:
    if len(frame) > limit:
        raise WireError(f"the {what} has {len(frame)} bytes; at most {limit} are read")


def _sequence(frame: bytes) -> int:
    if len(frame) != 8:
        raise WireError(f"the sequence frame has {len(frame)} bytes; an engine sends 8")
    return int.from_bytes(frame, "big")


_Fields = tuple[float, tuple[KVEvent, ...], int | None]


def _read(data: bytes, keep: Keep, limits: WireLimits) -> _Fields:
    payload = Payload(data, limits)
    layout = _Layout(payload, keep, limits)
    try:
        batch = layout.batch()
    except WireError:
        raise
    except msgpack.OutOfData:
        raise WireError(f"the payload of {len(data)} bytes ends inside {payload.place}") from None
    except UNREADABLE:
        raise WireError(f"{payload.place} does not have the layout of KV events") from None
    if payload.left():
        raise WireError(f"{payload.left()} bytes follow the batch")
    return batch


class _Layout:
    """Where which field stands in one payload."""

    def __init__(self, payload: Payload, keep: Keep, limits: WireLimits) -> None:
        self._payload = payload
        self._limits = limits
        self._readers: dict[str, Callable[[], Any]] = {
            "block_hashes": payload.hashes,
            "parent_block_hash": payload.optional_hash,
            "token_ids": self._kept_tokens if keep.token_ids else self._counted_tokens,
            "block_size": payload.integer,
            "lora_id": payload.optional_integer,
            "medium": payload.optional_text,
            "lora_name": payload.optional_text,
            "extra_keys": payload.value if keep.extra_keys else payload.skip,
            "group_idx": payload.optional_integer,
            "kv_cache_spec_kind": payload.optional_text,
            "kv_cache_spec_sliding_window": payload.optional_integer,
            "locality": payload.scalar,
            "ownership": payload.scalar,
            "session_id": payload.scalar,
            "lookahead_token_ids": self._lookahead if keep.token_ids else payload.skip,
        }

    def batch(self) -> _Fields:
        if self._payload.at_map():
            return self._batch_of_map()
        count = self._payload.array(3 + _LATER_ELEMENTS)
        if count < 2:
            raise WireError(f"the batch has {count} elements; an engine sends 2 or 3")
        timestamp = self._payload.number()
        events = self._events()
        rank = self._rank() if count > 2 else None
        self._skip(count - 3)
        return timestamp, events, rank

    def _batch_of_map(self) -> _Fields:
        readers: dict[str, Callable[[], Any]] = {
            "ts": self._payload.number,
            "events": self._events,
            "data_parallel_rank": self._rank,
        }
        found: dict[str, Any] = {}
        for _ in range(self._payload.map()):
            name = self._payload.key()
            if name in found:
                raise self._payload.wrong("has a field twice")
            found[name] = readers.get(name, self._payload.skip)()
        if "ts" not in found or "events" not in found:
            raise WireError("the batch is a map without 'ts' or 'events'")
        return found["ts"], found["events"], found.get("data_parallel_rank")

    def _rank(self) -> int | None:
        self._payload.place = "the batch's rank"
        return self._payload.optional_integer()

    def _events(self) -> tuple[KVEvent, ...]:
        count = self._payload.array(self._limits.events)
        events = tuple([self._event(index) for index in range(count)])
        self._payload.place = "the batch"
        return events

    def _event(self, index: int) -> KVEvent:
        self._payload.place = f"event {index}"
        of_map = self._payload.at_map()
        kind, found = self._event_of_map() if of_map else self._event_of_array()
        missing = _REQUIRED.get(kind, frozenset()) - found.keys()
        if missing:
            raise self._payload.wrong(f"({kind}) has no {', '.join(sorted(missing))}")
        return _build(kind, found)

    def _event_of_array(self) -> tuple[str, dict[str, Any]]:
        left = self._payload.array(self._limits.fields) - 1
        if left < 0:
            raise self._payload.wrong("is empty")
        kind = self._kind()
        names = _FIELDS.get(kind, ())[:left]
        found = {name: self._readers[name]() for name in names}
        self._skip(left - len(names))
        return kind, found

    def _event_of_map(self) -> tuple[str, dict[str, Any]]:
        # a field means the same in every kind, so the tag may stand anywhere
        found: dict[str, Any] = {}
        kind = ""
        readers = self._readers
        for _ in range(self._payload.map()):
            name = self._payload.key()
            if name == "type" and not kind:
                kind = self._kind()
                readers = self._readers if kind in _FIELDS else {}
            elif name not in readers:
                self._payload.skip()
            elif name in found:
                raise self._payload.wrong("has a field twice")
            else:
                found[name] = readers[name]()
        if not kind:
            raise self._payload.wrong("is a map without 'type'")
        return kind, found

    def _kind(self) -> str:
        kind = self._payload.key()
        if not (len(kind) <= 64 and kind.isascii() and kind.isidentifier()):
            raise self._payload.wrong("has a type that is no name")
        return kind

    def _skip(self, count: int) -> None:
        for _ in range(count):
            self._payload.skip()

    def _counted_tokens(self) -> tuple[int, None]:
        return self._payload.skip_array(), None

    def _kept_tokens(self) -> tuple[int, tuple[int, ...]]:
        ids = self._payload.integers()
        return len(ids), ids

    def _lookahead(self) -> tuple[int, ...] | None:
        if self._payload.at_array():
            return self._payload.integers()
        self._payload.skip()
        return None


def _build(kind: str, found: dict[str, Any]) -> KVEvent:
    if kind == "BlockStored":
        count, ids = found.pop("token_ids")
        return BlockStored(token_count=count, token_ids=ids, **found)
    if kind == "BlockRemoved":
        return BlockRemoved(**{name: found[name] for name in _REMOVED if name in found})
    return AllBlocksCleared() if kind == "AllBlocksCleared" else UnknownEvent(kind)
