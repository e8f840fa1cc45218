"""The record: what we changed on an object and what stood there before, kept on that object.

It is written into an annotation of the object's own metadata: no rollout, gone with the object,
and there for the next operator when this one is lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

RECORD_ANNOTATION = "kvsync.aibrix.ai/record"
OWNER_ANNOTATION = "kvsync.aibrix.ai/owner"
REJECTED_ANNOTATION = "kvsync.aibrix.ai/rejected"

FORMAT = 1
_CHECKSUM_LENGTH = 16


class RecordError(ValueError):
    """An annotation of ours was edited by someone, or written by a newer version."""


@dataclass(frozen=True, slots=True)
class ListChange:
    """A list of words before and after, with the words that we added. None: the field was absent."""

    before: tuple[str, ...] | None
    after: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A single value before and after. None: it was absent."""

    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Record:
    """What we changed in one container of one pod template, and when (seconds since the epoch)."""

    container: str
    at: int
    args: ListChange | None = None
    ports: tuple[Mapping[str, Any], ...] = ()
    ports_absent: bool = False
    labels: Mapping[str, ValueChange] = field(default_factory=dict)
    labels_absent: bool = False
    env: Mapping[str, ValueChange] = field(default_factory=dict)
    env_absent: bool = False
    annotations_absent: bool = False

    @property
    def changes_anything(self) -> bool:
        """Whether anything in the pod template is ours: False for a model adopted as it is."""
        return bool(self.args or self.ports or self.labels or self.env)


def dump_record(record: Record) -> str:
    """The annotation's value: compact JSON with a checksum over its content."""
    payload = _payload(record)
    return _compact({**payload, "sum": _checksum(payload)})


@lru_cache(maxsize=1024)
def load_record(text: str) -> Record:
    """The record in an annotation's value.

    Raises:
        RecordError: it is not what :func:`dump_record` wrote.
    """
    try:
        payload = json.loads(text)
        checksum = payload.pop("sum")
        intact = payload.get("v") == FORMAT and checksum == _checksum(payload)
        record = _record(payload) if intact else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"the record annotation cannot be read: {error}") from error
    if record is None:
        raise RecordError("the record annotation was edited or is of another version")
    return record


def _payload(record: Record) -> dict[str, Any]:
    payload: dict[str, Any] = {"v": FORMAT, "container": record.container, "at": record.at}
    if record.args is not None:
        payload["args"] = {
            "before": None if record.args.before is None else list(record.args.before),
            "after": list(record.args.after),
            "added": list(record.args.added),
        }
    if record.ports:
        payload["ports"] = [dict(port) for port in record.ports]
    for name in ("labels", "env"):
        changes: Mapping[str, ValueChange] = getattr(record, name)
        if changes:
            payload[name] = {
                key: {"before": c.before, "after": c.after} for key, c in changes.items()
            }
    for name in ("ports_absent", "labels_absent", "env_absent", "annotations_absent"):
        if getattr(record, name):
            payload[name] = True
    return payload


def _record(payload: dict[str, Any]) -> Record:
    args = payload.get("args")
    return Record(
        container=payload["container"],
        at=int(payload["at"]),
        args=None
        if args is None
        else ListChange(
            None if args["before"] is None else tuple(args["before"]),
            tuple(args["after"]),
            tuple(args["added"]),
        ),
        ports=tuple(payload.get("ports", ())),
        ports_absent=bool(payload.get("ports_absent")),
        labels=_changes(payload.get("labels", {})),
        labels_absent=bool(payload.get("labels_absent")),
        env=_changes(payload.get("env", {})),
        env_absent=bool(payload.get("env_absent")),
        annotations_absent=bool(payload.get("annotations_absent")),
    )


def _changes(payload: Mapping[str, Mapping[str, Any]]) -> dict[str, ValueChange]:
    return {key: ValueChange(c["before"], c["after"]) for key, c in payload.items()}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _checksum(payload: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(payload).encode()).hexdigest()[:_CHECKSUM_LENGTH]


@dataclass(frozen=True, slots=True)
class Owner:
    """The KVEventSync that configured an object."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}/{self.uid}"


def parse_owner(text: str) -> Owner | None:
    """The owner in an annotation's value, or None where it is not one."""
    parts = text.split("/")
    return Owner(*parts) if len(parts) == 3 and all(parts) else None


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a model was rolled back for. Not tried again while ``fingerprint`` stays the same."""

    reason: str
    message: str
    fingerprint: str


def dump_rejection(rejection: Rejection) -> str:
    """The annotation's value."""
    return _compact(
        {
            "reason": rejection.reason,
            "message": rejection.message,
            "fingerprint": rejection.fingerprint,
        }
    )


def load_rejection(text: str | None) -> Rejection | None:
    """The rejection in an annotation's value; an unreadable one counts as none: it is tried again."""
    try:
        payload = json.loads(text or "")
        return Rejection(
            str(payload["reason"]), str(payload["message"]), str(payload["fingerprint"])
        )
    except (ValueError, KeyError, TypeError):
        return None
