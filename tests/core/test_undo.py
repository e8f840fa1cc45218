"""The way out: the gateway first, then the models, a few at a time, and never held for ever."""

from dataclasses import replace
from typing import Any

import pytest

from core.objects import RECORD, TEMPLATES, Json, deployment, main_container, spec_of
from core.scenes import (
    NOW,
    after_action,
    applied,
    condition,
    configured,
    decided,
    done_to,
    flag_is_on,
    gateway_of,
    gateway_turned_on,
    model,
    observe,
    pod_of,
    rolled_out,
    sync_of,
)
from kvsync.core.decide import decide
from kvsync.core.moment import timestamp
from kvsync.core.undo import GATEWAY_PATIENCE
from kvsync.model.decision import Decision, Kind
from kvsync.model.observed import FINALIZER, ObservedModel
from kvsync.model.standing import Standing

NAMES = ("a", "b", "c")
STANDING_FLAG = {"name": "AIBRIX_KV_EVENT_SYNC_ENABLED", "value": "false"}


def leaving(*models: ObservedModel, after: float = 1.0, **picture: Any) -> Decision:
    """What is decided this long after the deletion."""
    sync = picture.pop("sync", None) or sync_of(deleted=timestamp(NOW - after))
    return decided(*models, sync=sync, **picture)


def done(name: str) -> ObservedModel:
    return model(rolled_out(configured(deployment(name=name))))


def rolling(name: str, *, ours: bool) -> ObservedModel:
    body = deployment(name=name)
    return model(rolled_out(configured(body) if ours else body, available=0))


def test_the_gateway_goes_first_and_alone() -> None:
    gateway = gateway_turned_on()
    assert flag_is_on(gateway)
    decision = leaving(done("a"), gateway=gateway)
    assert done_to(decision) == [("GatewayRestored", "aibrix-gateway-plugins")]
    assert after_action(decision, gateway)["spec"] == gateway_of()["spec"]
    assert condition(decision.status, "Ready") == ("False", "Undoing")
    assert condition(decision.status, "Reconciling") == ("True", "Undoing")


def test_the_flag_gets_back_the_value_that_stood_there() -> None:
    gateway = gateway_turned_on(gateway_of(env=[STANDING_FLAG]))
    after = after_action(leaving(gateway=gateway), gateway)
    assert after["spec"]["template"]["spec"]["containers"][0]["env"] == [STANDING_FLAG]


def test_models_wait_for_the_restart_of_the_gateway_but_not_for_ever() -> None:
    restarting = rolled_out(gateway_of(), available=0)
    waiting = leaving(done("a"), gateway=restarting)
    assert (waiting.actions, waiting.look_again) == ((), 5.0)
    late = leaving(done("a"), gateway=restarting, after=GATEWAY_PATIENCE + 1)
    assert done_to(late) == [("Reverted", "a")]


def test_a_gateway_named_earlier_is_given_back_too() -> None:
    stray = gateway_turned_on()
    assert done_to(leaving(strays=[stray])) == [("GatewayRestored", stray["metadata"]["name"])]


def test_a_gateway_that_is_not_permitted_is_left_alone() -> None:
    decision = leaving(gateway=gateway_turned_on(), permitted=False)
    assert done_to(decision) == [("Finalizer", "sync")]


def test_giving_back_needs_no_permission() -> None:
    gateway = gateway_turned_on()
    decision = leaving(done("a"), revoked=[gateway], permitted=False)
    assert done_to(decision) == [("GatewayRestored", "aibrix-gateway-plugins")]
    assert after_action(decision, gateway)["spec"] == gateway_of()["spec"]
    assert done_to(leaving(done("a"), permitted=False)) == [("Reverted", "a")]


def test_models_go_a_few_at_a_time_in_the_order_of_their_names() -> None:
    models = [done(name) for name in reversed(NAMES)]
    assert done_to(leaving(*models)) == [("Reverted", "a")]
    two = spec_of(rollout={"maxConcurrent": 2})
    assert done_to(leaving(*models, spec=two)) == [("Reverted", "a"), ("Reverted", "b")]


