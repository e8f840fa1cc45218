"""The record: what we changed on an object and what stood there before, kept on that object.

It is written into an annotation of the object's own metadata: no rollout, gone with the object,
and there for the next operator when this one is lost.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from kvsync.model.relay import RelayForm

RECORD_ANNOTATION = "kvsync.aibrix.ai/record"
OWNER_ANNOTATION = "kvsync.aibrix.ai/owner"
REJECTED_ANNOTATION = "kvsync.aibrix.ai/rejected"
REPAIRS_ANNOTATION = "kvsync.aibrix.ai/repairs"
OUR_ANNOTATIONS = (OWNER_ANNOTATION, RECORD_ANNOTATION, REJECTED_ANNOTATION, REPAIRS_ANNOTATION)

INJECTION_ANNOTATION = "kvsync.aibrix.ai/injection"
"""The pod template's annotation that holds a token (mode Admission): it restarts the workload, and its
pods carry it."""

FIELD_MANAGER = "kvsync-operator"
"""Who we are in managedFields. A name that users and GitOps tools see: it is an API."""

FORMAT = 1
_FLAGS = (
    *("ports_absent", "labels_absent", "metadata_absent", "env_absent", "annotations_absent"),
    "template_annotations_absent",
)
_RELAY_KEYS = ("form", "body", "volume", "wish")
_CHECKSUM_LENGTH = 16


class RecordError(ValueError):
    """An annotation of ours was edited by someone, or written by a newer version."""


class Place(enum.StrEnum):
    """The field of a container that a change was made in."""

    ARGS = "args"
    COMMAND = "command"
    ENV = "env"


@dataclass(frozen=True, slots=True)
class ListChange:
    """A list of words before and after: ``added`` stands where ``replaced`` stood.

    ``before`` None: the field was absent. ``replaced`` is empty where words were only appended.
    """

    before: tuple[str, ...] | None
    after: tuple[str, ...]
    added: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    place: Place = Place.ARGS

    @property
    def piece(self) -> tuple[Place, tuple[str, ...], tuple[str, ...]]:
        """What is ours of it, whatever stands around."""
        return (self.place, self.added, self.replaced)


@dataclass(frozen=True, slots=True)
class TextChange:
    """A piece of a text: ``added`` stands where ``replaced`` stood.

    The text is a shell script among the words of ``place``, or the value of an environment
    ``variable``; ``absent``: there was no such variable, ``bare``: it had no field ``value``.
    """

    place: Place
    added: str
    replaced: str = ""
    variable: str = ""
    absent: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A single value before and after. None: it was absent."""

    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A list of words (``place``: args or command) that is replaced where it is still ``before``."""

    place: Place
    before: tuple[str, ...]
    after: tuple[str, ...]

    def entry(self) -> dict[str, Any]:
        """Its form in records and statuses, as JSON values."""
        return {
            "field": self.place.value,
            "before": list(self.before),
            "after": list(self.after),
        }


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable that is set where it is still ``before``; None: where there is none."""

    name: str
    value: str
    before: str | None = None

    def entry(self) -> dict[str, Any]:
        """Its form in records and statuses, as JSON values."""
        before = {} if self.before is None else {"before": self.before}
        return {"name": self.name, "value": self.value, **before}


@dataclass(frozen=True, slots=True)
class Delivery:
    """That pods get the change as they are created (mode Admission): the template has no more than the
    ``token``.

    ``edit`` is the whole text before and after, where the change is one of a text: its piece alone
    does not tell where it goes.
    """

    token: str
    edit: Rewrite | Variable | None = None


