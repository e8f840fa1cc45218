"""The plan for one workload: what to change and why, or the refusal.

The target is always computed from the owner's own template (the live one without our changes) and
then compared with the live one. So planning twice gives nothing the second time, an edit by the
owner is simply a new base, and the inverse is known before anything is written.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kvsync.core.arguments import KV_EVENT_FLAGS, flag_of, kv_event_words
from kvsync.core.desired import Desired, configure, desire
from kvsync.core.detect import find_engine
from kvsync.core.existing import satisfies
from kvsync.core.guard import Case, check
from kvsync.core.patch import Operation, difference, expect, pointer
from kvsync.core.render import Templates, engine_arguments
from kvsync.core.revert import contains_run, readable, record_of, strip
from kvsync.model.finding import EngineFinding, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import OWNER_ANNOTATION, Owner, parse_owner
from kvsync.model.spec import Dialect, KVEventSyncSpec
from kvsync.model.workload import Container, Deployment


class Outcome(enum.StrEnum):
    """What a plan comes to."""

    CHANGE = "Change"
    UNCHANGED = "Unchanged"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What to do with one workload. ``patch`` and ``undo`` are RFC 6902 operations."""

    outcome: Outcome
    engine: EngineFinding | None = None
    refusal: Refusal | None = None
    desired: Desired | None = None
    patch: tuple[Operation, ...] = ()
    undo: tuple[Operation, ...] = ()
    fingerprint: str = ""
    """Stands for everything the change depends on: the same again would end the same way."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything a plan depends on besides the workload itself."""

    spec: KVEventSyncSpec
    owner: Owner
    templates: Templates
    running_version: str | None
    retry: str
    """The value of the retry annotation: a new value makes a rejected change worth trying again."""
    at: int
    """Seconds since the epoch, for the record."""


