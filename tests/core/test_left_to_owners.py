"""An object of mode Render writes to no model, whatever it sees, but to take back what it wrote before."""

import copy
from typing import Any

import jsonpatch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cluster import FATES, GATEWAY, HEALTHY, Cluster
from core.objects import EVENTS_LABEL, Json, container, deployment, planned, spec_of
from core.scenes import (
    condition,
    configured,
    crashing,
    decided,
    done_to,
    gateway_of,
    model,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
    working,
)
from core.test_applied import applied_by_hand, committed, render
from core.test_simulation import EDITS, EVENTS, NAMES, Life, assert_at_rest
from kvsync.core.pod_labels import MARK
from kvsync.model.decision import Action, Decision, Deed, Kind
from kvsync.model.observed import EngineAnswers
from kvsync.model.record import OWNER_ANNOTATION
from kvsync.model.source import SourceReason
from kvsync.model.spec import KVEventSyncSpec

MODELS = frozenset({Kind.DEPLOYMENT, Kind.STORM_SERVICE, Kind.POD})
TAKING_BACK = frozenset(
    {Deed.REVERTED, Deed.RECORD_LOST, Deed.FIELDS_RELEASED, Deed.POD_UNLABELLED}
)


def on_models(decision: Decision) -> list[Action]:
    return [a for a in decision.actions if a.kind in MODELS and a.name != GATEWAY]


def entry(decision: Decision) -> Json:
    assert decision.status is not None
    (found,) = decision.status["models"]
    return dict(found)


def test_a_plain_model_waits_for_its_owner_with_the_patch_in_the_status() -> None:
    body = rolled_out(deployment(container(args=["--model=tiny"])))
    decision = decided(model(body, pod_of(body)), spec=render(), gateway=gateway_of())
    assert decision.actions == ()
    found = entry(decision)
    assert (found["state"], found["reason"]) == ("Refused", "NotApplied")
    assert "add to args: --kv-events-config=" in found["message"]
    assert "kvsync render default sync -o kustomize" in found["message"]
    after = jsonpatch.apply_patch(body, found["patch"])
    assert planned(after, render()).patch == ()
    assert condition(decision.status, "Stalled") == ("True", "NotApplied")
    assert condition(decision.status, "Ready") == ("False", "NotApplied")
    assert condition(decision.status, "Reconciling")[0] == "False"
    assert decision.status is not None
    assert decision.status["wave"]["current"] == []


def test_what_another_object_makes_is_to_be_changed_there() -> None:
    body = rolled_out(deployment(container(args=["--model=tiny"])))
    made_by = {"kind": "InferenceService", "name": "chat", "uid": "u", "controller": True}
    body["metadata"]["ownerReferences"] = [made_by]
    decision = decided(model(body, pod_of(body)), spec=render())
    assert "(it is made by InferenceService chat: there)" in entry(decision)["message"]


def ready_picture(body: Json, **more: Any) -> Decision:
    pod = pod_of(rolled_out(body))
    one = model(rolled_out(body), pod, answers={pod.uid: EngineAnswers("0.16.0", 16)})
    return decided(one, verdicts=[verdict_on(pod)], spec=render(), gateway=gateway_of(), **more)


def test_what_its_owner_applied_is_verified_and_then_the_gateway_is_told() -> None:
    body = deployment(container(args=["--model=tiny"]))
    after = committed(body, planned(body, render()))
    for found in (after, applied_by_hand(command=["vllm", "serve", *after_args(after), "tiny"])):
        decision = ready_picture(found)
        assert entry(decision)["reason"] == "Verified"
        assert "patch" not in entry(decision)
        assert on_models(decision) == []
        assert done_to(decision) == [("GatewayConfigured", GATEWAY)]


def after_args(body: Json) -> list[str]:
    args = body["spec"]["template"]["spec"]["containers"][0]["args"]
    return [word for word in args if word.startswith("--kv-events-config")]


def test_a_model_that_crashes_is_told_and_left() -> None:
    body = rolled_out(applied_by_hand(args=["--model=tiny", *after_args(configured())]))
    pod = pod_of(body, containerStatuses=crashing(), conditions=[])
    decision = decided(model(body, pod), spec=render())
    assert on_models(decision) == []
    assert (entry(decision)["state"], entry(decision)["reason"]) == ("Failed", "EngineCrashed")


def test_a_switch_from_patch_takes_back_what_was_written_in_waves() -> None:
    names = ("a", "b")
    bodies = [rolled_out(configured(deployment(container(), name=name))) for name in names]
    models = [model(body, pod_of(body)) for body in bodies]
    first = decided(*models, spec=render())
    assert on_models(first) == [], "it is named in the status before it is taken back"
    assert first.status is not None
    assert first.status["wave"] == {
        "current": ["a"],
        "next": ["b"],
        "message": "Next: b (taken back), when a is rolled out.",
    }
    assert {m["reason"] for m in first.status["models"]} == {"WaitingForTurn"}
    second = decided(*models, spec=render(), sync=sync_of(status=first.status))
    assert [(a.reason, a.name) for a in on_models(second)] == [(Deed.REVERTED, "a")]


