"""What the wave needs of an object's models, and how much of the common budget it may use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from kvsync.core.actions import mark_of, owned_by, undo_action
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.moment import seconds
from kvsync.core.progress import is_replacing, is_unseen
from kvsync.core.recognise import newest_record
from kvsync.core.wave import Awaited, Budget, Claim, Move, Turn
from kvsync.model.decision import Action
from kvsync.model.observed import KVEventSync, Observed, ObservedModel
from kvsync.model.reasons import ModelReason
from kvsync.model.record import OWNER_ANNOTATION
from kvsync.model.spec import Mode
from kvsync.model.standing import Standing
from kvsync.model.workload import Deployment

COMMON_PATIENCE = 1800.0
"""Seconds after a change from which a model holds up nobody but its own object: a deadline of a day,
which its author is free to set, is no reason for all others to wait."""

_ON_TRIAL = frozenset({ModelState.ROLLING_OUT, ModelState.VERIFYING})


def budget_of(observed: Observed) -> Budget:
    """What the object may restart at once, beside what the others do."""
    here = mark_of(observed.sync)
    return Budget(
        at_once=observed.spec.rollout.max_concurrent,
        cap=observed.max_rolling,
        elsewhere=_elsewhere(observed),
        unheard=observed.unheard,
        queue=tuple(
            Claim(len(other.in_flight), other.last_change, other.sync)
            for other in observed.others
            if other.waiting
        ),
        neighbours=any(
            other.sync.partition("/")[0] != observed.sync.namespace for other in observed.others
        ),
        sync=here,
        last_change=last_change(observed),
        paused=bool(observed.held_by) and not observed.sync.deleting,
    )


def _elsewhere(observed: Observed) -> tuple[str, ...]:
    """Models on their way by the other objects; one that was handed over counts by its new mark."""
    ours = {
        f"{observed.sync.namespace}/{model.name}"
        for model in observed.models
        if owned_by(model.deployment, observed.sync)
    }
    theirs = {name for other in observed.others if other.in_flight for name in _qualified(other)}
    return tuple(sorted(theirs - ours))


def _qualified(standing: Standing) -> Iterator[str]:
    namespace = standing.sync.partition("/")[0]
    return (f"{namespace}/{name}" for name in standing.in_flight)


def last_change(observed: Observed) -> int:
    """When the object last changed a model, by the records on its models; 0 if it never did."""
    found = (newest_record(m.deployment) for m in observed.models if m.deployment is not None)
    return reduce(max, (record.at for record in found if record is not None), 0)


def turns_of(
    observed: Observed, views: Sequence[ModelView], undos: dict[str, Action]
) -> list[Turn]:
    """The models of an object that stays: those selected, and those to be taken back (``undos``).

    An object of mode Render changes none: its models hold no place but while they are taken back.
    """
    if observed.spec.mode is Mode.RENDER:
        return [_leaving(model, observed, undos) for model in observed.models]
    selected = [_turn(view, observed) for view in views]
    others = [model for model in observed.models if not model.selected]
    return [*selected, *(_leaving(model, observed, undos) for model in others)]


def _turn(view: ModelView, observed: Observed) -> Turn:
    deployment = view.deployment
    # One that waits for its next repair holds no turn: the others go before it.
    pending = view.state is ModelState.PENDING and view.held_until is None
    return Turn(
        view.name,
        move=Move.CHANGE if pending else None,
        awaits=_awaits(view, observed) if deployment is not None else None,
        failed=view.state is ModelState.FAILED,
        restarts=bool(view.plan and view.plan.restarts),
        common=pending or not _holds_up_only_its_own(view, observed.now),
    )


def _holds_up_only_its_own(view: ModelView, now: float) -> bool:
    """A model that waits for a first prompt restarts nothing any more, and may do so for ever."""
    end = common_end(view)
    return view.reason == ModelReason.WAITING_FOR_TRAFFIC or (end is not None and now > end)


def common_end(view: ModelView) -> float | None:
    """Until when a model that was changed takes a place of all objects (seconds since the epoch)."""
    return view.record.at + COMMON_PATIENCE if view.record and view.on_trial else None


def _awaits(view: ModelView, observed: Observed) -> Awaited | None:
    """What a selected model is waited for. One that was left as it is after a failure is a person's,
    and of one that was refused nothing is ours to wait for."""
    assert view.deployment is not None  # asked only of those that have one
    if view.roll_back:
        return Awaited.ROLLED_OUT
    if view.state in _ON_TRIAL and view.on_trial:
        waits = view.reason == ModelReason.WAITING_FOR_TRAFFIC
        return Awaited.TRAFFIC if waits else Awaited.VERIFIED
    left = view.state is ModelState.FAILED and view.record is not None
    if left or view.state is ModelState.REFUSED:
        return None
    return Awaited.ROLLED_OUT if _is_moving(view.deployment, observed) else None


def _is_moving(deployment: Deployment, observed: Observed) -> bool:
    patience = min(observed.spec.rollout.progress_deadline, COMMON_PATIENCE)
    return is_replacing(deployment, observed.now, patience)


def _leaving(model: ObservedModel, observed: Observed, undos: dict[str, Action]) -> Turn:
    """A model that is not selected any more. Where nothing of ours is left it is observed because it
    was taken back a moment ago."""
    undo = undos.get(model.name)
    moving = model.deployment is not None and _is_moving(model.deployment, observed)
    ours = undo is not None or model.name in announced(observed.sync)
    return Turn(
        model.name,
        move=Move.TAKE_BACK if undo is not None else None,
        awaits=Awaited.ROLLED_OUT if ours and moving else None,
        restarts=undo is not None and undo.restarts,
        certain=model.deployment is None or not is_unseen(model.deployment),
    )


def announced(sync: KVEventSync) -> frozenset[str]:
    """The models that the status names as on their way: what is taken back is named there first, so
    that whoever comes after a crash knows that its rollout is ours."""
    wave = sync.status.get("wave") or {}
    return frozenset(map(str, wave.get("current") or ()))


def undos_of(models: Sequence[ObservedModel]) -> dict[str, Action]:
    """The patches that take back what is ours on these models, by name; none where nothing is."""
    found = {model.name: undo_action(model.deployment) for model in models}
    return {name: action for name, action in found.items() if action is not None}


def turns_on_the_way_out(observed: Observed, undos: dict[str, Action]) -> list[Turn]:
    """The models of an object that goes: everything is taken back, and what rolls is waited for."""
    gone = seconds(observed.sync.deletion_timestamp) or 0.0
    return [
        _on_the_way_out(model, observed, undos, gone)
        for model in observed.models
        if not _is_anothers(model.deployment, observed.sync)
    ]


def _is_anothers(deployment: Deployment | None, sync: KVEventSync) -> bool:
    mark = deployment.annotations.get(OWNER_ANNOTATION) if deployment is not None else None
    return mark is not None and not owned_by(deployment, sync)


def _on_the_way_out(
    model: ObservedModel, observed: Observed, undos: dict[str, Action], gone: float
) -> Turn:
    undo, deployment = undos.get(model.name), model.deployment
    moving = deployment is not None and _rolls_by_the_undo(
        deployment, observed, gone if undo is None else 0.0
    )
    return Turn(
        model.name,
        move=Move.TAKE_BACK if undo is not None else None,
        awaits=Awaited.ROLLED_OUT if moving else None,
        restarts=undo is not None and undo.restarts,
        certain=deployment is None or not is_unseen(deployment),
    )


def _rolls_by_the_undo(deployment: Deployment, observed: Observed, since: float) -> bool:
    """What made no progress since the object was deleted was not set off by that."""
    patience = min(observed.spec.rollout.progress_deadline, COMMON_PATIENCE)
    return is_replacing(deployment, observed.now, patience, since)
