"""For every Deployment that can be configured: one plan, exact undo, edits kept, never two configs."""

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json, ask, event_config
from core.scenes import configured
from core.strategies import EDITS, SPECS, deployments, edit, engine_of
from kvsync.core.arguments import kv_event_words
from kvsync.core.patch import PatchConflictError, apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.planned import Outcome
from kvsync.model.record import Owner
from kvsync.model.spec import Dialect, KVEventSyncSpec
from kvsync.model.workload import Deployment

KEYS = {
    "enable_kv_cache_events",
    "publisher",
    "endpoint",
    "replay_endpoint",
    "buffer_steps",
    "hwm",
    "max_queue_size",
    "topic",
}


def reverted(body: Json) -> Json:
    after: Json = apply(body, plan_undo(Deployment(body)))
    return after


@given(body=deployments(), spec=SPECS)
def test_planned_once_with_one_configuration(body: Json, spec: KVEventSyncSpec) -> None:
    kept = copy.deepcopy(body)
    after = configured(body, spec=spec)
    assert body == kept, "planning changed what it was given"
    assert_one_configuration(after, spec)
    again = plan(Deployment(after), ask(spec, at=2_000))
    assert (again.outcome, again.patch, again.undo) == (Outcome.UNCHANGED, (), ())


@given(body=deployments(), spec=SPECS)
def test_both_ways_back_give_the_original(body: Json, spec: KVEventSyncSpec) -> None:
    made = plan(Deployment(body), ask(spec))
    after = apply(body, made.patch)
    assert apply(after, made.undo) == body
    assert reverted(after) == body
    assert plan_undo(Deployment(body)) == ()


@given(body=deployments(), spec=SPECS, names=EDITS)
def test_edits_survive_the_way_back(body: Json, spec: KVEventSyncSpec, names: list[str]) -> None:
    edited, expected = configured(body, spec=spec), copy.deepcopy(body)
    edit(names, edited, expected)
    assert without_empty(reverted(edited)) == without_empty(expected)


def without_empty(body: Json) -> Json:
    """Without the empty lists and maps of the engine: a field that its owner emptied may be there or not."""
    result = copy.deepcopy(body)
    engine = engine_of(result)
    for key in ("args", "ports", "env"):
        if not engine.get(key):
            engine.pop(key, None)
    return result


@given(body=deployments(), spec=SPECS, names=EDITS)
def test_after_edits_the_plan_settles_again(
    body: Json, spec: KVEventSyncSpec, names: list[str]
) -> None:
    edited = configured(body, spec=spec)
    edit(names, edited)
    made = plan(Deployment(edited), ask(spec, at=2_000))
    after = apply(edited, made.patch)
    assert plan(Deployment(after), ask(spec, at=3_000)).outcome is Outcome.UNCHANGED
    assert_one_configuration(after, spec)


@given(body=deployments(), spec=SPECS, data=st.data())
def test_our_words_moved_elsewhere_are_still_found(
    body: Json, spec: KVEventSyncSpec, data: st.DataObject
) -> None:
    edited = configured(body, spec=spec)
    args = engine_of(edited)["args"]
    engine_of(edited)["args"] = data.draw(st.permutations(args))
    assert kv_event_words(engine_of(reverted(edited)).get("args") or []) == ()
    left = sorted(engine_of(reverted(edited)).get("args") or [])
    assert left == sorted(engine_of(body).get("args") or [])


@given(body=deployments(), first=SPECS, second=SPECS)
def test_a_new_spec_replaces_the_old_one(
    body: Json, first: KVEventSyncSpec, second: KVEventSyncSpec
) -> None:
    once = configured(body, spec=first)
    made = plan(Deployment(once), ask(second, at=2_000))
    twice = apply(once, made.patch)
    assert_one_configuration(twice, second)
    assert made.outcome is Outcome.CHANGE or twice == once
    assert made.outcome is Outcome.UNCHANGED or apply(twice, made.undo) == body
    assert reverted(twice) == body


def assert_one_configuration(body: Json, spec: KVEventSyncSpec) -> None:
    engine = engine_of(body)
    words = [*engine.get("command", []), *engine.get("args", [])]
    found = kv_event_words(words)
    if plan(Deployment(body), ask(spec)).engine.dialect is Dialect.FLAGS:  # type: ignore[union-attr]
        assert [word.partition("=")[0] for word in found] == [
            "--enable-kv-cache-events",
            "--kv-events-buffer-steps",
            "--kv-events-topic",
        ]
        return
    assert len(found) == 1
    config = event_config(words)
    assert config.keys() == KEYS
    assert config["publisher"] == "zmq"
    assert (config["topic"], config["hwm"]) == (spec.events.topic, spec.events.hwm)
    # The kubelet expands $(NAME); nothing that we write may look like one.
    assert "$(" not in json.dumps(config)


@given(body=deployments(), spec=SPECS, names=EDITS)
def test_a_patch_fits_only_what_it_was_made_for(
    body: Json, spec: KVEventSyncSpec, names: list[str]
) -> None:
    made = plan(Deployment(body), ask(spec))
    edited = copy.deepcopy(body)
    edit(names, edited)
    touched = [operation for operation in made.patch if operation["op"] == "test"]
    try:
        after = apply(edited, made.patch)
    except PatchConflictError:
        assert any(not fits(edited, operation) for operation in touched)
        return
    # It fitted: then nothing that was edited is lost.
    expected = copy.deepcopy(apply(body, made.patch))
    edit(names, expected)
    assert engine_of(after)["args"] == engine_of(apply(body, made.patch))["args"]
    assert after["spec"].get("replicas") == expected["spec"].get("replicas")


def fits(body: Json, operation: Json) -> bool:
    try:
        apply(body, [operation])
    except PatchConflictError:
        return False
    return True


@given(body=deployments(), spec=SPECS)
def test_two_objects_never_share_a_model(body: Json, spec: KVEventSyncSpec) -> None:
    second = plan(
        Deployment(configured(body, spec=spec)), ask(spec, owner=Owner("ns", "b", "uid-b"))
    )
    assert second.outcome is Outcome.REFUSED
    assert second.refusal is not None
    assert second.refusal.reason == "OwnedByAnother"
    assert second.patch == ()
