"""A batch as plain JSON, by vLLM's own names: the stable form in which streams are shown.

Nothing that ``core/wire`` kept is lost: an integer and a byte string stay apart everywhere.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from kvsync.model.events import Batch, BlockHash, KVEvent, UnknownEvent, Value

Json = dict[str, Any]

_HASHES = "block_hashes"
_PARENT = "parent_block_hash"
_OURS = "token_count"
"""The one field that vLLM does not send: it follows from the others."""


def batch_json(batch: Batch) -> Json:
    """``topic``, ``sequence``, ``timestamp``, ``rank`` and ``events`` of a batch.

    ``rank`` is None where the release sends none (vLLM 0.9.0).
    """
    return {
        "topic": batch.topic,
        "sequence": batch.sequence,
        "timestamp": batch.timestamp,
        "rank": batch.rank,
        "events": [event_json(event) for event in batch.events],
    }


def event_json(event: KVEvent) -> Json:
    """``type`` and the fields that an event has.

    A field that was not sent, or sent as nil, is left out; the decoder makes no difference. Only
    ``parent_block_hash`` is always there: None for the first block of a prompt.
    """
    if isinstance(event, UnknownEvent):
        return {"type": event.type}
    shown: Json = {"type": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name == _HASHES:
            shown[_HASHES] = [_hash(each) for each in value]
        elif field.name == _PARENT:
            shown[_PARENT] = None if value is None else _hash(value)
        elif value is not None and field.name != _OURS:
            shown[field.name] = _plain(value)
    return shown


def _hash(value: BlockHash) -> int | str:
    return value.hex() if isinstance(value, bytes) else value


def _plain(value: Value) -> Any:
    """A value that may hold anything; an object stands for what JSON has no form of."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value