def plan(deployment: Deployment, ask: Ask) -> ModelPlan:
    """What to do with one workload.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    refusal = _foreign(deployment, ask.owner)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    base = strip(deployment)
    engine = find_engine(base, ask.spec.engine, ask.running_version, written_dialect(deployment))
    if isinstance(engine, Refusal):
        return ModelPlan(Outcome.REFUSED, refusal=engine)
    container = base.container(engine.container)
    assert container is not None  # find_engine named it
    refusal = check(Case(base, container, engine, ask.spec.events))
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, engine=engine, refusal=refusal)
    arguments = engine_arguments(ask.templates, engine.dialect, ask.spec.events)
    existing = kv_event_words(container.words)
    if existing and not satisfies(container.words, arguments):
        refusal = _already_configured(deployment, existing)
        return ModelPlan(Outcome.REFUSED, engine=engine, refusal=refusal)
    desired = desire(base, engine, ask.spec.events, () if existing else arguments)
    if existing:
        # Declared ports inform, they open nothing: no reason to restart a model that has its own.
        desired = replace(desired, ports=())
    return _compare(deployment, base, engine, desired, ask)


def written_dialect(deployment: Deployment) -> Dialect | None:
    """The dialect of our words on a workload, while they stand there."""
    record = record_of(deployment)
    container = deployment.container(record.container) if record else None
    if record is None or record.args is None or container is None:
        return None
    if not contains_run(container.args, record.args.added):
        return None
    flags = any(flag_of(word) in KV_EVENT_FLAGS for word in record.args.added)
    return Dialect.FLAGS if flags else Dialect.CONFIG_JSON


def _foreign(deployment: Deployment, owner: Owner) -> Refusal | None:
    other = parse_owner(deployment.annotations.get(OWNER_ANNOTATION, ""))
    if other is not None and other.uid != owner.uid:
        return Refusal(
            ModelReason.OWNED_BY_ANOTHER,
            f"Deployment {deployment.name} is configured by KVEventSync "
            f"{other.namespace}/{other.name}.",
            "Remove it from one of the two.",
        )
    return unreadable(deployment)


def unreadable(deployment: Deployment) -> Refusal | None:
    """The refusal of a workload whose record cannot be read: what stood there before is unknown."""
    if readable(deployment):
        return None
    return Refusal(
        ModelReason.RECORD_UNREADABLE,
        f"The annotation kvsync.aibrix.ai/record of Deployment {deployment.name} was edited and "
        "cannot be read.",
        "Restore it from the Deployment's history, or take out the KV event arguments, ports "
        "and labels by hand and remove the annotation.",
    )


def _already_configured(deployment: Deployment, words: tuple[str, ...]) -> Refusal:
    return Refusal(
        ModelReason.EVENTS_ALREADY_CONFIGURED,
        f"Deployment {deployment.name} has a KV event configuration of its own that differs: "
        f"{' '.join(words)[:300]}",
        "Remove it and let the operator write it, or make spec.events say the same.",
    )


def _compare(
    deployment: Deployment, base: Deployment, engine: EngineFinding, desired: Desired, ask: Ask
) -> ModelPlan:
    planned = ModelPlan(
        Outcome.UNCHANGED,
        engine=engine,
        desired=desired,
        fingerprint=fingerprint(base, desired, ask.retry),
    )
    if carries(deployment, desired):
        return _owned(planned, deployment, ask)
    target = configure(base, desired, ask.owner, ask.at)
    return replace(
        planned,
        outcome=Outcome.CHANGE,
        patch=guarded(deployment, difference(deployment.body, target.body), engine.container),
        undo=tuple(difference(target.body, base.body)),
    )


def _owned(planned: ModelPlan, deployment: Deployment, ask: Ask) -> ModelPlan:
    """What an object before us left configured (deletionPolicy Retain) only gets our mark."""
    mark = parse_owner(deployment.annotations.get(OWNER_ANNOTATION, ""))
    # Without a mark that can be read nobody would undo it when the object goes.
    if mark is not None or record_of(deployment) is None:
        return planned
    annotations = {**deployment.annotations, OWNER_ANNOTATION: str(ask.owner)}
    target = deployment.with_annotations(annotations).body
    return replace(
        planned,
        outcome=Outcome.CHANGE,
        patch=guarded(deployment, difference(deployment.body, target)),
        undo=tuple(difference(target, deployment.body)),
    )


def carries(deployment: Deployment, desired: Desired) -> bool:
    """Whether a workload has every piece already, so that nothing is written.

    The place of our words among the others does not matter: an argument that the owner added
    behind them is no reason to restart a model.
    """
    record = record_of(deployment)
    if desired == Desired(desired.container, (), (), {}):
        # Right as its owner wrote it: adopted. A record of ours would be out of date.
        return record is None
    container = deployment.container(desired.container)
    if record is None or container is None or record.container != desired.container:
        return False
    added = record.args.added if record.args else ()
    return (
        added == desired.arguments
        and contains_run(container.args, added)
        and record.ports == desired.ports
        and _declares(container, desired.ports)
        and {key: change.after for key, change in record.labels.items()} == desired.labels
        and desired.labels.items() <= deployment.template_labels.items()
    )


def _declares(container: Container, ports: tuple[Mapping[str, Any], ...]) -> bool:
    declared = {port.get("containerPort") for port in container.ports}
    return all(port["containerPort"] in declared for port in ports)


def guarded(
    deployment: Deployment, operations: list[Operation], container: str = ""
) -> tuple[Operation, ...]:
    """The operations behind tests that this is still the same object with the container in place."""
    tests = []
    if deployment.uid:
        tests.append(expect("/metadata/uid", deployment.uid))
    found = deployment.container(container) if container else None
    if found is not None:
        path = pointer("spec", "template", "spec", "containers", found.index, "name")
        tests.append(expect(path, container))
    return (*tests, *operations)


def fingerprint(base: Deployment, desired: Desired, retry: str) -> str:
    """A digest of the owner's template, what we add to it, and the retry annotation."""
    content: Any = [
        base.template,
        desired.container,
        desired.arguments,
        [dict(port) for port in desired.ports],
        dict(desired.labels),
        retry,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def plan_undo(deployment: Deployment) -> tuple[Operation, ...]:
    """The one patch that takes everything of ours off a workload; empty when nothing is on it.

    Raises:
        RecordError: its record cannot be read.
    """
    operations = difference(deployment.body, strip(deployment).body)
    record = record_of(deployment)
    return guarded(deployment, operations, record.container if record else "") if operations else ()
