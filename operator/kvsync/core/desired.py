"""What a workload shall look like: our arguments, ports and labels on top of its owner's template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsync.model.finding import EngineFinding
from kvsync.model.record import (
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    ListChange,
    Owner,
    Record,
    ValueChange,
    dump_record,
)
from kvsync.model.spec import EventsSpec
from kvsync.model.workload import Container, Deployment

EVENTS_LABEL = "model.aibrix.ai/kv-events-enabled"
"""What makes the gateway subscribe to a pod (AIBrix ``pkg/cache``, read on pods)."""

MODEL_LABEL = "model.aibrix.ai/name"
ENGINE_LABEL = "model.aibrix.ai/engine"

PORT_NAME = "kv-events"
REPLAY_PORT_NAME = "kv-replay"

_LABEL_VALUE = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")


@dataclass(frozen=True, slots=True)
class Desired:
    """The pieces that a workload must carry."""

    container: str
    arguments: tuple[str, ...]
    ports: tuple[Mapping[str, Any], ...]
    labels: Mapping[str, str]


def desire(
    base: Deployment, engine: EngineFinding, events: EventsSpec, arguments: tuple[str, ...]
) -> Desired:
    """The pieces for one workload.

    Args:
        base: the workload without our own changes.
        engine: what was found out about it.
        events: the event settings.
        arguments: the rendered words; empty where the engine already has an equal configuration.
    """
    container = base.container(engine.container)
    declared = {port.get("containerPort") for port in (container.ports if container else ())}
    wanted = ((PORT_NAME, events.port), (REPLAY_PORT_NAME, events.replay_port))
    return Desired(
        container=engine.container,
        arguments=arguments,
        ports=tuple(
            {"name": _free_name(base, name), "containerPort": number, "protocol": "TCP"}
            for name, number in wanted
            if number not in declared
        ),
        labels=_labels(base, engine),
    )


def _free_name(base: Deployment, name: str) -> str:
    taken = {port.get("name") for c in base.containers for port in c.ports}
    candidates = (name, *(f"{name}-{number}" for number in range(2, 100)))
    return next(candidate for candidate in candidates if candidate not in taken)


def _labels(base: Deployment, engine: EngineFinding) -> dict[str, str]:
    present = base.template_labels
    annotations = (base.template.get("metadata") or {}).get("annotations") or {}
    labels = {EVENTS_LABEL: "true"}
    if MODEL_LABEL not in present and MODEL_LABEL not in annotations:
        labels[MODEL_LABEL] = model_name(base, engine)
    if ENGINE_LABEL not in present:
        labels[ENGINE_LABEL] = "vllm"
    return {key: value for key, value in labels.items() if present.get(key) != value}


def model_name(deployment: Deployment, engine: EngineFinding) -> str:
    """The name that the gateway routes by: the label in use, the served name, or the Deployment's."""
    labels = deployment.body["metadata"].get("labels") or {}
    candidates = (
        deployment.template_labels.get(MODEL_LABEL, ""),
        str(labels.get(MODEL_LABEL, "")),
        engine.served_model,
    )
    return next((name for name in candidates if _LABEL_VALUE.match(name)), deployment.name)


def configure(base: Deployment, desired: Desired, owner: Owner, at: int) -> Deployment:
    """The workload as it shall be, with the record of what was changed on it.

    ``base`` must be free of our changes (see :func:`kvsync.core.revert.strip`); it is not modified.
    """
    container = base.container(desired.container)
    if container is None:
        raise ValueError(
            f"no container {desired.container!r}"
        )  # pragma: no cover - guarded by detect
    record = _record(base, container, desired, at)
    annotations = {
        **base.annotations,
        OWNER_ANNOTATION: str(owner),
        RECORD_ANNOTATION: dump_record(record),
    }
    return (
        base.with_template(_with_labels(base.template, desired.labels))
        .with_container(container.index, _configured(container.body, record))
        .with_annotations(annotations)
    )


def _record(base: Deployment, container: Container, desired: Desired, at: int) -> Record:
    before = None if container.body.get("args") is None else container.args
    present = base.template_labels
    return Record(
        container=container.name,
        at=at,
        args=ListChange(before, container.args + desired.arguments, desired.arguments)
        if desired.arguments
        else None,
        ports=desired.ports,
        ports_absent=bool(desired.ports) and container.body.get("ports") is None,
        labels={key: ValueChange(present.get(key), new) for key, new in desired.labels.items()},
        labels_absent=bool(desired.labels)
        and (base.template.get("metadata") or {}).get("labels") is None,
        annotations_absent=base.body["metadata"].get("annotations") is None,
    )


def _configured(body: Mapping[str, Any], record: Record) -> dict[str, Any]:
    changed = dict(body)
    if record.args is not None:
        changed["args"] = list(record.args.after)
    if record.ports:
        changed["ports"] = [*(body.get("ports") or ()), *(dict(port) for port in record.ports)]
    return changed


def _with_labels(template: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    if not labels:
        return dict(template)
    metadata = template.get("metadata") or {}
    merged = {**(metadata.get("labels") or {}), **labels}
    return {**template, "metadata": {**metadata, "labels": merged}}
