"""The way back: a workload without our changes, exactly as its owner has it now.

Three-way: the record says what we wrote and what stood there before; what the owner edited
meanwhile stays. Where nothing was edited the result is the original, field for field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kvsync.core.sidecar.pieces import without_relay
from kvsync.model.record import (
    INJECTION_ANNOTATION,
    OUR_ANNOTATIONS,
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    REPAIRS_ANNOTATION,
    ListChange,
    Owner,
    Place,
    Record,
    RecordError,
    TextChange,
    ValueChange,
    load_record,
    parse_owner,
)
from kvsync.model.workload import Deployment

_ABSENT: Any = object()
_LISTS = (Place.ARGS, Place.COMMAND)


def record_of(deployment: Deployment) -> Record | None:
    """The record that a workload carries, if any.

    Raises:
        RecordError: it carries one that cannot be read.
    """
    text = deployment.annotations.get(RECORD_ANNOTATION)
    return None if text is None else load_record(text)


def strip(deployment: Deployment) -> Deployment:
    """The workload without anything of ours.

    Raises:
        RecordError: it carries a record that cannot be read.
    """
    record = record_of(deployment)
    stripped = replace(deployment, body=_without_our_annotations(deployment.body, record))
    stripped = without_token(stripped, record)
    if record is None or not record.changes_template:
        return stripped
    template: Mapping[str, Any] = _without_labels(stripped.template, record)
    template = _without_container_changes(template, record)
    if record.relay is not None:
        template = without_relay(template, record.relay)
    return stripped.with_template(template)


def token_of(deployment: Deployment) -> str:
    """The token in the pod template's annotation (mode Admission); empty without one."""
    metadata = deployment.template.get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(INJECTION_ANNOTATION, ""))


def without_token(deployment: Deployment, record: Record | None) -> Deployment:
    """The workload without the pod template's annotation, which nobody writes but us.

    ``record`` None: nothing is known of what was there before; an empty field is taken out then.
    """
    metadata = dict(deployment.template.get("metadata") or {})
    annotations = metadata.get("annotations") or {}
    if INJECTION_ANNOTATION not in annotations:
        return deployment
    kept = {key: value for key, value in annotations.items() if key != INJECTION_ANNOTATION}
    known = record if record is not None and record.injection is not None else None
    absent = known is None or known.template_annotations_absent
    put(metadata, "annotations", kept, absent=absent)
    template = dict(deployment.template)
    put(template, "metadata", metadata, absent=known is None or known.metadata_absent)
    return deployment.with_template(template)


def is_marked_by(deployment: Deployment, owner: Owner) -> bool:
    """Whether a workload carries the mark of this very object."""
    mark = parse_owner(deployment.annotations.get(OWNER_ANNOTATION, ""))
    return mark is not None and mark.uid == owner.uid


def marked_uid(deployment: Deployment) -> str:
    """The uid of the object whose mark a workload carries; empty where it carries none."""
    mark = parse_owner(deployment.annotations.get(OWNER_ANNOTATION, ""))
    return mark.uid if mark is not None else ""


def without_mark(deployment: Deployment) -> Deployment:
    """The workload without its owner's mark; what is configured stays, with its record."""
    marks = (OWNER_ANNOTATION, REPAIRS_ANNOTATION)
    if not deployment.annotations.keys() & marks:
        return deployment
    kept = {k: v for k, v in deployment.annotations.items() if k not in marks}
    return deployment.with_annotations(kept)


def readable(deployment: Deployment) -> bool:
    """Whether the record of a workload, if it has one, can be read."""
    try:
        record_of(deployment)
    except RecordError:
        return False
    return True


def _without_our_annotations(body: Mapping[str, Any], record: Record | None) -> dict[str, Any]:
    metadata = dict(body["metadata"])
    if metadata.get("annotations") is not None:
        kept = {k: v for k, v in metadata["annotations"].items() if k not in OUR_ANNOTATIONS}
        put(metadata, "annotations", kept, absent=bool(record and record.annotations_absent))
    return {**body, "metadata": metadata}


def _without_labels(template: Mapping[str, Any], record: Record) -> dict[str, Any]:
    metadata = dict(template.get("metadata") or {})
    if not record.labels or metadata.get("labels") is None:
        return dict(template)
    labels = undo_values(metadata["labels"], record.labels)
    put(metadata, "labels", labels, absent=record.labels_absent)
    result = dict(template)
    put(result, "metadata", metadata, absent=record.metadata_absent)
    return result


def undo_values(current: Mapping[str, Any], changes: Mapping[str, ValueChange]) -> dict[str, Any]:
    """The map with our values taken back; a value that someone changed since stays."""
    result = dict(current)
    for key, change in changes.items():
        if result.get(key, _ABSENT) != change.after:
            continue
        if change.before is None:
            del result[key]
        else:
            result[key] = change.before
    return result


def _without_container_changes(template: Mapping[str, Any], record: Record) -> dict[str, Any]:
    containers = [*template["spec"]["containers"]]
    place = _place_of(containers, record)
    if place is not None:
        containers[place] = _reverted(containers[place], record)
    return {**template, "spec": {**template["spec"], "containers": containers}}


