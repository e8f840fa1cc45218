"""What an engine publishes: batches of KV-cache events, and the answers of its replay socket.

Fields carry vLLM's own names (vllm/distributed/kv_events.py). A field that a release does not
send is None. Token ids are prompts: they are kept only when a caller asks for them by name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

BlockHash: TypeAlias = int | bytes
"""A 64-bit integer (unsigned in vLLM, signed in SGLang) or raw bytes (vLLM >= 0.10.2, optional)."""

Scalar: TypeAlias = int | float | str | bytes | None
Value: TypeAlias = "Scalar | tuple[Value, ...]"

END_OF_REPLAY = b"\xff" * 8
"""The sequence frame that closes a replay (``END_SEQ`` of vllm/distributed/kv_events.py)."""

HARMLESS_REPLAY_REQUEST: tuple[bytes, bytes] = (b"", b"\xff" * 7 + b"\xfe")
"""Asks to replay from the last possible sequence: nothing matches, only the end marker returns.

Never ask for an earlier sequence: a replay blocks the engine's publisher thread.
"""

WATCHING = b"\x00kvsync-watches"
"""A topic that the operator's probe asks for just before it asks for all of them, of a relay only: it
looks, and is not to be told what was said before."""


class EventLayout(enum.StrEnum):
    """How one event stands inside a batch on the wire (vllm/distributed/kv_events.py)."""

    ARRAY = "array"
    MAP = "map"


class WireError(ValueError):
    """Bytes that are not what an engine publishes. The text never holds a value from the stream."""


@dataclass(frozen=True, slots=True)
class BlockStored:
    """Blocks that entered the cache, in prompt order.

    ``token_count`` is the length of the token list on the wire; ``token_ids``, ``extra_keys``,
    ``lookahead_token_ids`` and ``cache_salt`` (SGLang since 0.5.20) are None unless they were asked for.
    """

    block_hashes: tuple[BlockHash, ...]
    parent_block_hash: BlockHash | None
    token_count: int
    block_size: int
    lora_id: int | None = None
    medium: str | None = None
    lora_name: str | None = None
    group_idx: int | None = None
    kv_cache_spec_kind: str | None = None
    kv_cache_spec_sliding_window: int | None = None
    locality: Scalar = None
    ownership: Scalar = None
    session_id: Scalar = None
    token_ids: tuple[int, ...] | None = None
    extra_keys: Value = None
    lookahead_token_ids: tuple[int, ...] | None = None
    cache_salt: Scalar = None


@dataclass(frozen=True, slots=True)
class BlockRemoved:
    """Blocks that left the cache."""

    block_hashes: tuple[BlockHash, ...]
    medium: str | None = None
    group_idx: int | None = None
    locality: Scalar = None
    ownership: Scalar = None


@dataclass(frozen=True, slots=True)
class AllBlocksCleared:
    """The cache was emptied."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a kind that no release we know sends; its content was not read."""

    type: str


KVEvent: TypeAlias = BlockStored | BlockRemoved | AllBlocksCleared | UnknownEvent


@dataclass(frozen=True, slots=True)
class Batch:
    """One published message. ``timestamp`` is the engine's wall clock, seconds since the epoch.

    ``sequence`` counts from 0 and starts again with the engine. ``rank`` is the data-parallel rank,
    None from releases before 0.9.1. ``topic`` has bytes that are not UTF-8 written as ``\\xNN``.
    ``layout`` is that of the first event, None without one.
    """

    topic: str
    sequence: int
    timestamp: float
    events: tuple[KVEvent, ...]
    rank: int | None = None
    layout: EventLayout | None = None


@dataclass(frozen=True, slots=True)
class ReplayReply:
    """One message of a replay. ``end`` marks the closing one, which has no sequence and no payload.

    ``topic`` is None in the form of releases before 0.26, which do not send it.
    """

    end: bool
    sequence: int | None = None
    payload: bytes = b""
    topic: bytes | None = None
