"""What a workload shall look like: our arguments, ports and labels on top of its owner's template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from kvsync.core.delivery import with_token
from kvsync.core.detect import Detected
from kvsync.core.engines import ENGINES
from kvsync.core.placement import Placement, TextEdit
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT
from kvsync.core.revert import carries_text, contains_run, last_item
from kvsync.core.sidecar.pieces import with_relay
from kvsync.model.finding import EngineFinding
from kvsync.model.record import (
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    ListChange,
    Owner,
    Place,
    Record,
    RelayChange,
    TextChange,
    ValueChange,
    dump_record,
)
from kvsync.model.spec import EngineLabels, EventsSpec
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
    """The pieces that a workload must carry. ``words`` and ``text`` are None where it has its own."""

    container: str
    words: ListChange | None = None
    text: TextChange | None = None
    ports: tuple[Mapping[str, Any], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    relay: RelayChange | None = None
    """The sidecar beside the engine, where there is one."""

    @property
    def is_nothing(self) -> bool:
        """Whether its owner's own template suffices."""
        return self == Desired(self.container)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What is added to the engine's command line; one piece of text where that is how."""
        if self.words is not None:
            return self.words.added
        return (self.text.added.strip(),) if self.text is not None else ()

    def is_carried_by(self, container: Container) -> bool:
        """Whether a container, of a template or of a pod, has our piece of the command line."""
        if self.words is not None:
            words = container.body.get(self.words.place.value) or ()
            return contains_run(tuple(words), self.words.added)
        return self.text is None or carries_text(container.body, self.text)


def desire(
    base: Deployment,
    detected: Detected,
    events: EventsSpec,
    placement: Placement,
    when: EngineLabels,
    relay: RelayChange | None = None,
) -> Desired:
    """The pieces for one workload.

    Args:
        base: the workload without our own changes.
        detected: what was found out about its engine.
        events: the event settings, with the ports on which its pods publish.
        placement: how its command line is changed.
        when: when its pods get the label by which the gateway finds them.
        relay: the sidecar that its events go through, and which declares their ports.
    """
    in_template = when is EngineLabels.TEMPLATE and is_heard(events)
    own = (placement.words is None and placement.text is None) or relay is not None
    own = own or placement.fills_slot  # all that is ours is the value
    return Desired(
        container=detected.container.name,
        words=placement.words,
        text=placement.text.change if placement.text else None,
        # Declared ports inform, they open nothing: no reason to restart a model that has its own.
        ports=() if own else _ports(base, detected.container, events),
        labels=our_labels(base, detected.finding, announced=in_template),
        relay=relay,
    )


def _ports(
    base: Deployment, container: Container, events: EventsSpec
) -> tuple[Mapping[str, Any], ...]:
    declared = {port.get("containerPort") for port in container.ports}
    wanted = ((PORT_NAME, events.port), (REPLAY_PORT_NAME, events.replay_port))
    return tuple(
        {"name": _free_name(base, name), "containerPort": number, "protocol": "TCP"}
        for name, number in wanted
        if number not in declared
    )


def is_heard(events: EventsSpec) -> bool:
    """Whether the gateway looks where an engine with these settings publishes and replays.

    It waits 5 s for each labelled pod that does not answer on its replay port, one after the other
    (AIBrix ``zmq_client.go``); so what it cannot hear is not announced to it.
    """
    return (events.port, events.replay_port) == (GATEWAY_PORT, GATEWAY_REPLAY_PORT)


def _free_name(base: Deployment, name: str) -> str:
    taken = {port.get("name") for c in base.containers for port in c.ports}
    candidates = chain((name,), (f"{name}-{number}" for number in range(2, 100)))
    return next(candidate for candidate in candidates if candidate not in taken)