def _place_of(containers: Sequence[Mapping[str, Any]], record: Record) -> int | None:
    """Where the changed container stands: by its name, or by our words if its owner renamed it."""
    named = [i for i, body in enumerate(containers) if body.get("name") == record.container]
    carrying = [i for i, body in enumerate(containers) if carries_words(body, record)]
    return next(iter((*named, *carrying)), None)


def carries_words(container: Mapping[str, Any], record: Record) -> bool:
    """Whether the words that a record tells of stand in a container, all of them together."""
    if record.words is not None and record.words.added:
        words = tuple(container.get(record.words.place.value) or ())
        return contains_run(words, record.words.added)
    return record.text is not None and carries_text(container, record.text)


def carries_text(container: Mapping[str, Any], change: TextChange) -> bool:
    """Whether the piece that was put into a script, or into a variable, stands in a container."""
    piece = change.added.strip()
    if change.place is Place.ENV:
        item = last_item(container.get("env") or (), change.variable)
        return item is not None and piece in str(item[1].get("value", ""))
    return any(piece in word for place in _LISTS for word in container.get(place.value) or ())


def _reverted(body: Mapping[str, Any], record: Record) -> dict[str, Any]:
    changed = dict(body)
    if record.words is not None:
        _undo_words(changed, record.words)
    if record.text is not None:
        _undo_text(changed, record.text, env_absent=record.env_absent)
    if record.ports and body.get("ports") is not None:
        ports = [port for port in body["ports"] if not _is_ours(port, record.ports)]
        put(changed, "ports", ports, absent=record.ports_absent)
    return changed


def _undo_words(body: dict[str, Any], change: ListChange) -> None:
    # An owner may have moved the whole command line from one list to the other.
    for place in sorted(_LISTS, key=lambda each: each is not change.place):
        current = body.get(place.value)
        if current is None or not any(word in current for word in change.added):
            continue
        absent = change.before is None and place is change.place
        put(body, place.value, list(undo_list(tuple(current), change)), absent=absent)
        return


def _undo_text(body: dict[str, Any], change: TextChange, *, env_absent: bool) -> None:
    if change.place is Place.ENV:
        _undo_variable(body, change, env_absent=env_absent)
        return
    for place in _LISTS:
        if body.get(place.value) is not None:
            body[place.value] = [undo_text(word, change) for word in body[place.value]]


def _undo_variable(body: dict[str, Any], change: TextChange, *, env_absent: bool) -> None:
    env: list[Mapping[str, Any]] = []
    for item in body.get("env") or ():
        value = str(item.get("value") or "")
        # An owner may have defined the variable once more behind ours: then ours is dead, not gone.
        left = undo_text(value, change) if item.get("name") == change.variable else value
        if left == value:
            env.append(item)
        elif left.strip() or not change.absent:
            bare = change.bare and not left
            kept = {k: v for k, v in item.items() if k != "value"}
            env.append(kept if bare else {**kept, "value": left})
    if env or body.get("env") is not None:
        put(body, "env", env, absent=env_absent)


def last_item(env: Sequence[Mapping[str, Any]], name: str) -> tuple[int, Mapping[str, Any]] | None:
    """The definition of a variable that counts: of several the last one, as in the kubelet."""
    places = [index for index, item in enumerate(env) if item.get("name") == name]
    return (places[-1], env[places[-1]]) if places else None


def undo_text(text: str, change: TextChange) -> str:
    """The text without our piece and with what stood in its place; unchanged where it is not there."""
    for piece in (change.added, change.added.strip()):
        head, found, tail = text.rpartition(piece)
        if found:
            return head + change.replaced + tail
    return text


def contains_run(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    """Whether the words of ``run`` stand in ``words`` one after the other; an empty run does."""
    return any(words[i : i + len(run)] == run for i in range(len(words) - len(run) + 1))


def undo_list(current: tuple[str, ...], change: ListChange) -> tuple[str, ...]:
    """The words without those that we added, and with those that they replaced; other edits stay.

    Our words are taken out as one run where they stand together, which they do unless someone
    tore them apart; then one by one, from the end.
    """
    if current == change.after:
        return change.before or ()
    added = change.added
    for start in range(len(current) - len(added), -1, -1):
        if current[start : start + len(added)] == added:
            return current[:start] + change.replaced + current[start + len(added) :]
    words, place = list(current), None
    for word in reversed(added):
        if word in words:
            place = len(words) - 1 - words[::-1].index(word)
            del words[place]
    if place is not None:
        words[place:place] = change.replaced
    return tuple(words)


def _is_ours(port: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]) -> bool:
    key = _port_key(port)
    return any(_port_key(ours) == key for ours in ports)


def _port_key(port: Mapping[str, Any]) -> tuple[Any, ...]:
    # The API server fills in the protocol; a manifest need not name it.
    return (port.get("name"), port.get("containerPort"), port.get("protocol", "TCP"))


def put(target: dict[str, Any], key: str, value: Any, *, absent: bool) -> None:
    """Set a value, or leave the field out where it was absent before us and nothing is in it now."""
    if value or not absent:
        target[key] = value
    else:
        target.pop(key, None)