@dataclass(frozen=True, slots=True)
class RelayChange:
    """The relay that we put beside the engine: its container and its volume, as we wrote them.

    ``wish`` is a digest of all that an object and its model's owner say of it: while it is the same,
    the one that stands is right, whichever version of the operator wrote it. ``containers_absent``:
    its list of containers was absent; ``layout_of``: the engine whose layout it was needed for.
    """

    form: RelayForm
    body: Mapping[str, Any]
    volume: Mapping[str, Any]
    wish: str
    containers_absent: bool = False
    volumes_absent: bool = False
    layout_of: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A field that was another manager's before our change: managedFields name us from then on.

    ``time`` is when it wrote the field last, RFC 3339; ``field`` is what it is called in sentences.
    """

    field: str
    manager: str
    operation: str
    time: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What we changed in one container of one pod template, and when (seconds since the epoch)."""

    container: str
    at: int
    words: ListChange | None = None
    text: TextChange | None = None
    ports: tuple[Mapping[str, Any], ...] = ()
    ports_absent: bool = False
    labels: Mapping[str, ValueChange] = field(default_factory=dict)
    labels_absent: bool = False
    metadata_absent: bool = False
    """Whether the pod template had no metadata at all, as a StormService's role may."""
    env: Mapping[str, ValueChange] = field(default_factory=dict)
    env_absent: bool = False
    annotations_absent: bool = False
    relay: RelayChange | None = None
    taken_from: tuple[Taken, ...] = ()
    injection: Delivery | None = None
    """Set where none of it stands in the pod template itself, but an annotation that names it."""
    template_annotations_absent: bool = False

    @property
    def is_rendered(self) -> bool:
        """Whether it came out of Git, from ``kvsync render``: such a record has no time."""
        return self.at == 0

    @property
    def changes_template(self) -> bool:
        """Whether any piece of it stands in the pod template: not of a model that was right already,
        nor where its pods get them as they are created."""
        if self.injection is not None:
            return False
        written = (self.words, self.text, self.ports, self.labels, self.env, self.relay)
        return any(written)


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
    if record.words is not None:
        words = {k: v for k, v in asdict(record.words).items() if k not in ("place", "replaced")}
        if record.words.replaced:
            words["replaced"] = record.words.replaced
        payload[record.words.place.value] = words
    if record.text is not None:
        text = asdict(record.text)
        payload["text"] = {k: v for k, v in text.items() if v or k == "added"}
    if record.ports:
        payload["ports"] = [dict(port) for port in record.ports]
    for name in ("labels", "env"):
        changes: Mapping[str, ValueChange] = getattr(record, name)
        if changes:
            payload[name] = {
                key: {"before": c.before, "after": c.after} for key, c in changes.items()
            }
    if record.relay is not None:
        relay = asdict(record.relay)
        payload["relay"] = {k: v for k, v in relay.items() if v or k in _RELAY_KEYS}
    if record.injection is not None:
        payload["injection"] = _delivery_entry(record.injection)
    if record.taken_from:
        payload["taken"] = [asdict(taken) for taken in record.taken_from]
    payload |= {name: True for name in _FLAGS if getattr(record, name)}
    return payload


def _record(payload: dict[str, Any]) -> Record:
    return Record(
        container=payload["container"],
        at=int(payload["at"]),
        words=_list_change(payload),
        text=_text_change(payload.get("text")),
        ports=tuple(payload.get("ports", ())),
        labels=_changes(payload.get("labels", {})),
        env=_changes(payload.get("env", {})),
        relay=_relay_change(payload.get("relay")),
        taken_from=tuple(Taken(**taken) for taken in payload.get("taken", ())),
        injection=_delivery(payload.get("injection")),
        **{name: bool(payload.get(name)) for name in _FLAGS},
    )


def _list_change(payload: Mapping[str, Any]) -> ListChange | None:
    place = next((p for p in (Place.ARGS, Place.COMMAND) if p.value in payload), None)
    if place is None:
        return None
    words = payload[place.value]
    return ListChange(
        before=None if words["before"] is None else tuple(words["before"]),
        after=tuple(words["after"]),
        added=tuple(words["added"]),
        replaced=tuple(words.get("replaced", ())),
        place=place,
    )


def _text_change(payload: Mapping[str, Any] | None) -> TextChange | None:
    return None if payload is None else TextChange(**{**payload, "place": Place(payload["place"])})


def _delivery_entry(delivery: Delivery) -> dict[str, Any]:
    entry: dict[str, Any] = {"token": delivery.token}
    if delivery.edit is not None:
        entry["rewrite" if isinstance(delivery.edit, Rewrite) else "env"] = delivery.edit.entry()
    return entry


def _delivery(payload: Mapping[str, Any] | None) -> Delivery | None:
    if payload is None:
        return None
    edit: Rewrite | Variable | None = None
    if "rewrite" in payload:
        words = payload["rewrite"]
        edit = Rewrite(Place(words["field"]), tuple(words["before"]), tuple(words["after"]))
    elif "env" in payload:
        edit = Variable(**payload["env"])
    return Delivery(payload["token"], edit)


def _relay_change(payload: Mapping[str, Any] | None) -> RelayChange | None:
    return (
        None if payload is None else RelayChange(**{**payload, "form": RelayForm(payload["form"])})
    )


def _changes(payload: Mapping[str, Mapping[str, Any]]) -> dict[str, ValueChange]:
    return {key: ValueChange(c["before"], c["after"]) for key, c in payload.items()}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


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
