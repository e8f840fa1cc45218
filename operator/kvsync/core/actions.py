"""The patches that a decision is made of, each with the words that explain it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kvsync.core.annotations import beyond_limit
from kvsync.core.assess import ModelView
from kvsync.core.gateway import owners_of, plan_release, plan_retain
from kvsync.core.handback import plan_handback
from kvsync.core.patch import difference, expect, guarded
from kvsync.core.plan import lost_records, plan_undo, without_ours
from kvsync.core.replacement import Replacement
from kvsync.core.revert import is_marked_by, readable, without_mark
from kvsync.model.decision import Action, Deed, Kind, kind_of
from kvsync.model.observed import KVEventSync
from kvsync.model.reasons import ModelReason
from kvsync.model.record import (
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    REJECTED_ANNOTATION,
    Rejection,
    dump_rejection,
)
from kvsync.model.workload import Deployment


def finalizer_action(sync: KVEventSync, finalizers: Sequence[str]) -> Action:
    """The patch that sets an object's finalizers, given that they are still as read."""
    old = {"finalizers": list(sync.finalizers)} if sync.finalizers else {}
    new = {"finalizers": list(finalizers)} if finalizers else {}
    operations = (
        expect("/metadata/uid", sync.owner.uid),
        *difference(old, new, "/metadata"),
    )
    return Action(Kind.SYNC, sync.namespace, sync.name, operations, Deed.FINALIZER, "")


def change_action(view: ModelView) -> Action:
    """The one patch that configures a model whose turn it is."""
    assert view.deployment is not None  # a pending model has both
    assert view.plan is not None
    assert view.plan.engine is not None
    restarts = "its pods restart" if view.plan.restarts else "no pod restarts"
    when = ", as its pods are created," if view.plan.injection is not None else ""
    note = (
        f"Configured container {view.plan.engine.container} of {view.deployment.title}{when} to publish "
        f"KV events ({view.plan.engine.dialect}); {restarts}."
    )
    note = " ".join((note, *map(str, view.plan.notes)))
    if view.next_repairs is not None:
        note = f"{view.message} {note}"
        repair = _on(view.deployment, view.plan.patch, Deed.REPAIRED, note)
        return replace(repair, warning=True, counted=True)
    at_risk = any(each.reason == ModelReason.ARGS_AT_RISK for each in view.plan.notes)
    return replace(_on(view.deployment, view.plan.patch, Deed.CONFIGURED, note), warning=at_risk)


def _on(
    deployment: Deployment, operations: Sequence[Mapping[str, object]], deed: Deed, note: str
) -> Action:
    return Action(
        kind_of(deployment),
        deployment.namespace,
        deployment.name,
        tuple(operations),
        deed,
        note,
        restarts=deployment.replicas > 0 and any(map(_changes_spec, operations)),
    )


def _changes_spec(operation: Mapping[str, object]) -> bool:
    return operation["op"] != "test" and str(operation["path"]).startswith("/spec/")


def evict_action(found: Replacement) -> Action:
    """The eviction of a pod that was created without the settings."""
    pod = found.pod
    note = (
        f"Evicted pod {pod.name}, which was created without its settings, so that its ReplicaSet makes "
        "another one."
    )
    return Action(
        Kind.POD,
        pod.namespace,
        pod.name,
        (),
        Deed.POD_REPLACED,
        note,
        warning=True,
        counted=True,
        evicts=pod.uid,
    )


def rollback_action(view: ModelView) -> Action:
    """The patch that restores the record and notes in the same patch what it was rolled back for."""
    assert view.deployment is not None  # only a configured model is rolled back
    assert view.plan is not None
    rejection = Rejection(view.reason, view.message, view.plan.fingerprint)
    target = _rejected(view.deployment, rejection)
    if beyond_limit(target):
        # A crashing engine is not left so for want of a place to say why.
        target = _rejected(view.deployment, replace(rejection, message=f"{view.reason}."))
    operations = guarded(view.deployment, difference(view.deployment.body, target.body))
    note = f"Restored {view.deployment.title} to what it was: {view.message}"
    return replace(_on(view.deployment, operations, Deed.ROLLED_BACK, note), warning=True)


