"""What must hold in every state, at every move and at rest; a broken one is an AssertionError."""

from __future__ import annotations

import copy
import json
from collections.abc import Hashable, Sequence, Set

from core.cluster import GATEWAY
from core.objects import EVENTS_LABEL, Json
from core.scenes import applied, flag_is_on, is_configured
from explore.community import CRASH, EDIT, PASS, WRITE, Community, Move
from kvsync.core.gateway import owners_of
from kvsync.core.told import is_only_said
from kvsync.model.decision import Action, Kind
from kvsync.model.observed import FINALIZER, KVEventSync
from kvsync.model.record import OWNER_ANNOTATION, parse_owner
from kvsync.model.workload import Deployment, Pod


def check_move(before: Community, move: Move, after: Community) -> None:
    """What a move may do."""
    kind, name = move
    if kind == PASS:
        _check_flag(before, after)
        _check_last_place(before, name, after)
        _check_unheard(before, name, after)
        _check_said(before, name, after)
    if kind == WRITE and isinstance(before.decided[name][0], Action):
        _check_way_out(before, name, after)
    if kind != EDIT:
        check_state(after)


def check_state(state: Community) -> None:
    """What a state may be."""
    cap = state.scenario.cap
    # What its object's deletion takes back needs no verdict any more: only its rollout counts.
    moving = {n for n in state.changing if n in state.rolling or not _is_leaving(state, n)}
    moving |= {n for n in state.taken_back if _is_wanted(state, n)}
    assert len(moving) <= cap, f"more than {cap} on their way: {sorted(moving)}"
    for name in state.scenario.models:
        body = state.objects[name]
        _check_one_configuration(name, body)
        mark = Deployment(body).annotations.get(OWNER_ANNOTATION)
        if mark is not None:
            owner = parse_owner(mark)
            assert owner is not None, mark
            assert _holds(state, owner.name), f"{name} is {owner.name}'s, which nothing holds back"
    for mark in owners_of(Deployment(state.objects[GATEWAY])):
        owner_name = mark.partition("/")[2]
        assert _holds(state, owner_name), f"the gateway is {owner_name}'s, which nothing holds back"


def state_view(body: Json | None) -> Hashable:
    """What ``check_state`` reads of an object or a workload: those of the same view are the same to it."""
    if body is None:
        return None
    metadata, template = body["metadata"], body["spec"].get("template")
    marks = (FINALIZER in metadata.get("finalizers", ()), "deletionTimestamp" in metadata)
    if template is None:
        return marks
    deployment, engine = Deployment(body), template["spec"]["containers"][0]
    owners = (deployment.annotations.get(OWNER_ANNOTATION), owners_of(deployment))
    ports = tuple(port["containerPort"] for port in engine.get("ports", ()))
    return owners, deployment.rollout.complete, tuple(engine.get("args", ())), ports


def _check_one_configuration(name: str, body: Json) -> None:
    engine = body["spec"]["template"]["spec"]["containers"][0]
    words = [word for word in engine.get("args", ()) if word.startswith("--kv-events-config")]
    assert len(words) <= 1, f"{name} has two event configurations: {words}"
    ports = [port["containerPort"] for port in engine.get("ports", ())]
    assert len(ports) == len({*ports}), f"{name} has a port twice: {ports}"


def _is_wanted(state: Community, model: str) -> bool:
    """Whether an object is there that means it: one that is gone is not asked where its last model is."""
    syncs = state.scenario.syncs
    return any(body is not None and model in syncs[name] for name, body in state.syncs.items())


def _is_leaving(state: Community, model: str) -> bool:
    return any(
        body is not None and "deletionTimestamp" in body["metadata"]
        for name, body in state.syncs.items()
        if model in state.scenario.syncs[name]
    )


def _holds(state: Community, name: str) -> bool:
    body = state.syncs.get(name)
    return body is not None and FINALIZER in body["metadata"].get("finalizers", ())


def _check_flag(before: Community, after: Community) -> None:
    """The gateway is told to consume only when every pod that it would subscribe to was heard.

    A pass knows of other objects what their last passes found: what happened since is not asked for.
    """
    if turns_on(before, after):
        pods = before.pods
        silent = [n for n in before.scenario.models if is_silent(pods[n], before.proven)]
        if silent and _is_up_to_date(before):
            raise AssertionError(f"the gateway is turned on beside {silent}")


def turns_on(before: Community, after: Community) -> bool:
    """Whether the pass between two states decided to have the gateway consume."""
    gateway = before.objects[GATEWAY]
    if after.last is None or flag_is_on(gateway):
        return False
    actions = [action for action in after.last.actions if action.name == GATEWAY]
    return any(flag_is_on(applied(gateway, action)) for action in actions)