def test_the_next_model_waits_for_the_one_that_restarts() -> None:
    decision = leaving(rolling("a", ours=False), done("b"))
    assert (decision.actions, decision.look_again) == ((), 5.0)


def test_a_model_that_rolls_already_is_taken_back_first() -> None:
    # The other way round two models would be out of service at once.
    assert done_to(leaving(done("a"), rolling("b", ours=True))) == [("Reverted", "b")]


def test_a_model_that_somebody_edited_a_moment_ago_waits_for_its_place() -> None:
    # An annotation is a new generation too; until its controller has seen it, it looks as if it rolled.
    body = configured(deployment(name="b"))
    metadata = {**body["metadata"], "generation": 3}
    told = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    status = {**rolled_out(body)["status"], "observedGeneration": 2, "conditions": [told]}
    edited = model({**body, "metadata": metadata, "status": status})
    assert done_to(leaving(rolling("a", ours=False), edited)) == []
    assert done_to(leaving(edited)) == [("Reverted", "b")]


def progressing(body: Json, status: str, reason: str, at: float) -> ObservedModel:
    """A model that is not rolled out, with what its controller says of that."""
    told = {"type": "Progressing", "status": status, "reason": reason}
    conditions = [{**told, "lastUpdateTime": timestamp(at)}]
    unfinished = rolled_out(body, available=0)
    return model({**unfinished, "status": {**unfinished["status"], "conditions": conditions}})


def test_past_the_deadline_the_pace_stays() -> None:
    assert done_to(leaving(*(done(name) for name in NAMES), after=1801)) == [("Reverted", "a")]


def test_past_the_deadline_a_model_that_does_not_come_up_is_waited_for_no_more() -> None:
    stuck = rolling("a", ours=False)
    assert leaving(stuck, done("b"), after=1799).actions == ()
    assert done_to(leaving(stuck, done("b"), after=1801)) == [("Reverted", "b")]


@pytest.mark.parametrize(
    ("status", "reason", "at", "waits"),
    [
        ("True", "ReplicaSetUpdated", NOW - 1, True),
        ("True", "ReplicaSetUpdated", NOW - 500, False),  # no progress since before the deletion
        ("False", "ProgressDeadlineExceeded", NOW - 1, False),
        ("True", "NewReplicaSetAvailable", NOW - 1, False),  # scaled, or a node was lost
    ],
)
def test_an_unrelated_model_that_never_rolls_out_is_not_waited_for(
    status: str, reason: str, at: float, waits: bool
) -> None:
    stuck = progressing(deployment(name="a"), status, reason, at)
    decision = leaving(stuck, done("b"), after=100)
    assert done_to(decision) == ([] if waits else [("Reverted", "b")])


def test_a_model_of_another_object_is_not_waited_for() -> None:
    foreign = rolled_out(configured(deployment(name="a")), available=0)
    foreign["metadata"]["annotations"]["kvsync.aibrix.ai/owner"] = "default/other/uid-of-other"
    assert done_to(leaving(model(foreign), done("b"))) == [("Reverted", "b")]


def test_the_way_out_shares_the_operators_places_too() -> None:
    sync = sync_of(deleted=timestamp(NOW))
    spec = spec_of(rollout={"maxConcurrent": 3})
    picture = observe(*(done(name) for name in NAMES), sync=sync, spec=spec)
    others = (Standing("team/x", in_flight=("m",)),)
    decision = decide(replace(picture, others=others, max_rolling=2), TEMPLATES)
    assert done_to(decision) == [("Reverted", "a")]
    assert decision.standing is not None
    assert (decision.standing.in_flight, decision.standing.waiting) == (("a",), True)
    assert "b (taken back) waits" in condition_message(decision)


@pytest.mark.parametrize(
    "picture",
    [{"others": (Standing("team/x", waiting=True),)}, {"unheard": ("team/x",)}],
    ids=["one waits", "one may wait"],
)
def test_where_others_wait_for_a_place_the_object_stays_until_its_last_model_has_rolled_out(
    picture: dict[str, Any],
) -> None:
    # Once it is gone nobody counts that model, and the next one would restart beside it.
    decision = leaving(rolling("a", ours=False), **picture)
    assert (decision.actions, decision.look_again) == ((), 5.0)
    assert decision.standing is not None
    assert decision.standing.in_flight == ("a",)
    assert "until a is rolled out" in condition_message(decision)
    back = model(rolled_out(deployment(name="a")))
    assert done_to(leaving(back, **picture)) == [("Finalizer", "sync")]