def _rejected(deployment: Deployment, rejection: Rejection) -> Deployment:
    """What a workload was, with the note of what it was rolled back for."""
    base = without_ours(deployment)
    annotations = {
        **base.annotations,
        OWNER_ANNOTATION: deployment.annotations[OWNER_ANNOTATION],
        REJECTED_ANNOTATION: dump_rejection(rejection),
    }
    return base.with_annotations(annotations)


def undo_action(deployment: Deployment | None) -> Action | None:
    """The one patch that takes everything of ours off a Deployment; None where nothing is on it."""
    operations = plan_undo(deployment) if deployment is not None else ()
    if deployment is None or not operations:
        return None
    note = f"Took the KV event configuration off {deployment.title}; its pods restart."
    if not any(map(_changes_spec, operations)):
        note = f"Took our annotations off {deployment.title}; no pod restarts."
    if not lost_records(deployment):
        return _on(deployment, operations, Deed.REVERTED, note)
    lost = (
        f"{note} Its record (annotation {RECORD_ANNOTATION}) was edited or removed, so only what is "
        "recognisably ours was taken out: compare the Deployment with your own manifest."
    )
    return replace(_on(deployment, operations, Deed.RECORD_LOST, lost), warning=True)


def handback_action(deployment: Deployment | None) -> Action | None:
    """The patch that gives up our part in managedFields once nothing of ours is on an object."""
    operations = plan_handback(deployment) if deployment is not None else ()
    if deployment is None or not operations:
        return None
    return _on(deployment, operations, Deed.FIELDS_RELEASED, "")


def mark_of(sync: KVEventSync) -> str:
    """The object's mark among those that need the gateway."""
    return f"{sync.namespace}/{sync.name}"


def owned_by(deployment: Deployment | None, sync: KVEventSync) -> bool:
    """Whether a Deployment carries the mark of this very object."""
    return deployment is not None and is_marked_by(deployment, sync.owner)


def release_action(
    sync: KVEventSync, gateway: Deployment, gone: Iterable[str] = ()
) -> Action | None:
    """The patch that lets a gateway go; None where this object holds nothing of it. Marks of objects
    that are ``gone`` go with it."""
    if mark_of(sync) not in owners_of(gateway):
        return None
    return leave_action(gateway, (mark_of(sync), *gone))


def leave_action(gateway: Deployment, leaving: Iterable[str]) -> Action | None:
    """The patch that lets a gateway go for some objects; None where they hold nothing of it."""
    if not readable(gateway):
        return None
    marks = sorted({*leaving} & {*owners_of(gateway)})
    operations = plan_release(gateway, *marks)
    where = f"{gateway.namespace}/{gateway.name}"
    note = f"Gave the environment of {where} back for {', '.join(marks)}."
    return _on(gateway, operations, Deed.GATEWAY_RESTORED, note) if operations else None


def restore_actions(
    sync: KVEventSync, gateways: Sequence[Deployment], gone: Iterable[str] = ()
) -> tuple[Action, ...]:
    """The patches by which this object lets go of gateways, first its mark, then fields of ours."""
    marks = tuple(gone)
    actions = (release_action(sync, each, marks) or handback_action(each) for each in gateways)
    return tuple(action for action in actions if action is not None)


def retain_actions(
    sync: KVEventSync, models: Sequence[Deployment], gateways: Sequence[Deployment]
) -> list[Action]:
    """The patches that take only our marks off: what is configured stays, with its record."""
    actions = []
    for deployment in models:
        operations = difference(deployment.body, without_mark(deployment).body)
        note = f"Left {deployment.title} configured (deletionPolicy Retain)."
        actions.append(_on(deployment, guarded(deployment, operations), Deed.RETAINED, note))
    for gateway in gateways:
        operations_of_gateway = plan_retain(gateway, mark_of(sync))
        if operations_of_gateway:
            where = f"{gateway.namespace}/{gateway.name}"
            note = f"Left the gateway {where} configured (deletionPolicy Retain)."
            actions.append(_on(gateway, operations_of_gateway, Deed.RETAINED, note))
    return actions
