"""StormServices: each engine's role is planned like a Deployment, and all are changed in one patch."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import jsonpatch
import pytest

from core.objects import CONFIG, EVENTS_LABEL, OWNER, RECORD, Json, ask, spec_of
from core.scenes import NOW, applied, decided, done_to, model, rolled_out, sync_of, verdict_on
from core.scenes import configured as configured_deployment
from kvsync.core.moment import timestamp
from kvsync.core.owner_patch import owner_patch
from kvsync.core.patch import PatchConflictError, apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.model.decision import Action, Decision, Kind
from kvsync.model.observed import EngineAnswers, ObservedModel
from kvsync.model.record import OWNER_ANNOTATION, REJECTED_ANNOTATION, load_record
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.storm import StormService, record_key
from kvsync.model.workload import Pod
from model.storms import SCRIPT, SIDE_CHANNEL, pod, role, router, scripted, storm

ENGINES = ("prefill", "decode")
SCRIPTED = (scripted("prefill"), scripted("decode"), router())


def planned(body: Mapping[str, Any], **more: Any) -> ModelPlan:
    return plan(StormService(body), ask(**more))


def configured(body: Json, **more: Any) -> Json:
    made = planned(body, **more)
    assert made.outcome is Outcome.CHANGE, made.refusal
    after: Json = copy.deepcopy(apply(body, made.patch))
    return after


def reverted(body: Json) -> Json:
    after: Json = copy.deepcopy(apply(body, plan_undo(StormService(body))))
    return after


def role_of(body: Json, name: str) -> Json:
    roles = body["spec"]["template"]["spec"]["roles"]
    found: Json = next(each for each in roles if each["name"] == name)
    return found


def container_of(body: Json, name: str) -> Json:
    found: Json = role_of(body, name)["template"]["spec"]["containers"][0]
    return found


def refusal(body: Json, spec: KVEventSyncSpec | None = None) -> tuple[str, str]:
    made = planned(body, spec=spec)
    assert made.refusal is not None, made.changes
    assert (made.outcome, made.patch, made.parts) == (Outcome.REFUSED, (), ())
    return str(made.refusal.reason), str(made.refusal)


def test_one_patch_configures_every_engine_and_leaves_the_router_alone() -> None:
    before = storm()
    after = configured(before)
    for name in ENGINES:
        assert container_of(after, name)["args"] == [CONFIG]
        ports = [port["containerPort"] for port in container_of(after, name)["ports"]]
        assert ports == [5557, 5558]
        assert role_of(after, name)["template"]["metadata"]["labels"][EVENTS_LABEL] == "true"
        record = load_record(after["metadata"]["annotations"][record_key(name)])
        assert (record.container, record.at) == (name, 1_000)
    assert role_of(after, "router") == role_of(before, "router")
    assert after["metadata"]["annotations"][OWNER_ANNOTATION] == str(OWNER)
    assert set(after["metadata"]["annotations"]) == {OWNER_ANNOTATION, *map(record_key, ENGINES)}


def test_a_script_of_each_role_is_extended_in_its_text() -> None:
    after = configured(storm(*SCRIPTED))
    for name in ENGINES:
        (text,) = container_of(after, name)["args"]
        assert text == f"{SCRIPT} '{CONFIG}'"


@pytest.mark.parametrize("roles", [(), SCRIPTED], ids=["direct", "script"])
@pytest.mark.parametrize("annotations", [None, {}, {"team": "search"}])
def test_the_undo_gives_the_original_back_and_a_second_plan_is_empty(
    roles: tuple[Json, ...], annotations: Any
) -> None:
    before = storm(*roles) if annotations is None else storm(*roles, annotations=annotations)
    made = planned(before)
    after = configured(before)
    assert reverted(after) == before
    assert apply(after, made.undo) == before
    again = planned(after, at=9_999)
    assert (again.outcome, again.patch, again.restarts) == (Outcome.UNCHANGED, (), 0)
    assert planned(reverted(after)).patch == made.patch


def test_each_engine_is_a_part_of_its_own() -> None:
    made = planned(storm(replicas=3))
    assert [(part.role, part.pods) for part in made.parts] == [("prefill", 6), ("decode", 3)]
    assert [str(change).split(":")[0] for change in made.changes][:1] == ["role prefill"]
    prefill = Pod(pod("a", "pd", "prefill"))
    assert [part.covers(prefill) for part in made.parts] == [True, False]


@pytest.mark.parametrize(("strategy", "restarts"), [("InPlaceUpdate", 3), ("RollingUpdate", 4)])
def test_what_restarts_is_told_before(strategy: str, restarts: int) -> None:
    made = planned(storm(strategy=strategy))
    assert made.restarts == restarts
    told = [note.reason for note in made.notes if "RollingUpdate" in note.message]
    assert told == ([] if strategy == "InPlaceUpdate" else ["PodDisruption"])


def test_a_role_that_is_right_already_is_left_as_it_is() -> None:
    adopted = role("decode")
    adopted["template"]["metadata"]["labels"][EVENTS_LABEL] = "true"
    adopted["template"]["spec"]["containers"][0]["args"] = [CONFIG]
    before = storm(role("prefill"), adopted)
    after = configured(before)
    assert role_of(after, "decode") == adopted
    assert set(after["metadata"]["annotations"]) == {OWNER_ANNOTATION, record_key("prefill")}
    assert planned(before).restarts == 1
    assert planned(after).outcome is Outcome.UNCHANGED
    assert reverted(after) == before


def test_a_role_that_was_changed_before_the_last_one_is_no_less_proven() -> None:
    body = configured(storm(role("prefill"), role("decode")), at=1_000)
    container_of(body, "decode")["image"] = "vllm/vllm-openai:v0.20.0"
    container_of(body, "decode")["args"] = ["--seed=1"]
    body = configured(body, at=2_000)
    assert planned(body, proven_at=2_000).outcome is Outcome.UNCHANGED
    made = planned(body, proven_at=3_000, at=4_000)
    assert (made.outcome, made.restarts) == (Outcome.CHANGE, 0)


def test_a_named_container_is_that_of_the_roles_that_have_it() -> None:
    body = storm(role("prefill"), role("decode"))
    container_of(body, "decode")["name"] = "other"
    after = configured(
        body, spec=spec_of(engine={"container": container_of(body, "prefill")["name"]})
    )
    assert [CONFIG in container_of(after, name)["args"] for name in ENGINES] == [True, True]


def test_a_paused_one_waits_until_it_is_resumed() -> None:
    body = storm()
    body["spec"]["paused"] = True
    assert refusal(body)[0] == "RolloutPaused"


def test_a_role_whose_shell_shows_no_engine_is_no_engine() -> None:
    body = storm(role("prefill"), role("decode"))
    script = "python3 -m sglang_router.launch_router --port 8000"
    container_of(body, "decode").update(command=["sh", "-c"], args=[script])
    after = configured(body)
    assert container_of(after, "decode") == container_of(body, "decode")
    assert container_of(after, "prefill")["args"] == [CONFIG]


def test_a_role_that_is_refused_refuses_all_and_is_named() -> None:
    bad = role("decode")
    container = bad["template"]["spec"]["containers"][0]
    container["command"] = [*container["command"], "--no-enable-prefix-caching"]
    reason, message = refusal(storm(role("prefill"), bad))
    assert reason == "PrefixCachingDisabled"
    reason, message = refusal(
        storm(role("prefill"), role("decode", {"image": "vllm/vllm-openai:v0.8.5", "args": []}))
    )
    assert reason == "EngineTooOld"
    assert "role decode" in message


@pytest.mark.parametrize("shape", [role, scripted], ids=["direct", "script"])
def test_the_samples_side_channel_meets_the_gateways_replay_port(
    shape: Callable[..., Json],
) -> None:
    body = storm(shape("prefill"), shape("decode"), router())
    env = container_of(body, "decode")["env"]
    env[0] = {**SIDE_CHANNEL, "value": "5558"}
    reason, message = refusal(body)
    assert reason == "PortInUse"
    assert "Port 5558 of role decode of StormService pd" in message
    assert "VLLM_NIXL_SIDE_CHANNEL_PORT" in message
    elsewhere = spec_of(events={"port": 6557, "replayPort": 6558})
    assert planned(body, spec=elsewhere).outcome is Outcome.CHANGE


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ((role("decode"), role("decode")), "'decode'"),
        ((role(""),), "''"),
        ((role("with/slash"),), "'with/slash'"),
        ((role("x" * 57),), "x" * 57),
        ((role("decode", podGroupSize=2),), "podGroupSize of role decode"),
    ],
    ids=["twice", "unnamed", "slash", "long", "grouped"],
)
def test_roles_that_cannot_be_handled_apart_are_unsupported(
    roles: tuple[Json, ...], said: str
) -> None:
    reason, message = refusal(storm(*roles))
    assert reason == "Unsupported"
    assert said in message


def test_without_an_engine_in_any_role_nothing_is_done() -> None:
    reason, message = refusal(storm(router()))
    assert reason == "NoEngineContainer"
    assert "No role of StormService pd" in message


def test_what_its_owner_edits_meanwhile_survives_the_undo() -> None:
    before = storm()
    live = configured(before)
    for body in (before, live):
        role_of(body, "prefill")["replicas"] = 5
        role_of(body, "router")["template"]["spec"]["containers"][0]["args"] = ["--port=9999"]
        body["spec"]["replicas"] = 2
        body["metadata"]["annotations"] = {"note": "x", **body["metadata"].get("annotations", {})}
    container_of(live, "decode")["args"] += ["--seed=1"]
    container_of(before, "decode")["args"] = ["--seed=1"]
    assert planned(live).outcome is Outcome.UNCHANGED
    assert reverted(live) == before


def test_a_role_added_or_taken_out_by_its_owner_is_followed() -> None:
    live = configured(storm(role("prefill"), router()))
    roles = live["spec"]["template"]["spec"]["roles"]
    roles.insert(0, role("decode"))
    after = configured(live)
    assert container_of(after, "decode")["args"] == [CONFIG]
    assert reverted(after) == storm(role("decode"), role("prefill"), router())
    del after["spec"]["template"]["spec"]["roles"][1]
    assert reverted(after)["spec"] == storm(role("decode"), router())["spec"]
    assert not reverted(after)["metadata"]["annotations"], "no record stays behind"


def test_a_role_that_no_longer_runs_an_engine_keeps_its_record_until_the_undo() -> None:
    live = configured(storm(role("prefill"), role("decode")))
    container_of(live, "prefill").update(image="other/thing:v1", command=["serve"])
    container_of(live, "decode")["args"] = ["--seed=1"]
    after = configured(live)
    assert container_of(after, "decode")["args"] == ["--seed=1", CONFIG]
    undone = container_of(reverted(after), "prefill")
    assert undone == container_of(storm(), "prefill") | {
        "image": "other/thing:v1",
        "command": ["serve"],
    }


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_where_all_records_are_wiped_what_is_ours_is_known_by_its_form(text: str | None) -> None:
    live = configured(storm(*SCRIPTED))
    for name in ENGINES:
        if text is None:
            del live["metadata"]["annotations"][record_key(name)]
        else:
            live["metadata"]["annotations"][record_key(name)] = text
    made = planned(live, at=2_000)
    assert (made.outcome, made.restarts) == (Outcome.CHANGE, 0)
    assert "RecordLost" in [note.reason for note in made.notes]
    assert apply(live, made.patch)["spec"] == live["spec"]
    assert reverted(live)["spec"] == storm(*SCRIPTED)["spec"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body["metadata"].update(uid="another"),
        lambda body: container_of(body, "decode").update(args=["--new"]),
        lambda body: body["spec"]["template"]["spec"]["roles"].reverse(),
        lambda body: body["spec"]["template"]["spec"]["roles"].insert(0, role("first")),
        lambda body: role_of(body, "prefill")["template"]["spec"]["containers"].insert(
            0, {"name": "aibrix-runtime"}
        ),
        lambda body: body["metadata"].update(annotations={record_key("decode"): "{}"}),
    ],
    ids=["object", "args", "order", "role", "container", "record"],
)
@pytest.mark.parametrize("undo", [False, True], ids=["change", "undo"])
def test_a_change_of_what_the_patch_counts_on_is_a_conflict(
    undo: bool, edit: Callable[[Json], None]
) -> None:
    read = configured(storm()) if undo else storm()
    patch = plan_undo(StormService(read)) if undo else planned(read).patch
    live = copy.deepcopy(read)
    edit(live)
    with pytest.raises(PatchConflictError):
        apply(live, patch)


def live_storm(body: Json, *, updated: int = 1) -> Json:
    """With a status of so many RoleSets that are up to date."""
    revisions = {"currentRevision": "pd-1", "updateRevision": "pd-1"}
    counts = {"replicas": 1, "readyReplicas": 1, "updatedReadyReplicas": updated}
    return {**body, "status": {**revisions, **counts}}


def pods_of(body: Json) -> tuple[Pod, ...]:
    """Ready pods of every role's template."""
    made = []
    for each in StormService(body).roles:
        for number in range(each.replicas):
            one = pod(f"{each.role}-{number}", each.name, each.role)
            one["metadata"]["labels"] |= each.template_labels
            one["spec"] = {"containers": copy.deepcopy([c.body for c in each.containers])}
            one["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
            made.append(Pod(one))
    return tuple(made)


def observed(body: Json, *, asked: bool = True) -> ObservedModel:
    service, pods = StormService(body), pods_of(body)
    answers = {each.uid: EngineAnswers("0.16.0", 16) for each in pods} if asked else {}
    return ObservedModel(service.model, True, service, pods, answers)


def entry_of(decision: Decision) -> Json:
    assert decision.status is not None
    (entry,) = decision.status["models"]
    found: Json = entry
    return found


def test_its_turn_comes_like_that_of_any_model() -> None:
    decision = decided(observed(live_storm(storm())))
    (action,) = decision.actions
    assert (action.kind, action.name, action.reason) == (Kind.STORM_SERVICE, "pd", "Configured")
    assert "StormService pd" in action.note
    assert entry_of(decision)["name"] == "stormservice/pd"
    assert applied(storm(), action)["spec"] == configured(storm())["spec"]


def test_every_pod_of_an_engine_is_a_source_and_all_must_be_verified() -> None:
    body = live_storm(configured(storm(), at=9_990))
    waiting = decided(observed(body))
    assert sorted(key.pod for key in waiting.targets) == ["decode-0", "prefill-0", "prefill-1"]
    assert entry_of(waiting)["state"] == "Verifying"
    assert entry_of(waiting)["sources"] == {"total": 3, "verified": 0}
    engines = [each for each in pods_of(body) if each.role != "router"]
    ready = decided(observed(body), verdicts=[verdict_on(each) for each in engines])
    assert (entry_of(ready)["state"], entry_of(ready)["reason"]) == ("Ready", "Verified")
    assert entry_of(ready)["replicas"] == {"desired": 1, "updated": 1, "available": 1}


def test_a_pod_of_the_template_before_is_no_source() -> None:
    before, body = storm(), live_storm(configured(storm(), at=9_990))
    old = ObservedModel("stormservice/pd", True, StormService(body), pods_of(before), {})
    decision = decided(old)
    assert decision.targets == {}
    assert entry_of(decision)["state"] == "Verifying", "the status may speak too early"
    rolling = decided(observed(live_storm(body, updated=0)))
    assert entry_of(rolling)["state"] == "RollingOut"
    assert entry_of(rolling)["message"] == "0 of 1 RoleSets rolled out."


def test_each_engine_is_asked_on_its_own_port_and_a_router_never() -> None:
    elsewhere = role("decode")
    elsewhere["template"]["spec"]["containers"][0]["command"][-1] = "--port=8200"
    body = live_storm(storm(role("prefill"), elsewhere, router()))
    questions = decided(observed(body, asked=False)).questions
    assert sorted((q.uid, q.port) for q in questions) == [
        ("uid-decode-0", 8200),
        ("uid-prefill-0", 8000),
    ]


def test_a_crash_of_one_engine_rolls_all_roles_back_in_one_patch() -> None:
    body = live_storm(configured(storm(), at=9_990), updated=0)
    model_ = observed(body)
    crashed = copy.deepcopy(dict(model_.pods[2].body))
    crashed["status"]["containerStatuses"] = [
        {
            "name": "decode",
            "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "boom"}},
        }
    ]
    pods = (*model_.pods[:2], Pod(crashed))
    decision = decided(ObservedModel(model_.name, True, model_.deployment, pods, model_.answers))
    assert done_to(decision) == [("RolledBack", "pd")]
    after = applied(body, decision.actions[0])
    assert after["spec"] == storm()["spec"]
    rejected = json.loads(after["metadata"]["annotations"][REJECTED_ANNOTATION])
    assert rejected["reason"] == "EngineCrashed"
    assert set(after["metadata"]["annotations"]) == {OWNER_ANNOTATION, REJECTED_ANNOTATION}
    again = decided(observed(live_storm(after)))
    assert again.actions == ()
    assert entry_of(again)["state"] == "Failed"
    undone = reverted(after)
    assert undone["spec"] == storm()["spec"]
    assert not undone["metadata"]["annotations"]


def leaving(*models: ObservedModel) -> Decision:
    return decided(*models, sync=sync_of(deleted=timestamp(NOW - 1)))


def test_on_the_way_out_it_is_taken_back_and_its_fields_are_released() -> None:
    body = live_storm(configured(storm()))
    decision = leaving(observed(body))
    (action,) = decision.actions
    assert (action.kind, action.reason) == (Kind.STORM_SERVICE, "Reverted")
    after = applied(body, action)
    assert {**after, "status": None} == {**storm(), "status": None}
    fields: Json = {"f:spec": {}}
    after["metadata"]["managedFields"] = [
        {"manager": "kvsync-operator", "operation": "Update", "fieldsV1": fields}
    ]
    (released,) = leaving(observed(after)).actions
    assert (released.kind, released.reason) == (Kind.STORM_SERVICE, "FieldsReleased")
    freed = applied(after, released)
    assert freed["metadata"]["managedFields"] == []
    assert done_to(leaving(observed(freed))) == [("Finalizer", "sync")]


def test_a_deployment_of_the_same_name_is_another_model() -> None:
    deployment = configured_deployment()
    deployment["metadata"]["name"] = "pd"
    both = (model(rolled_out(deployment)), observed(live_storm(configured(storm()))))
    first = leaving(*both)
    assert [(a.kind, a.name) for a in first.actions] == [(Kind.DEPLOYMENT, "pd")]
    gone = applied(rolled_out(deployment), first.actions[0])
    second = leaving(model(gone), both[1])
    assert [(a.kind, a.name) for a in second.actions] == [(Kind.STORM_SERVICE, "pd")]


def test_retain_takes_only_the_mark_off() -> None:
    body = live_storm(configured(storm()))
    decision = decided(
        observed(body),
        sync=sync_of(deleted=timestamp(NOW - 1)),
        spec=spec_of(deletionPolicy="Retain"),
    )
    kept: Action = decision.actions[0]
    after = applied(body, kept)
    assert after["spec"] == body["spec"]
    assert set(after["metadata"]["annotations"]) == {record_key(name) for name in ENGINES}
    adopted = apply(after, planned(after, at=2_000).patch)
    assert adopted["spec"] == body["spec"]
    assert adopted["metadata"]["annotations"][OWNER_ANNOTATION] == str(OWNER)
    assert RECORD not in adopted["metadata"]["annotations"]


def test_mode_render_leaves_every_role_to_the_owner_and_knows_what_he_applied() -> None:
    before = storm()
    before["spec"]["paused"] = True
    render = spec_of(mode="Render")
    made = planned(before, spec=render)
    assert made.outcome is Outcome.CHANGE, "whether it is paused is its owner's affair"
    operations = owner_patch(before, apply(before, made.patch))
    after = jsonpatch.apply_patch(before, list(operations))
    assert after["metadata"] == before["metadata"]
    del before["spec"]["paused"]
    by_us = configured(before)
    for name in ENGINES:
        assert role_of(after, name) == role_of(by_us, name)
    assert planned(after, spec=render).outcome is Outcome.UNCHANGED
    container_of(after, "decode")["args"].clear()
    again = owner_patch(after, apply(after, planned(after, spec=render).patch))
    assert [o["path"].split("/")[5] for o in again] == ["1"], "only the role that lacks something"