def test_where_nobody_waits_it_goes_at_once() -> None:
    decision = leaving(rolling("a", ours=False), others=(Standing("team/x"),))
    assert done_to(decision) == [("Finalizer", "sync")]


def test_what_restarts_no_pod_is_taken_back_without_a_place() -> None:
    scaled = configured(deployment(name="b"))
    scaled["spec"]["replicas"] = 0
    assert done_to(leaving(done("a"), model(rolled_out(scaled)))) == [
        ("Reverted", "a"),
        ("Reverted", "b"),
    ]


def condition_message(decision: Decision) -> str:
    assert decision.status is not None
    return str(decision.status["conditions"][0]["message"])


def test_an_undo_gives_the_original_back() -> None:
    live = rolled_out(configured())
    after = after_action(leaving(model(live, pod_of(live))), live)
    assert after["spec"] == deployment()["spec"]
    assert after["metadata"] == deployment()["metadata"]


def test_the_finalizer_goes_last_and_leaves_those_of_others() -> None:
    sync = sync_of(finalizers=["other/one", FINALIZER], deleted=timestamp(NOW))
    decision = leaving(model(rolled_out(deployment())), gateway=gateway_of(), sync=sync)
    (action,) = decision.actions
    assert action.kind is Kind.SYNC
    assert applied(sync.body, action)["metadata"]["finalizers"] == ["other/one"]
    assert decision.status is None


def test_without_our_finalizer_nothing_is_done() -> None:
    sync = sync_of(finalizers=["other/one"], deleted=timestamp(NOW))
    assert leaving(done("a"), gateway=gateway_turned_on(), sync=sync) == Decision()


def test_a_paused_object_is_undone_too() -> None:
    assert done_to(leaving(done("a"), spec=spec_of(paused=True))) == [("Reverted", "a")]


def test_what_another_object_configured_stays() -> None:
    foreign = rolled_out(configured(deployment(name="a")))
    foreign["metadata"]["annotations"]["kvsync.aibrix.ai/owner"] = "default/other/uid-of-other"
    assert done_to(leaving(model(foreign))) == [("Finalizer", "sync")]


def test_where_the_record_is_lost_what_is_ours_goes_and_a_warning_says_so() -> None:
    edited = rolled_out(configured(deployment(name="a")))
    edited["metadata"]["annotations"][RECORD] = "{}"
    decision = leaving(model(edited))
    assert done_to(decision) == [("RecordLost", "a")]
    (action,) = decision.actions
    assert action.warning
    assert "compare the Deployment with your own manifest" in action.note
    assert main_container(after_action(decision, edited)) == main_container(deployment())


def test_retain_takes_off_only_the_marks() -> None:
    gateway, live = gateway_turned_on(), rolled_out(configured(deployment(name="a")))
    decision = leaving(model(live), gateway=gateway, spec=spec_of(deletionPolicy="Retain"))
    assert [reason for reason, _ in done_to(decision)] == ["Retained", "Retained", "Finalizer"]
    left = after_action(decision, live)
    assert left["spec"] == live["spec"]
    assert list(left["metadata"]["annotations"]) == [RECORD]
    assert flag_is_on(after_action(decision, gateway, place=1))


def test_retain_leaves_no_gateway_that_is_not_permitted() -> None:
    gateway, retain = gateway_turned_on(), spec_of(deletionPolicy="Retain")
    decision = leaving(done("a"), revoked=[gateway], permitted=False, spec=retain)
    assert done_to(decision) == [("GatewayRestored", "aibrix-gateway-plugins")]
    assert not flag_is_on(after_action(decision, gateway))
    after = leaving(done("a"), permitted=False, spec=retain)
    assert [reason for reason, _ in done_to(after)] == ["Retained", "Finalizer"]
