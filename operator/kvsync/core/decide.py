"""The decision for one KVEventSync: from everything observed to everything to be done and said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from kvsync.core.actions import (
    change_action,
    evict_action,
    finalizer_action,
    handback_action,
    owned_by,
    restore_actions,
    rollback_action,
)
from kvsync.core.announce import announce
from kvsync.core.arguments import int_of
from kvsync.core.assess import ModelState, ModelView, assess, with_notes
from kvsync.core.bare_pods import SETTLING
from kvsync.core.claim import elder_of, handover_action
from kvsync.core.engines import ENGINES
from kvsync.core.gateway import gateway_version
from kvsync.core.gateway_fold import fold
from kvsync.core.gateway_taken import gateway_watch
from kvsync.core.gateway_view import GatewayView, view_gateway
from kvsync.core.gateway_wish import own_member
from kvsync.core.isolation import isolate
from kvsync.core.planned import Ask
from kvsync.core.pod_labels import label_actions
from kvsync.core.publication import AT_ONCE, Moves, publication_of, wait_for, within_bounds
from kvsync.core.releases import gateway_release
from kvsync.core.render import Templates
from kvsync.core.sidecar.pieces import is_relayed
from kvsync.core.subscribed import bystanders
from kvsync.core.summary import Picture, summarize
from kvsync.core.told import proven_at, told_at
from kvsync.core.turns import (
    announced,
    budget_of,
    common_end,
    last_change,
    turns_of,
    undos_of,
)
from kvsync.core.undo import decide_undo
from kvsync.core.wave import Wave, next_wave
from kvsync.model.decision import Action, Decision, Question
from kvsync.model.events import EventLayout
from kvsync.model.observed import FINALIZER, KVEventSync, Observed, ObservedModel
from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.relay import RELAY_CONTAINER
from kvsync.model.source import SourceKey, Target
from kvsync.model.spec import EngineType, Mode
from kvsync.model.standing import Standing
from kvsync.model.storm import role_of
from kvsync.model.workload import Deployment, Pod

Layouts = Mapping[str, Collection[EventLayout]]

_SLACK = 1.0
"""Seconds to look again after a deadline, so that it has passed by then."""


def decide(observed: Observed, templates: Templates) -> Decision:
    """What to do now. Level-triggered: the same picture gives the same decision.

    Raises:
        TemplateRenderError: a template is broken.
    """
    if observed.sync.deleting:
        return decide_undo(observed)
    views = within_bounds(observed, view_models(observed, templates))
    own = own_member(observed, views)
    # Once: there may be a thousand who share a gateway. Of what is not managed nothing is shared.
    folded = fold(own, observed.others if observed.spec.gateway.manage else ())
    gateway = view_gateway(observed, views, templates, folded)
    undos = undos_of(_to_be_taken_back(observed))
    wave = next_wave(turns_of(observed, views, undos), budget_of(observed))
    isolation = isolate(observed, views, wave.start)
    moves = _moves(observed, views, wave)
    told = [with_notes(view, isolation.notes.get(view.name, ())) for view in views]
    status = summarize(Picture(observed, told, folded, gateway, wave, moves))
    back = [undos[name] for name in wave.take_back if name in announced(observed.sync)]
    actions = (
        # Before the pods that it is about.
        *isolation.actions,
        *_model_actions(observed, views, moves, back),
        *gateway.actions,
        *restore_actions(observed.sync, observed.strays, observed.gateway.gone),
    )
    # Who took the permission away need not wait for who holds the object.
    revoked = restore_actions(observed.sync, observed.revoked, observed.gateway.gone)
    held = bool(observed.held_by)
    due = revoked if held else (*actions, *revoked)
    if moves.publication.lost:
        due = ()  # what is made now would get nothing: the status first
    standing = Standing(
        own.mark,
        wish=own.wish,
        awaits_pods=gateway.reason is ConditionReason.GATEWAY_WOULD_STALL,
        in_flight=wave.common,
        waiting=wave.waits_for_others,
        # Of all that stands here only a gateway and a place among others wait for the rest.
        awaits_all=bool(observed.unheard) and (own.wish.asks or wave.waits_for_others),
        last_change=last_change(observed),
    )
    return Decision(
        actions=_held(observed.sync, due, heir=not held and _may_inherit(views)),
        targets=_targets(observed, views),
        questions=_questions(observed, views),
        missing=tuple(m.name for m in observed.models if m.deployment is None),
        gateway=gateway_watch(observed, views),
        tokenizer=gateway.question,
        crashed=tuple(view.crashed for view in views if view.crashed is not None),
        status=status,
        announcements=announce(observed.sync.status, status),
        look_again=_look_again(observed, views, gateway, moves, standing),
        waits=bool(wave.waiting),
        standing=standing,
    )


def view_models(observed: Observed, templates: Templates) -> tuple[ModelView, ...]:
    """Where each selected model stands.

    Raises:
        TemplateRenderError: a template is broken.
    """
    layouts = layouts_by_pod(observed)
    return tuple(
        assess(model, observed, ask_of(model, observed, templates, layouts))
        for model in observed.models
        if model.selected
    )


def layouts_by_pod(observed: Observed) -> Layouts:
    """How events were seen to be written, by the uid of the pod that sent them.

    Made once for all models: an object's verdicts are as many as its sources.
    """
    found: dict[str, set[EventLayout]] = {}
    for key, verdict in observed.verdicts.items():
        if verdict.layout is not None:
            found.setdefault(key.uid, set()).add(verdict.layout)
    return found


def ask_of(model: ObservedModel, observed: Observed, templates: Templates, layouts: Layouts) -> Ask:
    """What the plan for a model is asked with; ``layouts`` as of ``layouts_by_pod``."""
    return Ask(
        spec=observed.spec,
        owner=observed.sync.owner,
        templates=templates,
        running_versions=_running_versions(model),
        retry=observed.sync.retry,
        at=int(observed.now),
        living=observed.living,
        elder=elder_of(model, observed),
        proven_at=proven_at(model.name, observed.sync),
        told_at=told_at(model.name, observed.sync),
        relays=observed.relays,
        admission=observed.admission,
        gateway_reads=_gateway_reads(observed),
        seen_layouts=_seen_layouts(model, layouts),
    )


def _gateway_reads(observed: Observed) -> frozenset[EventLayout] | None:
    """The layouts that the gateway in use decodes; None where that is not known, or it uses none."""
    deployment, container = observed.gateway.deployment, observed.spec.gateway.container
    if deployment is None or deployment.container(container) is None:
        return None
    version = gateway_version(deployment, container)
    release = gateway_release(version) if version is not None else None
    return release.layouts if release is not None and release.uses_events else None


def _seen_layouts(model: ObservedModel, layouts: Layouts) -> dict[str, EventLayout]:
    """How the engines of each role write events, as seen on the wire of pods without a relay."""
    seen = [(pod, layouts[pod.uid]) for pod in model.pods if pod.uid in layouts]
    direct = [(pod, theirs) for pod, theirs in seen if not is_relayed(pod)]
    found: dict[str, EventLayout] = {}
    for template in model.deployment.templates if model.deployment else ():
        of_role = {each for pod, theirs in direct if _is_of(pod, template) for each in theirs}
        if len(of_role) == 1:
            found[role_of(template)] = of_role.pop()
    return found


def _running_versions(model: ObservedModel) -> dict[str, str]:
    """What the engines of each role say, where they agree; the role of a Deployment is empty."""
    answers, found = model.answers or {}, {}
    for template in model.deployment.templates if model.deployment else ():
        pods = (pod for pod in model.pods if pod.uid in answers and _is_of(pod, template))
        versions = {answers[pod.uid].version for pod in pods} - {None}
        if len(versions) == 1:
            found[role_of(template)] = str(versions.pop())
    return found


def _is_of(pod: Pod, template: Deployment) -> bool:
    """Whether a pod runs what a template says: one of other images is of a revision before or after.

    Webhooks may have put containers beside, as of a service mesh.
    """
    return role_of(template) in ("", pod.role) and _images(template) <= _images(pod)


def _images(workload: Deployment | Pod) -> set[tuple[str, str]]:
    return {(c.name, c.image) for c in workload.containers if c.name != RELAY_CONTAINER}


def _may_inherit(views: Sequence[ModelView]) -> bool:
    """Whether another object may hand a model over at any moment."""
    return any(view.reason == ModelReason.OWNED_BY_ANOTHER for view in views)


def _moves(observed: Observed, views: Sequence[ModelView], wave: Wave) -> Moves:
    """What is done to models and pods in this pass, and what of it waits for the status."""
    turns = [view for view in views if view.name in wave.start]
    planned = {v.name: v.plan.injection for v in turns if v.plan and v.plan.injection}
    publication = publication_of(observed, planned)
    waits = {view.name: wait_for(view, publication, observed.now) for view in turns}
    idle = bool(observed.held_by) or publication.lost
    due = [v for v in views if v.replacement is not None and v.replacement.is_due(observed.now)]
    return Moves(
        publication,
        changed=frozenset(n for n, wait in waits.items() if wait is None and not idle),
        evicted=frozenset() if idle else frozenset(view.name for view in due),
        wait=min((wait for wait in waits.values() if wait is not None), default=None),
    )


def _held(sync: KVEventSync, actions: tuple[Action, ...], *, heir: bool) -> tuple[Action, ...]:
    """The actions, behind the finalizer: nothing is changed, or handed over, that a deletion would
    not undo."""
    if FINALIZER in sync.finalizers or not (actions or heir):
        return actions
    return (finalizer_action(sync, (*sync.finalizers, FINALIZER)), *actions)


def _to_be_taken_back(observed: Observed) -> list[ObservedModel]:
    """Models that are ours, not selected any more, and wanted by nobody else; of an object that writes
    nothing any more those that are selected too."""
    writes = observed.spec.mode is not Mode.RENDER
    return [
        model
        for model in observed.models
        if owned_by(model.deployment, observed.sync)
        and (not writes if model.selected else model.heir is None)
    ]


def _model_actions(
    observed: Observed, views: Sequence[ModelView], moves: Moves, back: Sequence[Action]
) -> tuple[Action, ...]:
    rollbacks = [rollback_action(view) for view in views if view.roll_back]
    given = [
        handover_action(model.deployment, model.heir, observed.now)
        for model in observed.models
        if not model.selected and model.heir and owned_by(model.deployment, observed.sync)
        if model.deployment is not None
    ]
    gateways = (*observed.gateway.within_reach, *observed.strays)
    released = [
        action
        for deployment in (*(m.deployment for m in observed.models), *gateways)
        if (action := handback_action(deployment)) is not None
    ]
    changes = [change_action(view) for view in views if view.name in moves.changed]
    # Last, for the API server may refuse one for now.
    evictions = [
        evict_action(view.replacement)
        for view in views
        if view.name in moves.evicted and view.replacement is not None
    ]
    labels = label_actions(observed, views)
    return (*rollbacks, *given, *back, *released, *labels, *changes, *evictions)


def _targets(observed: Observed, views: Sequence[ModelView]) -> dict[SourceKey, Target]:
    gateway = f"{observed.spec.gateway.namespace}/{observed.spec.gateway.deployment}"
    sources = (
        replace(target, gateway=gateway) if target.relay_port else target
        for view in views
        for target in view.targets
    )
    return {target.key: target for target in (*sources, *bystanders(observed, views))}


def _questions(observed: Observed, views: Sequence[ModelView]) -> tuple[Question, ...]:
    """The running engines that have not been asked yet for their version and block size."""
    by_name = {model.name: model for model in observed.models}
    kind = observed.spec.engine.type
    return tuple(
        question for view in views for question in _questions_of(view, by_name[view.name], kind)
    )


def _questions_of(view: ModelView, model: ObservedModel, kind: EngineType) -> list[Question]:
    parts = view.plan.parts if view.plan else ()
    asked = model.answers or {}
    unasked = [pod for pod in model.pods if pod.ready and pod.uid not in asked]
    if not parts:
        port = guessed_port(model, kind)
        return [Question(pod.uid, pod.ip, port) for pod in unasked]
    # A pod of another role, such as a router, is no engine.
    return [
        Question(pod.uid, pod.ip, part.engine.http_port)
        for pod in unasked
        for part in parts
        if part.covers(pod)
    ]


def guessed_port(model: ObservedModel, engine: EngineType) -> int:
    """The HTTP port of an engine that could not be told yet: what any container names, or its default."""
    templates = model.deployment.templates if model.deployment else ()
    named = (int_of(c.words, "port") for each in templates for c in each.containers)
    return next((port for port in named if port), ENGINES[engine].http_port)


def _look_again(
    observed: Observed,
    views: Sequence[ModelView],
    gateway: GatewayView,
    moves: Moves,
    standing: Standing,
) -> float | None:
    """Seconds until the next moment that changes something by time alone: the pods of a model on its
    way count as they are, its deadline is over, an object is not waited for any more, the gateway."""
    under_way = (ModelState.ROLLING_OUT, ModelState.VERIFYING)
    ends = [view.trial_end for view in views if view.trial_end and view.state in under_way]
    ends += [
        view.record.at + SETTLING
        for view in views
        if view.record is not None and view.state is ModelState.VERIFYING
    ]
    ends += [end for view in views if (end := common_end(view)) is not None]
    ahead = [end - observed.now for end in ends if end >= observed.now]
    ahead += [view.held_until - observed.now for view in views if view.held_until is not None]
    ends = [v.replacement.at for v in views if v.replacement and v.replacement.at is not None]
    ahead += [end - observed.now for end in ends if end >= observed.now]
    if standing.awaits_all:
        ahead.append(_SLACK)
    if gateway.look_again is not None:
        ahead.append(gateway.look_again)
    after = [moves.wait] if moves.wait is not None else []
    if moves.publication.lost:
        after.append(AT_ONCE)
    if ahead:
        after.append(min(ahead) + _SLACK)
    return min(after, default=None)