def test_a_paused_switch_foretells_what_is_taken_back() -> None:
    body = rolled_out(configured())
    decision = decided(model(body, pod_of(body)), spec=render(paused=True))
    assert decision.actions == ()
    assert decision.status is not None
    plan = decision.status["plan"]
    assert (plan["models"], plan["pods"]) == (1, 1)
    assert plan["message"].startswith("Models: 1 to be taken back.")


def test_labels_on_pods_go_with_the_mode_that_put_them_there() -> None:
    body = rolled_out(applied_by_hand(args=["--model=tiny", *after_args(configured())]))
    pod = pod_of(body)
    pod.body["metadata"]["labels"] |= {MARK: "uid-of-sync", EVENTS_LABEL: "true"}
    when = render(engine={"labels": "WhenVerified"})
    decision = decided(model(body, pod), verdicts=[verdict_on(pod)], spec=when)
    assert [a.reason for a in on_models(decision)] == [Deed.POD_UNLABELLED]
    del pod.body["metadata"]["labels"][MARK], pod.body["metadata"]["labels"][EVENTS_LABEL]
    decision = decided(model(body, pod), verdicts=[verdict_on(pod)], spec=when)
    assert on_models(decision) == []


def test_a_source_that_fails_degrades_what_was_verified() -> None:
    body = applied_by_hand(args=["--model=tiny", *after_args(configured())])
    first = ready_picture(body)
    pod = pod_of(rolled_out(body))
    closed = verdict_on(pod, SourceReason.PORT_CLOSED, verified=False)
    decision = decided(
        model(rolled_out(body), pod),
        verdicts=[closed],
        spec=render(),
        sync=sync_of(status=first.status),
    )
    assert entry(decision)["state"] == "Degraded"
    assert on_models(decision) == []


def test_a_patch_that_is_too_long_for_the_status_is_left_out_and_still_told_of() -> None:
    script = "vllm serve tiny\n" + "# what the team noted\n" * 1000
    body = rolled_out(deployment(container(command=["sh", "-c", script])))
    found = entry(decided(model(body, pod_of(body)), spec=render()))
    assert found["reason"] == "NotApplied"
    assert "patch" not in found
    assert any("kvsync render default sync" in note for note in found["notes"])


def test_working_models_of_another_object_are_that_ones() -> None:
    one, verdict = working()
    body = copy.deepcopy(dict(one.deployment.body)) if one.deployment else {}
    body["metadata"]["annotations"][OWNER_ANNOTATION] = "default/other/uid-of-other"
    found = entry(decided(model(body, *one.pods), verdicts=[verdict], spec=render()))
    assert found["reason"] == "OwnedByAnother"


class Owned(Life):
    """A life in which each write to a model is looked at while the object's mode is Render."""

    def write(self, action: Action) -> bool:
        cluster = self.cluster
        if cluster.spec.mode == "Render" and action.kind in MODELS and action.name != GATEWAY:
            assert action.reason in TAKING_BACK, action
            if action.reason is not Deed.FIELDS_RELEASED:
                mark = cluster.objects[action.name]["metadata"]["annotations"][OWNER_ANNOTATION]
                assert mark.endswith("/uid-of-sync")
        return super().write(action)

    def applies(self, name: str) -> None:
        """The owner commits what the status says."""
        self.cluster.edit(name, lambda body: commit(body, self.cluster.spec))


def commit(body: Json, spec: KVEventSyncSpec) -> None:
    made = planned(body, spec)
    if made.patch:
        body["spec"] = committed(body, made)["spec"]


def steps(*left_out: str) -> st.SearchStrategy[list[tuple[str, str, int]]]:
    events = st.sampled_from([event for event in EVENTS if event not in left_out])
    return st.lists(st.tuples(events, NAMES, st.integers(0, len(EDITS) - 1)), max_size=15)


@settings(max_examples=50, derandomize=True)
@given(
    fates=st.lists(st.sampled_from((HEALTHY, HEALTHY, *FATES)), min_size=3, max_size=3),
    relay=st.sampled_from(["Off", "Always"]),
    mode=st.sampled_from(["Patch", "Admission"]),
    before=steps(),
    between=steps(),
    appliers=st.sets(st.sampled_from(["a", "b", "c"])),
    after=steps("unlabel", "stop relay"),  # nobody puts back what its owner takes out
)
def test_nothing_is_written_to_a_model_in_any_order_of_events(
    fates: list[str],
    relay: str,
    mode: str,
    before: list[tuple[str, str, int]],
    between: list[tuple[str, str, int]],
    appliers: set[str],
    after: list[tuple[str, str, int]],
) -> None:
    fields: Json = {"rollout": {"progressDeadline": "5m"}, "events": {"relay": {"mode": relay}}}
    life = Owned(Cluster(spec_of(mode=mode, **fields), fates))
    for step in before:
        life.run(*step)
    life.cluster.spec = render(**fields)
    for step in between:
        life.run(*step)
    life.settle()
    assert_at_rest(life)
    assert set(life.cluster.left_over()) <= {GATEWAY}, "all that was ours is taken back"
    for name in sorted(appliers):
        life.applies(name)
    life.settle()
    assert_at_rest(life)
    for step in after:
        life.run(*step)
    life.settle()
    life.delete()
    life.settle()
    assert life.cluster.sync is None
    assert life.cluster.left_over() == {}, "what its owner applied stays"