def our_labels(base: Deployment, engine: EngineFinding, *, announced: bool) -> dict[str, str]:
    """The labels that its pods lack; ``announced``: also the one by which the gateway finds them."""
    present = base.template_labels
    annotations = (base.template.get("metadata") or {}).get("annotations") or {}
    labels = {EVENTS_LABEL: "true"} if announced else {}
    if MODEL_LABEL not in present and MODEL_LABEL not in annotations:
        name = model_name(base, engine)
        labels |= {MODEL_LABEL: name} if name else {}
    if ENGINE_LABEL not in present:
        labels[ENGINE_LABEL] = ENGINES[engine.type].label
    return {key: value for key, value in labels.items() if present.get(key) != value}


def model_name(deployment: Deployment, engine: EngineFinding) -> str:
    """The name that the gateway routes by: the label in use, the served name, or the Deployment's.

    Empty where none of them can be a label's value.
    """
    labels = deployment.body["metadata"].get("labels") or {}
    candidates = (
        deployment.template_labels.get(MODEL_LABEL, ""),
        str(labels.get(MODEL_LABEL, "")),
        engine.served_model,
        deployment.name,
    )
    return next((name for name in candidates if _LABEL_VALUE.match(name)), "")


def configure(
    base: Deployment, desired: Desired, placement: Placement, owner: Owner, record: Record
) -> Deployment:
    """The workload as it shall be, with the record of what was changed on it.

    ``base`` must be free of our changes (see :func:`kvsync.core.revert.strip`); it is not modified.
    A ``record`` of what its pods get at admission leaves their template as it is, but for one annotation.
    """
    container = base.container(desired.container)
    assert container is not None  # detect named it
    annotations = {
        **base.annotations,
        OWNER_ANNOTATION: str(owner),
        RECORD_ANNOTATION: dump_record(record),
    }
    noted = base.with_annotations(annotations)
    if record.injection is not None:
        return noted.with_template(with_token(base.template, record.injection.token))
    changed = noted.with_template(with_labels(base.template, desired.labels)).with_container(
        container.index, _configured(container, record, placement)
    )
    if desired.relay is not None:
        changed = changed.with_template(with_relay(changed.template, desired.relay))
    return changed


def record_for(base: Deployment, desired: Desired, at: int) -> Record:
    """What is changed on a workload (without our changes) that gets these pieces, and when."""
    container = base.container(desired.container)
    assert container is not None  # detect named it
    present = base.template_labels
    in_variable = desired.text is not None and desired.text.place is Place.ENV
    return Record(
        container=container.name,
        at=at,
        words=desired.words,
        text=desired.text,
        ports=desired.ports,
        ports_absent=bool(desired.ports) and container.body.get("ports") is None,
        labels={key: ValueChange(present.get(key), new) for key, new in desired.labels.items()},
        labels_absent=bool(desired.labels)
        and (base.template.get("metadata") or {}).get("labels") is None,
        metadata_absent=bool(desired.labels) and base.template.get("metadata") is None,
        env_absent=in_variable and container.body.get("env") is None,
        annotations_absent=base.body["metadata"].get("annotations") is None,
        relay=desired.relay,
    )


def _configured(container: Container, record: Record, placement: Placement) -> dict[str, Any]:
    changed = dict(container.body)
    if placement.words is not None:
        changed[placement.words.place.value] = list(placement.words.after)
    if placement.text is not None:
        _write_text(changed, placement.text)
    if record.ports:
        changed["ports"] = [*container.ports, *(dict(port) for port in record.ports)]
    return changed


def _write_text(body: dict[str, Any], edit: TextEdit) -> None:
    change = edit.change
    if change.place is not Place.ENV:
        words = [*body[change.place.value]]
        words[edit.index] = edit.text
        body[change.place.value] = words
        return
    env = [*(body.get("env") or ())]
    found = last_item(env, change.variable)
    if found is None:
        env.append({"name": change.variable, "value": edit.text})
    else:
        env[found[0]] = {**found[1], "value": edit.text}
    body["env"] = env


def with_labels(template: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """The pod template with these labels besides; a value of its own gives way."""
    if not labels:
        return dict(template)
    metadata = template.get("metadata") or {}
    merged = {**(metadata.get("labels") or {}), **labels}
    return {**template, "metadata": {**metadata, "labels": merged}}
