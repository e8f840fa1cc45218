"""What the status tells of a model from earlier passes: all that is remembered of one besides its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsync.model.observed import KVEventSync
from kvsync.model.record import Record


def entry_of(name: str, sync: KVEventSync) -> Mapping[str, Any]:
    """What the status says of a model; empty where it says nothing."""
    entries = sync.status.get("models") or ()
    return next((entry for entry in entries if entry.get("name") == name), {})


def was_verified(name: str, record: Record | None, sync: KVEventSync) -> bool:
    """Whether the change that stands on a model was seen working before: it is then no longer on trial.

    The status keeps when. A model whose entry is lost counts as on trial; that can only roll back
    within its deadline, which is long over for a model that has worked for a while.
    """
    return bool(entry_of(name, sync).get("verifiedRecord") == record_mark(record))


def proven_at(name: str, sync: KVEventSync) -> int:
    """The time of the newest change that was seen working on a model; 0 where none was."""
    return int(entry_of(name, sync).get("verifiedRecord") or 0)


def told_at(name: str, sync: KVEventSync) -> int:
    """The time in the record that stands on a model; 0 where the status tells of none."""
    return int(entry_of(name, sync).get("record") or 0)


def record_mark(record: Record | None) -> int:
    """What the status keeps of a verified change: the time of its record; 0 for an adopted model."""
    return record.at if record else 0
