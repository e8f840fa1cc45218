"""The decision for a KVEventSync that is being deleted: the gateway first, then the models."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.actions import (
    finalizer_action,
    handback_action,
    owned_by,
    release_action,
    restore_actions,
    retain_actions,
    undo_action,
)
from kvsync.core.moment import seconds
from kvsync.core.pod_labels import unlabel_actions
from kvsync.core.summary import conditions
from kvsync.model.decision import Action, Decision
from kvsync.model.observed import FINALIZER, KVEventSync, Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.spec import DeletionPolicy
from kvsync.model.workload import Deployment

GATEWAY_PATIENCE = 120.0
"""Seconds that the models wait for the gateway to restart without them. A gateway that does not
come up must not keep a namespace from being deleted."""

_RESTORING = "The gateway gets its environment back."


def decide_undo(observed: Observed) -> Decision:
    """What to do next on the way out. A paused object is undone too: deleting it asks for that."""
    sync = observed.sync
    if FINALIZER not in sync.finalizers:
        return Decision()
    owned = [m.deployment for m in observed.models if owned_by(m.deployment, sync)]
    deployments = [deployment for deployment in owned if deployment is not None]
    gateway = observed.gateway.deployment if observed.gateway.permitted else None
    # The gateway first: its flag is taken back before anything else.
    gateways = (*observed.gateway.within_reach, *observed.strays)
    if observed.spec.deletion_policy is DeletionPolicy.RETAIN:
        return _retain(observed, deployments, gateways)
    released = [
        action
        for deployment in (*(m.deployment for m in observed.models), *gateways)
        if (action := handback_action(deployment)) is not None
    ]
    if released:
        return _step(observed, released, "Fields go back to their owners.")
    gone = observed.gateway.gone
    releases = [a for g in gateways if (a := release_action(sync, g, gone)) is not None]
    releases += restore_actions(sync, observed.revoked, gone)
    if releases:
        return _step(observed, releases, _RESTORING)
    elapsed = observed.now - (seconds(sync.deletion_timestamp) or 0)
    restarting = gateway is not None and not gateway.rollout.complete
    if restarting and deployments and elapsed < GATEWAY_PATIENCE:
        return _step(observed, [], "Waiting until the gateway has restarted.", look_again=5.0)
    return _undo_models(observed, deployments, elapsed)


def _retain(
    observed: Observed, owned: Sequence[Deployment], gateways: Sequence[Deployment]
) -> Decision:
    """All stays, but for what is not the object's to decide about: it may not leave that behind."""
    revoked = restore_actions(observed.sync, observed.revoked, observed.gateway.gone)
    if revoked:
        return _step(observed, revoked, _RESTORING)
    actions = retain_actions(observed.sync, owned, gateways)
    return Decision(actions=(*actions, _let_go(observed.sync)))


def _undo_models(observed: Observed, owned: Sequence[Deployment], elapsed: float) -> Decision:
    pods = (pod for model in observed.models for pod in model.pods)
    labels = unlabel_actions(observed.sync, pods)
    if labels:
        return _step(observed, labels, "Pods lose the gateway's label.")
    # Models that roll already come first: taking them back takes no further model out of service.
    ordered = sorted(owned, key=lambda d: (d.rollout.complete, d.model))
    undos = {d.model: action for d in ordered if (action := undo_action(d)) is not None}
    if not undos:
        return Decision(actions=(_let_go(observed.sync),))
    late = elapsed > observed.spec.rollout.progress_deadline
    moving = [
        model.name
        for model in observed.models
        if model.deployment and model.name not in undos and not model.deployment.rollout.complete
    ]
    free = len(undos) if late else max(0, observed.spec.rollout.max_concurrent - len(moving))
    chosen = [*undos.values()][:free]
    message = f"{len(undos)} models to be taken back"
    message += f"; waiting for {', '.join(moving[:5])}." if moving else "."
    return _step(observed, chosen, message, look_again=5.0)


def _let_go(sync: KVEventSync) -> Action:
    return finalizer_action(sync, [name for name in sync.finalizers if name != FINALIZER])


def _step(
    observed: Observed, actions: Sequence[Action], message: str, look_again: float | None = None
) -> Decision:
    undoing = ("False", ConditionReason.UNDOING, message)
    findings = {
        "Ready": undoing,
        "Reconciling": ("True", ConditionReason.UNDOING, message),
        "Stalled": ("False", ConditionReason.UNDOING, message),
        "ModelsConfigured": undoing,
        "EventsFlowing": undoing,
        "GatewayConfigured": undoing,
        "GatewayCompatible": ("Unknown", ConditionReason.UNDOING, message),
    }
    status = {**observed.sync.status, "observedGeneration": observed.sync.generation}
    status["conditions"] = conditions(observed.sync, observed.now, findings)
    return Decision(actions=tuple(actions), status=status, look_again=look_again)
