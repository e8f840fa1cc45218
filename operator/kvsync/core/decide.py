"""The decision for one KVEventSync: from everything observed to everything to be done and said."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.actions import (
    change_action,
    finalizer_action,
    release_action,
    rollback_action,
    undo_action,
)
from kvsync.core.announce import announce
from kvsync.core.arguments import int_of
from kvsync.core.assess import ModelState, ModelView, assess
from kvsync.core.detect import DEFAULT_HTTP_PORT
from kvsync.core.gateway_view import view_gateway
from kvsync.core.plan import Ask
from kvsync.core.render import Templates
from kvsync.core.summary import Picture, summarize
from kvsync.core.undo import decide_undo
from kvsync.core.wave import Wave, next_wave
from kvsync.model.decision import Action, Decision, Question
from kvsync.model.observed import FINALIZER, KVEventSync, Observed, ObservedModel
from kvsync.model.source import SourceKey, Target

_SLACK = 1.0
"""Seconds to look again after a deadline, so that it has passed by then."""


def decide(observed: Observed, templates: Templates) -> Decision:
    """What to do now. Level-triggered: the same picture gives the same decision.

    Raises:
        TemplateRenderError: a template is broken.
    """
    if observed.sync.deleting:
        return decide_undo(observed)
    views = tuple(
        assess(model, observed, _ask(model, observed, templates))
        for model in observed.models
        if model.selected
    )
    gateway = view_gateway(observed, views, templates)
    wave = next_wave(views, observed.spec.rollout.max_concurrent)
    status = summarize(Picture(observed, views, gateway, wave))
    strays = (release_action(observed.sync, stray) for stray in observed.strays)
    actions = (*_model_actions(observed, views, wave), gateway.action, *strays)
    return Decision(
        actions=()
        if observed.spec.paused
        else _held(observed.sync, tuple(a for a in actions if a)),
        targets=_targets(views),
        questions=_questions(observed, views),
        status=status,
        announcements=announce(observed.sync.status, status),
        look_again=_look_again(observed, views),
    )


def _ask(model: ObservedModel, observed: Observed, templates: Templates) -> Ask:
    answers = model.answers or {}
    versions = {answer.version for answer in answers.values() if answer.version}
    return Ask(
        spec=observed.spec,
        owner=observed.sync.owner,
        templates=templates,
        # Engines of two versions at once: an image is being changed; neither is the answer.
        running_version=versions.pop() if len(versions) == 1 else None,
        retry=observed.sync.retry,
        at=int(observed.now),
    )


def _held(sync: KVEventSync, actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """The actions, behind the finalizer: nothing is changed that a deletion would not undo."""
    if FINALIZER in sync.finalizers or not actions:
        return actions
    return (finalizer_action(sync, (*sync.finalizers, FINALIZER)), *actions)


def _model_actions(
    observed: Observed, views: Sequence[ModelView], wave: Wave
) -> tuple[Action, ...]:
    rollbacks = [rollback_action(view) for view in views if view.roll_back]
    orphans = [
        action
        for model in observed.models
        if not model.selected and (action := undo_action(model.deployment)) is not None
    ]
    changes = [change_action(view) for view in views if view.name in wave.start]
    return (*rollbacks, *orphans, *changes)


def _targets(views: Sequence[ModelView]) -> dict[SourceKey, Target]:
    return {target.key: target for view in views for target in view.targets}


def _questions(observed: Observed, views: Sequence[ModelView]) -> tuple[Question, ...]:
    """The running engines that have not been asked yet for their version and block size."""
    by_name = {model.name: model for model in observed.models}
    return tuple(question for view in views for question in _questions_of(view, by_name[view.name]))


def _questions_of(view: ModelView, model: ObservedModel) -> list[Question]:
    engine = view.plan.engine if view.plan else None
    port = engine.http_port if engine else guessed_port(model)
    asked = model.answers or {}
    return [
        Question(pod.uid, pod.ip, port) for pod in model.pods if pod.ready and pod.uid not in asked
    ]


def guessed_port(model: ObservedModel) -> int:
    """The HTTP port of an engine that could not be told yet: what any container names, or 8000."""
    containers = model.deployment.containers if model.deployment else ()
    named = (int_of(container.words, "port") for container in containers)
    return next((port for port in named if port), DEFAULT_HTTP_PORT)


def _look_again(observed: Observed, views: Sequence[ModelView]) -> float | None:
    """Seconds until the next deadline of a model on its way: the one thing that comes by time alone."""
    deadline = observed.spec.rollout.progress_deadline
    waits = [
        view.record.at + deadline - observed.now
        for view in views
        if view.record is not None and view.state in (ModelState.ROLLING_OUT, ModelState.VERIFYING)
    ]
    ahead = [wait for wait in waits if wait >= 0]
    return min(ahead) + _SLACK if ahead else None