def _is_up_to_date(state: Community) -> bool:
    living = (name for name, body in state.syncs.items() if body is not None)
    return all(state.decision(name).standing == state.standings.get(name) for name in living)


def is_silent(pods: Sequence[Json], proven: Set[str]) -> bool:
    """Whether one of these is a pod that a gateway would subscribe to as it starts, and nobody heard."""
    return any(
        pod["metadata"]["labels"].get(EVENTS_LABEL) == "true"
        and Pod(pod).ready
        and pod["metadata"]["uid"] not in proven
        for pod in pods
    )


def _check_way_out(before: Community, name: str, after: Community) -> None:
    """The gateway lets go of an object before any of its models is restarted for its end."""
    sync = before.syncs[name]
    item = before.decided[name][0]
    assert isinstance(item, Action)
    if sync is None or "deletionTimestamp" not in sync["metadata"] or item.name == GATEWAY:
        return
    if item.name in before.objects and before.restarts[item.name] != after.restarts[item.name]:
        marks = owners_of(Deployment(before.objects[GATEWAY]))
        assert f"default/{name}" not in marks, f"{item.name} goes before the gateway let go"


def _check_last_place(before: Community, name: str, after: Community) -> None:
    """Where others wait for a place no object goes that holds one: nobody would count its model."""
    body = before.syncs[name]
    if after.last is None or body is None:
        return
    deleted = "deletionTimestamp" in body["metadata"]
    goes = deleted and any(action.kind is Kind.SYNC for action in after.last.actions)
    others = (standing for other, standing in before.standings.items() if other != name)
    if goes and (before.unheard - {name} or any(other.waiting for other in others)):
        rolling = before.taken_back & {*before.scenario.syncs[name]}
        assert not rolling, f"{name} goes, and others wait for the place of {sorted(rolling)}"


def _check_unheard(before: Community, name: str, after: Community) -> None:
    """Who does not wait until all were looked at need not be looked at again once they were."""
    decision = after.last
    if decision is None or decision.standing is None or decision.standing.awaits_all:
        return
    if before.unheard - {name}:
        later = copy.copy(before)
        later.unheard = frozenset()
        assert later.decision(name) == decision, f"{name} hides that it waits for {before.unheard}"


def _check_said(before: Community, name: str, after: Community) -> None:
    """What a status only says is no reason to look at its object again."""
    decision, was, now = after.last, before.syncs[name], after.syncs[name]
    if decision is None or was is None or now is None or was is now:
        return
    if not decision.actions and is_only_said(KVEventSync(was), KVEventSync(now)):
        again = after.decision(name)
        assert not again.actions, f"{name} has more to do: {again.actions}"
        assert json.loads(json.dumps(again.status)) == now["status"], f"{name} has more to say"
        assert again.look_again == decision.look_again
        assert again.standing == decision.standing


def check_rest(state: Community) -> None:
    """What must be true when nothing happens any more, whatever the order in which it came to this."""
    living = {name for name, body in state.syncs.items() if body is not None}
    held = [n for n, b in state.syncs.items() if b and "deletionTimestamp" in b["metadata"]]
    assert not held, f"deleted, and never gone: {held}"
    selected = {model for name in living for model in state.scenario.syncs[name]}
    for model in state.scenario.models:
        _check_model_at_rest(state, model, wanted=model in selected)
    if not state.scenario.fates:
        assert state.flag == bool(living), f"the flag is {state.flag}"
        assert state.scenario.deleted or state.restarts[GATEWAY] == 1
    left = state.left_over().keys() - (selected | ({GATEWAY} if living else set()))
    assert not left, f"not as its owner had it: {sorted(left)}"
    check_second_start(state)


def _check_model_at_rest(state: Community, model: str, *, wanted: bool) -> None:
    scenario, restarts = state.scenario, state.restarts[model]
    # Once for the change, once for taking it back.
    limit = 2 if scenario.deleted or model in scenario.fates else 1
    assert restarts <= limit, f"{model} restarted {restarts} times"
    if not wanted:
        assert not is_configured(state.objects[model]), f"{model} is left configured"
    elif not scenario.fates:
        assert state.is_proven(model), f"{model} is not configured and heard"
        assert restarts == 1, f"{model} restarted {restarts} times"


def check_second_start(state: Community) -> None:
    """An operator that has just started writes nothing, in whatever order it looks."""
    fresh = state.after((CRASH, ""))
    fresh.unheard = frozenset()
    for name in sorted(name for name, body in fresh.syncs.items() if body is not None):
        actions = fresh.decision(name).actions
        assert not actions, f"at rest, and yet: {[a.note or a.reason for a in actions]}"
