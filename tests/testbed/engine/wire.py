"""KV events to bytes: batches and replay answers exactly as a release's own encoder writes them."""

from dataclasses import dataclass
from typing import Any

import msgpack

from testbed.engine.layouts import Layout

END_OF_REPLAY = b"\xff" * 8
BlockHash = int | bytes


@dataclass(frozen=True, slots=True)
class BlockStored:
    """Full blocks that entered the cache, in chain order."""

    block_hashes: list[BlockHash]
    parent_block_hash: BlockHash | None
    token_ids: list[int]
    block_size: int
    extra_keys: list[list[Any] | None] | None = None
    lora_id: int | None = None
    lora_name: str | None = None
    medium: str | None = "GPU"
    group_idx: int | None = 0
    kv_cache_spec_kind: str | None = "full_attention"


@dataclass(frozen=True, slots=True)
class BlockRemoved:
    """Blocks that left the cache."""

    block_hashes: list[BlockHash]
    medium: str | None = "GPU"
    group_idx: int | None = 0


@dataclass(frozen=True, slots=True)
class AllBlocksCleared:
    """The whole cache was dropped."""


Event = BlockStored | BlockRemoved | AllBlocksCleared


def encode_batch(layout: Layout, ts: float, events: list[Event], rank: int) -> bytes:
    """One engine step's events as the payload frame; ``ts`` in Unix seconds."""
    values = {
        "ts": ts,
        "events": [_plain(layout, event) for event in events],
        "data_parallel_rank": rank,
    }
    return _pack([values[name] for name in layout.batch])


def sequence_frame(sequence: int) -> bytes:
    """The sequence frame: 8 bytes, big-endian."""
    return sequence.to_bytes(8, "big")


def replay_answer(layout: Layout, topic: bytes, sequence: int, payload: bytes) -> list[bytes]:
    """One kept batch as a replay peer receives it."""
    head = [b"", topic] if layout.replay_names_topic else [b""]
    return [*head, sequence_frame(sequence), payload]


def replay_end(layout: Layout) -> list[bytes]:
    """The marker that closes every replay answer."""
    head = [b"", b""] if layout.replay_names_topic else [b""]
    return [*head, END_OF_REPLAY, b""]


def _plain(layout: Layout, event: Event) -> list[Any] | dict[str, Any]:
    tag = type(event).__name__
    # A field that this stand-in never sets (locality, session_id, …) is at its default: None.
    values = {name: getattr(event, name, None) for name in _fields(layout, event)}
    if not layout.events_are_maps:
        return [tag, *values.values()]
    always = layout.always_written
    written = {k: v for k, v in values.items() if v is not None or k in always}
    return {"type": tag, **written}


def _fields(layout: Layout, event: Event) -> tuple[str, ...]:
    match event:
        case BlockStored():
            return layout.stored
        case BlockRemoved():
            return layout.removed
        case AllBlocksCleared():
            return ()


def _pack(value: list[Any]) -> bytes:
    packed = msgpack.packb(value)
    assert isinstance(packed, bytes)
    return packed
