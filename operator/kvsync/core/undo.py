"""The decision for a KVEventSync that is being deleted: the gateway first, then the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kvsync.core.actions import (
    finalizer_action,
    handback_action,
    mark_of,
    owned_by,
    release_action,
    restore_actions,
    retain_actions,
)
from kvsync.core.claim import gateway_handover_action, gateway_heir, handover_action
from kvsync.core.moment import seconds
from kvsync.core.pod_labels import unlabel_actions
from kvsync.core.publication import publication_of
from kvsync.core.summary import conditions, injections_entry, wave_entry
from kvsync.core.turns import announced, budget_of, last_change, turns_on_the_way_out, undos_of
from kvsync.core.wave import Wave, listed, next_wave
from kvsync.model.decision import Action, Decision
from kvsync.model.observed import FINALIZER, KVEventSync, Observed, Rival
from kvsync.model.reasons import ConditionReason
from kvsync.model.spec import DeletionPolicy
from kvsync.model.standing import Standing
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
    owned = [
        model.deployment
        for model in observed.models
        if model.deployment is not None and owned_by(model.deployment, sync)
    ]
    # The gateway first: its flag is taken back before anything else.
    gateways = (*observed.gateway.within_reach, *observed.strays)
    if observed.spec.deletion_policy is DeletionPolicy.RETAIN:
        return _retain(observed, owned, gateways)
    undos = undos_of([m for m in observed.models if owned_by(m.deployment, sync)])
    wave = next_wave(turns_on_the_way_out(observed, undos), budget_of(observed))
    return _next_step(observed, owned, gateways, undos, wave)


def _retain(
    observed: Observed, owned: Sequence[Deployment], gateways: Sequence[Deployment]
) -> Decision:
    """All stays, but for what is not the object's to decide about: it may not leave that behind."""
    revoked = restore_actions(observed.sync, observed.revoked, observed.gateway.gone)
    if revoked:
        return _step(observed, revoked, _RESTORING)
    actions = retain_actions(observed.sync, owned, gateways)
    return Decision(actions=(*actions, _let_go(observed.sync)))


def _next_step(
    observed: Observed,
    owned: Sequence[Deployment],
    gateways: Sequence[Deployment],
    undos: Mapping[str, Action],
    wave: Wave,
) -> Decision:
    still = _standing(observed, wave, wave.current)
    for actions, message in _steps(observed, owned, gateways):
        if actions:
            return replace(_step(observed, actions, message), standing=still)
    if undos and _restarts(observed, gateways):
        step = _step(observed, [], "Waiting until the gateway has restarted.", look_again=5.0)
        return replace(step, standing=still)
    labels = unlabel_actions(observed.sync, (p for m in observed.models for p in m.pods))
    if labels:
        return replace(_step(observed, labels, "Pods lose the gateway's label."), standing=still)
    if not undos and wave.current and _is_waited_for(observed):
        message = (
            f"Waiting until {listed(wave.current)} is rolled out: other objects wait for its place."
        )
        return replace(_step(observed, [], message, look_again=5.0), standing=still)
    if not undos:
        return Decision(actions=(_let_go(observed.sync),), standing=still)
    return _undo_models(observed, undos, wave)


def _restarts(observed: Observed, gateways: Sequence[Deployment]) -> bool:
    """Whether the models still wait for the gateway to restart without them."""
    elapsed = observed.now - (seconds(observed.sync.deletion_timestamp) or 0)
    gateway = observed.gateway.deployment
    restarting = gateway in gateways and gateway is not None and not gateway.rollout.complete
    return restarting and elapsed < GATEWAY_PATIENCE


def _is_waited_for(observed: Observed) -> bool:
    """Whether others wait for a common place, or may: an object that is gone holds none, and what of its
    models still rolls would be counted by nobody."""
    return any(other.waiting for other in observed.others) or bool(observed.unheard)


def _standing(observed: Observed, wave: Wave, in_flight: tuple[str, ...]) -> Standing:
    return Standing(
        mark_of(observed.sync),
        in_flight=in_flight,
        waiting=wave.waits_for_others,
        awaits_all=bool(observed.unheard),
        last_change=last_change(observed),
    )


def _steps(
    observed: Observed, owned: Sequence[Deployment], gateways: Sequence[Deployment]
) -> Iterator[tuple[list[Action], str]]:
    """What restarts no model, in the order in which it is done."""
    workloads = [m.deployment for m in observed.models]
    handbacks = map(handback_action, (*workloads, *gateways))
    yield [action for action in handbacks if action], "Fields go back to their owners."
    heirs = {m.name: m.heir for m in observed.models if m.heir and m.deployment in owned}
    yield _kept_gateways(observed, [*heirs.values()], gateways), "The gateway is handed over."
    gone = observed.gateway.gone
    releases = [a for g in gateways if (a := release_action(observed.sync, g, gone)) is not None]
    yield [*releases, *restore_actions(observed.sync, observed.revoked, gone)], _RESTORING
    given = [handover_action(d, heirs[d.model], observed.now) for d in owned if d.model in heirs]
    yield given, "Models are handed over."


def _kept_gateways(
    observed: Observed, heirs: Sequence[Rival], gateways: Sequence[Deployment]
) -> list[Action]:
    found = ((gateway_heir(observed.sync, heirs, gateway), gateway) for gateway in gateways)
    return [
        gateway_handover_action(observed.sync, heir, gateway)
        for heir, gateway in found
        if heir is not None
    ]


def _undo_models(observed: Observed, undos: Mapping[str, Action], wave: Wave) -> Decision:
    # A model that is still selected is in view without being named in the status first.
    named = {model.name for model in observed.models if model.selected} | announced(observed.sync)
    chosen = [undos[name] for name in wave.take_back if name in named]
    message = " ".join((f"{len(undos)} models to be taken back.", wave.message)).strip()
    step = _step(observed, chosen, message, look_again=5.0)
    status = {**(step.status or {}), "wave": wave_entry(wave)}
    return replace(step, status=status, standing=_standing(observed, wave, wave.in_flight))


def _let_go(sync: KVEventSync) -> Action:
    return finalizer_action(sync, [name for name in sync.finalizers if name != FINALIZER])


def _step(
    observed: Observed,
    actions: Sequence[Action],
    message: str,
    look_again: float | None = None,
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
    # What a pod may still ask for stays until no workload asks for it.
    status.pop("injections", None)
    status |= injections_entry(publication_of(observed))
    return Decision(actions=tuple(actions), status=status, look_again=look_again)
