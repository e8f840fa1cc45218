"""The way back: a workload without our changes, exactly as its owner has it now.

Three-way: the record says what we wrote and what stood there before; what the owner edited
meanwhile stays. Where nothing was edited the result is the original, field for field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvsync.model.record import (
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    REJECTED_ANNOTATION,
    ListChange,
    Record,
    RecordError,
    ValueChange,
    load_record,
)
from kvsync.model.workload import Deployment

OUR_ANNOTATIONS = (OWNER_ANNOTATION, RECORD_ANNOTATION, REJECTED_ANNOTATION)

_ABSENT: Any = object()


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
    body = _without_our_annotations(deployment.body, record)
    if record is None or not record.changes_anything:
        return Deployment(body)
    template = _without_labels(body["spec"]["template"], record)
    template = _without_container_changes(template, record)
    return Deployment({**body, "spec": {**body["spec"], "template": template}})


def without_mark(deployment: Deployment) -> Deployment:
    """The workload without its owner's mark; what is configured stays, with its record."""
    if OWNER_ANNOTATION not in deployment.annotations:
        return deployment
    kept = {k: v for k, v in deployment.annotations.items() if k != OWNER_ANNOTATION}
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
        _put(metadata, "annotations", kept, absent=bool(record and record.annotations_absent))
    return {**body, "metadata": metadata}


def _without_labels(template: Mapping[str, Any], record: Record) -> dict[str, Any]:
    metadata = dict(template.get("metadata") or {})
    if not record.labels or metadata.get("labels") is None:
        return dict(template)
    labels = undo_values(metadata["labels"], record.labels)
    _put(metadata, "labels", labels, absent=record.labels_absent)
    return {**template, "metadata": metadata}


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
    added = record.args.added if record.args else ()
    named = [i for i, body in enumerate(containers) if body.get("name") == record.container]
    carrying = [
        i
        for i, body in enumerate(containers)
        if added and contains_run(tuple(body.get("args") or ()), added)
    ]
    return next(iter((*named, *carrying)), None)


def _reverted(body: Mapping[str, Any], record: Record) -> dict[str, Any]:
    changed = dict(body)
    if record.args is not None and body.get("args") is not None:
        args = undo_list(tuple(body["args"]), record.args)
        _put(changed, "args", list(args), absent=record.args.before is None)
    if record.ports and body.get("ports") is not None:
        ports = [port for port in body["ports"] if not _is_ours(port, record.ports)]
        _put(changed, "ports", ports, absent=record.ports_absent)
    return changed


def contains_run(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    """Whether the words of ``run`` stand in ``words`` one after the other; an empty run does."""
    return any(words[i : i + len(run)] == run for i in range(len(words) - len(run) + 1))


def undo_list(current: tuple[str, ...], change: ListChange) -> tuple[str, ...]:
    """The words without those that we added; the owner's other edits stay.

    Our words are taken out as one run where they stand together, which they do unless someone
    tore them apart; then one by one, from the end.
    """
    if current == change.after:
        return change.before or ()
    added = change.added
    for start in range(len(current) - len(added), -1, -1):
        if current[start : start + len(added)] == added:
            return current[:start] + current[start + len(added) :]
    words = list(current)
    for word in reversed(added):
        if word in words:
            del words[len(words) - 1 - words[::-1].index(word)]
    return tuple(words)


def _is_ours(port: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]) -> bool:
    key = _port_key(port)
    return any(_port_key(ours) == key for ours in ports)


def _port_key(port: Mapping[str, Any]) -> tuple[Any, ...]:
    # The API server fills in the protocol; a manifest need not name it.
    return (port.get("name"), port.get("containerPort"), port.get("protocol", "TCP"))


def _put(target: dict[str, Any], key: str, value: Any, *, absent: bool) -> None:
    """Set a value, or leave the field out where it was absent before us and nothing is in it now."""
    if value or not absent:
        target[key] = value
    else:
        target.pop(key, None)
