"""What the status tells of a model from earlier passes: all that is remembered of one besides its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


_BY_MODEL = ("verifiedRecord", "record", "repairs", "replaced", "opponent")
_BY_GATEWAY = ("terms", "repairs")
_OF_NO_PASS = frozenset({"resourceVersion", "managedFields"})


def is_only_said(before: KVEventSync, after: KVEventSync) -> bool:
    """Whether an object changed in nothing that a pass over it goes by: only in what its status says to
    others. Then another pass comes to the same again."""
    return given(before) == given(after) and _remembered(before) == _remembered(after)


def given(sync: KVEventSync) -> tuple[Mapping[str, Any], Any]:
    """All that others say of an object: everything but its status."""
    metadata = sync.body["metadata"]
    kept = {key: value for key, value in metadata.items() if key not in _OF_NO_PASS}
    return kept, sync.body.get("spec")


def _remembered(sync: KVEventSync) -> Mapping[str, Any]:
    """The parts of a status that passes read. Of a gateway that is managed it counts as a whole, for the
    words of a wait are kept as they were; of another one only what is handed on."""
    status, gateway = sync.status, sync.status.get("gateway") or {}
    managed = ((sync.body.get("spec") or {}).get("gateway") or {}).get("manage", True)
    models = {
        str(entry.get("name")): kept
        for entry in status.get("models") or ()
        if (kept := _only(entry, _BY_MODEL))
    }
    return {
        "models": models,
        "gateway": gateway if managed else _only(gateway, _BY_GATEWAY),
        "wave": (status.get("wave") or {}).get("current") or (),
        "shard": status.get("shard") or {},  # core.shards stands on this module
        "injections": status.get("injections") or (),
    }


def _only(entry: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: entry[name] for name in names if name in entry}
