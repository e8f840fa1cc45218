"""From frames to batches: the layout of every vLLM release since 0.9.0, and SGLang's.

Array events (vLLM 0.9.0 - 0.23) and map events (since 0.24) in a batch that is an array or a map
(vllm/distributed/kv_events.py). Any bytes in: a value, or exactly one WireError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsync.core.envelope import check_length, read_envelope, sequence_of
from kvsync.core.event_fields import FIELDS, REMOVED, REQUIRED
from kvsync.core.payload import EVENT_COST, Payload
from kvsync.core.wire_limits import WireLimits
from kvsync.model.events import (
    END_OF_REPLAY,
    HARMLESS_REPLAY_REQUEST,
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    BlockStored,
    EventLayout,
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


def _counted_tokens(payload: Payload) -> tuple[int, None]:
    return payload.skip_array(), None


def _kept_tokens(payload: Payload) -> tuple[int, tuple[int, ...]]:
    ids = payload.integers()
    return len(ids), ids


def _kept_lookahead(payload: Payload) -> tuple[int, ...] | None:
    if payload.at_array():
        return payload.integers()
    payload.skip()
    return None


def _skipped(payload: Payload) -> None:
    payload.skip()


_Readers = Mapping[str, Callable[[Payload], Any]]

_READERS: _Readers = {
    "block_hashes": Payload.hashes,
    "parent_block_hash": Payload.optional_hash,
    "token_ids": _counted_tokens,
    "block_size": Payload.integer,
    "lora_id": Payload.optional_integer,
    "medium": Payload.optional_text,
    "lora_name": Payload.optional_text,
    "extra_keys": _skipped,
    "group_idx": Payload.optional_integer,
    "kv_cache_spec_kind": Payload.optional_text,
    "kv_cache_spec_sliding_window": Payload.optional_integer,
    # Young and beside the point: whatever form they take, the batch stays readable.
    "locality": Payload.scalar_or_nothing,
    "ownership": Payload.scalar_or_nothing,
    "session_id": Payload.scalar_or_nothing,
    "lookahead_token_ids": _skipped,
    "cache_salt": _skipped,
}
_TOKENS: _Readers = {"token_ids": _kept_tokens, "lookahead_token_ids": _kept_lookahead}
_EXTRA: _Readers = {"extra_keys": Payload.value, "cache_salt": Payload.scalar_or_nothing}


def decode_batch(
    frames: Sequence[bytes], *, keep: Keep = _NOTHING, limits: WireLimits = _LIMITS
) -> Batch:
    """Decode the frames ``[topic, sequence, payload]`` of one published message.

    Raises WireError, and nothing else, when they are not what an engine publishes.
    """
    reader = _EventReader(keep, limits)
    read = read_envelope(frames, limits, reader.events)
    return Batch(read.topic, read.sequence, read.timestamp, read.events, read.rank, reader.layout)


def parse_replay(frames: Sequence[bytes], *, limits: WireLimits = _LIMITS) -> ReplayReply:
    """Read one message of a replay socket, in the form before or since vLLM 0.26.

    Read from the end, where both forms agree. The payload is not looked into. Raises WireError.
    """
    if not 2 <= len(frames) <= 4:
        raise WireError(f"the replay message has {len(frames)} frames; an engine sends 3 or 4")
    sequence, payload = frames[-2], frames[-1]
    topic = frames[1] if len(frames) == 4 else None
    check_length("topic", topic or b"", limits.topic)
    check_length("payload", payload, limits.payload)
    if sequence != END_OF_REPLAY:
        return ReplayReply(False, sequence_of(sequence), payload, topic)
    if payload:
        raise WireError(f"the replay's end marker carries {len(payload)} bytes")
    return ReplayReply(end=True, topic=topic)


class _EventReader:
    """Reads the events of one batch, each field by its name or by its place."""

    def __init__(self, keep: Keep, limits: WireLimits) -> None:
        self._limits = limits
        tokens: _Readers = _TOKENS if keep.token_ids else {}
        extra: _Readers = _EXTRA if keep.extra_keys else {}
        self._readers = {**_READERS, **tokens, **extra} if tokens or extra else _READERS
        self.layout: EventLayout | None = None
        """How the first event is written."""

    def events(self, payload: Payload) -> tuple[KVEvent, ...]:
        count = payload.array(self._limits.events, EVENT_COST)
        if count:
            self.layout = EventLayout.MAP if payload.at_map() else EventLayout.ARRAY
        return tuple([self._event(payload, index) for index in range(count)])

    def _event(self, payload: Payload, index: int) -> KVEvent:
        payload.event = index
        kind, found = (self._of_map if payload.at_map() else self._of_array)(payload)
        required = REQUIRED.get(kind)
        if required and not required <= found.keys():
            missing = ", ".join(sorted(required - found.keys()))
            raise payload.wrong(f"({kind}) has no {missing}")
        return _build(kind, found)

    def _of_array(self, payload: Payload) -> tuple[str, dict[str, Any]]:
        left = payload.array(self._limits.fields) - 1
        if left < 0:
            raise payload.wrong("is empty")
        kind = payload.kind()
        names = FIELDS.get(kind, ())[:left]
        readers = self._readers
        found = {name: readers[name](payload) for name in names}
        payload.skip_values(left - len(names))
        return kind, found

    def _of_map(self, payload: Payload) -> tuple[str, dict[str, Any]]:
        # a field means the same in every kind, so the tag may stand anywhere
        found: dict[str, Any] = {}
        kind = ""
        readers, unpack = self._readers, payload.unpack
        for _ in range(payload.map()):
            name = unpack()
            if type(name) is not str:
                name = payload.key_of(name)
            reader = readers.get(name)
            if reader is None:
                if name == "type" and not kind:
                    kind = payload.kind()
                    readers = self._readers if kind in FIELDS else {}
                else:
                    payload.skip()
            elif name in found:
                raise payload.wrong("has a field twice")
            else:
                found[name] = reader(payload)
        if not kind:
            raise payload.wrong("is a map without 'type'")
        return kind, found


def _build(kind: str, found: dict[str, Any]) -> KVEvent:
    if kind == "BlockStored":
        count, ids = found.pop("token_ids")
        return BlockStored(token_count=count, token_ids=ids, **found)
    if kind == "BlockRemoved":
        return BlockRemoved(**{name: found[name] for name in REMOVED if name in found})
    return AllBlocksCleared() if kind == "AllBlocksCleared" else UnknownEvent(kind)
