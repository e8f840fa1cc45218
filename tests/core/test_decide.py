"""One pass: what is written, in which order, what is watched and asked, and when to look again."""

import copy
from dataclasses import replace

import pytest

from core.objects import RECORD, TEMPLATES, container, deployment, spec_of
from core.scenes import (
    DENIAL,
    NOW,
    after_action,
    condition,
    configured,
    crashing,
    decided,
    done_to,
    failing,
    flag_is_on,
    gateway_of,
    gateway_turned_on,
    is_configured,
    model,
    observe,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
    working,
)
from kvsync.core.bare_pods import SETTLING
from kvsync.core.decide import decide
from kvsync.model.decision import Decision, Kind, Question
from kvsync.model.observed import EngineAnswers
from kvsync.model.source import SourceReason
from kvsync.model.standing import Standing

GATEWAY = "aibrix-gateway-plugins"


def test_the_first_pass_holds_the_object_before_it_changes_a_model() -> None:
    plain = rolled_out(deployment())
    decision = decided(model(plain), gateway=gateway_of(), sync=sync_of(finalizers=()))
    assert done_to(decision) == [("Finalizer", "sync"), ("Configured", "model")]
    assert decision.actions[0].kind is Kind.SYNC
    assert is_configured(after_action(decision, plain, place=1))


def test_the_finalizer_is_not_taken_where_nothing_is_written() -> None:
    assert decided(model(None, name="gone"), sync=sync_of(finalizers=())).actions == ()


def test_a_paused_object_writes_nothing_and_says_what_it_would() -> None:
    decision = decided(model(rolled_out(deployment())), spec=spec_of(paused=True))
    assert decision.actions == ()
    assert condition(decision.status, "Ready") == ("False", "Paused")


def test_a_verified_model_turns_the_gateway_on() -> None:
    one, verdict = working()
    decision = decided(one, verdicts=[verdict], gateway=gateway_of())
    assert done_to(decision) == [("GatewayConfigured", GATEWAY)]
    assert flag_is_on(after_action(decision, gateway_of()))


def test_at_rest_nothing_is_written() -> None:
    one, verdict = working()
    gateway = gateway_turned_on()
    decision = decided(one, verdicts=[verdict], gateway=gateway, now=NOW + 90_000)
    assert (decision.actions, decision.look_again) == ((), None)
    assert condition(decision.status, "Ready") == ("True", "Synchronized")


def test_the_same_picture_gives_the_same_decision() -> None:
    plain = rolled_out(deployment())
    assert decided(model(plain), gateway=gateway_of()) == decided(
        model(plain), gateway=gateway_of()
    )


@pytest.mark.parametrize("second", ["pending", "failing", "unasked", "another block size"])
def test_the_gateway_waits_for_every_model(second: str) -> None:
    one, verdict = working()
    body = deployment(name="other")
    live = body if second == "pending" else rolled_out(configured(body))
    pod = pod_of(live)
    size = 32 if second == "another block size" else 16
    answers = {} if second == "unasked" else {pod.uid: EngineAnswers("0.16.0", size)}
    seen = failing(pod) if second == "failing" else verdict_on(pod)
    decision = decided(
        one, model(live, pod, answers=answers), verdicts=[verdict, seen], gateway=gateway_of()
    )
    assert GATEWAY not in [name for _, name in done_to(decision)]
    assert condition(decision.status, "GatewayConfigured")[0] == "False"


def test_the_gateway_is_not_turned_on_on_trust() -> None:
    # The model was verified once; its new pod was not heard yet, and a gateway that starts beside
    # a silent pod stalls.
    one, verdict = working()
    status = decided(one, verdicts=[verdict], gateway=gateway_of()).status
    assert status is not None
    decision = decided(one, sync=sync_of(status=status), gateway=gateway_of())
    assert decision.actions == ()
    assert condition(decision.status, "ModelsConfigured")[0] == "True"


@pytest.mark.parametrize(
    ("reason", "settled", "told"),
    [
        # Known from before, while the operator's own process comes back: no proof of now.
        (SourceReason.PROBE_RESTARTED, False, False),
        (SourceReason.PUBLISHING, False, False),
        # The publisher is heard; that our path loses some says nothing of the gateway's.
        (SourceReason.SEQUENCE_GAP, True, True),
        (SourceReason.ENGINE_RESTARTED, True, True),
    ],
)
def test_the_gateway_is_told_by_news_only(reason: SourceReason, settled: bool, told: bool) -> None:
    one, _ = working()
    seen = verdict_on(one.pods[0], reason, settled=settled)
    decision = decided(one, verdicts=[seen], gateway=gateway_of())
    assert bool(decision.actions) is told
    gateway = gateway_turned_on()
    assert decided(one, verdicts=[seen], gateway=gateway).actions == ()


def test_a_configured_gateway_stands_while_sources_are_looked_up_again() -> None:
    one, verdict = working()
    first = decided(one, verdicts=[verdict], gateway=gateway_of())
    gateway = after_action(first, gateway_of())
    assert first.status is not None
    decision = decided(replace(one, answers={}), sync=sync_of(status=first.status), gateway=gateway)
    assert decision.actions == ()
    assert condition(decision.status, "Ready")[0] == "True"


def test_an_unmanaged_gateway_is_released_and_left() -> None:
    one, verdict = working()
    spec = spec_of(gateway={"manage": False})
    assert decided(one, verdicts=[verdict], spec=spec, gateway=gateway_of()).actions == ()
    gateway = gateway_turned_on()
    decision = decided(one, verdicts=[verdict], spec=spec, gateway=gateway)
    assert done_to(decision) == [("GatewayRestored", GATEWAY)]


def test_a_gateway_no_longer_named_is_given_back() -> None:
    one, verdict = working()
    stray = gateway_turned_on()
    assert done_to(decided(one, verdicts=[verdict], strays=[stray])) == [
        ("GatewayRestored", GATEWAY)
    ]


def test_a_gateway_that_is_not_permitted_is_left_and_the_models_are_not() -> None:
    done, seen = working()
    todo = model(rolled_out(deployment(name="todo")))
    decision = decided(done, todo, verdicts=[seen], gateway=gateway_of(), permitted=False)
    assert done_to(decision) == [("Configured", "todo")]
    status = decided(done, verdicts=[seen], permitted=False).status
    assert status is not None
    found = {each["type"]: each for each in status["conditions"]}
    assert found["GatewayConfigured"]["reason"] == "GatewayNotPermitted"
    assert found["GatewayConfigured"]["message"] == DENIAL
    assert (found["Ready"]["status"], found["Stalled"]["status"]) == ("False", "True")
    assert found["EventsFlowing"]["status"] == "True"


def test_a_gateway_that_is_not_permitted_any_more_is_given_back_and_the_models_stay() -> None:
    one, verdict = working()
    gateway = gateway_turned_on()
    decision = decided(one, verdicts=[verdict], revoked=[gateway], permitted=False)
    assert done_to(decision) == [("GatewayRestored", GATEWAY)]
    assert after_action(decision, gateway)["spec"] == gateway_of()["spec"]
    again = decided(one, verdicts=[verdict], permitted=False)
    assert again.actions == ()


def test_a_pause_holds_no_gateway_that_is_not_permitted_any_more() -> None:
    one, verdict = working()
    gateway, paused = gateway_turned_on(), spec_of(paused=True)
    stray = decided(one, verdicts=[verdict], spec=paused, strays=[gateway])
    assert stray.actions == (), "who paused it asked for nothing else"
    taken = decided(one, verdicts=[verdict], spec=paused, revoked=[gateway], permitted=False)
    assert done_to(taken) == [("GatewayRestored", GATEWAY)]


def test_fields_of_a_gateway_that_was_given_back_go_to_their_owner_too() -> None:
    one, verdict = working()
    gateway = gateway_of()
    entry = {"manager": "kvsync-operator", "operation": "Update", "fieldsV1": {"f:spec": {}}}
    gateway["metadata"]["managedFields"] = [entry]
    decision = decided(one, verdicts=[verdict], revoked=[gateway], permitted=False)
    assert done_to(decision) == [("FieldsReleased", GATEWAY)]
    assert after_action(decision, gateway)["metadata"]["managedFields"] == []


def test_a_model_no_longer_selected_is_restored() -> None:
    live = rolled_out(configured())
    first = decided(model(live, selected=False))
    assert first.actions == (), (
        "the status names it first: whoever comes next knows whose rollout it is"
    )
    assert first.status is not None
    assert first.status["wave"]["current"] == ["model"]
    decision = decided(model(live, selected=False), sync=sync_of(status=first.status))
    assert done_to(decision) == [("Reverted", "model")]
    assert after_action(decision, live)["spec"] == deployment()["spec"]


def test_models_no_longer_selected_are_restored_one_after_the_other() -> None:
    live = {name: rolled_out(configured(deployment(name=name))) for name in "ab"}
    leaving = [model(body, selected=False) for body in live.values()]
    status = decided(*leaving).status
    decision = decided(*leaving, sync=sync_of(status=status))
    assert done_to(decision) == [("Reverted", "a")]
    assert status is not None
    assert status["wave"] == {
        "current": ["a"],
        "next": ["b"],
        "message": "Next: b (taken back), when a is rolled out.",
    }
    # Also by an operator that has just started: nothing of ours is on the first one any more.
    rolling = rolled_out(after_action(decision, live["a"]), available=0)
    half = [model(rolling, selected=False), leaving[1]]
    waiting = decided(*half, sync=sync_of(status=status))
    assert waiting.actions == ()
    assert waiting.standing is not None
    assert waiting.standing.in_flight == ("a",)
    settled = [model(rolled_out(rolling), selected=False), leaving[1]]
    following = decided(*settled, sync=sync_of(status=status))
    assert following.status is not None
    assert following.status["wave"]["current"] == ["b"]


def test_what_somebody_else_configured_meanwhile_is_not_taken_back() -> None:
    foreign = rolled_out(configured(deployment(name="a")))
    foreign["metadata"]["annotations"]["kvsync.aibrix.ai/owner"] = "default/other/uid-of-other"
    sync = sync_of(status={"wave": {"current": ["a"]}})
    assert decided(model(foreign, selected=False), sync=sync).actions == ()


def test_a_model_that_its_owner_rolls_takes_a_place() -> None:
    rolling = rolled_out(configured(deployment(name="b")), available=0)
    sync = sync_of(status={"models": [{"name": "b", "verifiedRecord": 9_990}]})
    decision = decided(model(rolling), model(rolled_out(deployment(name="a"))), sync=sync)
    assert decision.actions == ()
    assert decision.status is not None
    assert decision.status["wave"]["message"] == "Next: a, when b is rolled out."


def test_a_model_that_is_rolled_back_holds_its_place_through_an_edit() -> None:
    live = rolled_out(configured(deployment(name="b")), available=0)
    crashed = decided(model(live, pod_of(live, containerStatuses=crashing("bad"))))
    restored = rolled_out(after_action(crashed, live), available=0)
    # Its owner's edit makes it worth another try: the wave is not stopped any more.
    restored["spec"]["template"]["spec"]["serviceAccountName"] = "another"
    decision = decided(model(restored), model(rolled_out(deployment(name="a"))))
    assert done_to(decision) == [("Configured", "b")], "itself, and no other beside it"


def test_a_roll_back_is_not_held_back_and_takes_a_place() -> None:
    live = rolled_out(configured(deployment(name="a")), available=0)
    crash = model(live, pod_of(live, containerStatuses=crashing("bad")))
    decision = decided(crash, spec=spec_of(rollout={"maxConcurrent": 1}))
    assert done_to(decision) == [("RolledBack", "a")]
    assert decision.standing is not None
    assert decision.standing.in_flight == ("a",)


def place_of(decision: Decision) -> Standing:
    """What an object takes of the common places; what it wants of the gateway aside."""
    assert decision.standing is not None
    return replace(decision.standing, wish=None)


def test_the_operators_own_limit_holds_beside_the_objects() -> None:
    others = (Standing("team/x", in_flight=("m", "n")),)
    models = [model(rolled_out(deployment(name=name))) for name in "ab"]
    spec = spec_of(rollout={"maxConcurrent": 5})
    picture = replace(observe(*models, spec=spec), others=others, max_rolling=3)
    decision = decide(picture, TEMPLATES)
    assert done_to(decision) == [("Configured", "a")]
    assert place_of(decision) == Standing("default/sync", in_flight=("a",), waiting=True)
    assert decision.status is not None
    assert "team/m, team/n and a" in decision.status["wave"]["message"]
    unlimited = decide(replace(picture, max_rolling=0), TEMPLATES)
    assert done_to(unlimited) == [("Configured", "a"), ("Configured", "b")]


def test_a_model_that_waits_for_a_first_prompt_holds_up_its_own_object_alone() -> None:
    live = rolled_out(configured(deployment(name="a")))
    idle = verdict_on(pod_of(live), verified=False)
    models = [model(live, pod_of(live)), model(rolled_out(deployment(name="b")))]
    decision = decided(*models, verdicts=[idle])
    assert decision.actions == ()
    assert place_of(decision) == Standing("default/sync", last_change=9_990)
    assert decision.status is not None
    assert decision.status["wave"] == {
        "current": ["a"],
        "next": ["b"],
        "message": "Next: b, when a is verified by a first prompt.",
    }


def test_who_sets_a_deadline_of_a_day_does_not_hold_up_all_others_for_it() -> None:
    spec = spec_of(rollout={"progressDeadline": "24h"})
    live = rolled_out(configured(at=int(NOW)), available=0)
    early, late = decided(model(live), spec=spec), decided(model(live), spec=spec, now=NOW + 1801)
    assert early.standing is not None
    assert late.standing is not None
    assert (early.standing.in_flight, late.standing.in_flight) == (("model",), ())
    assert early.look_again == 1801
    assert late.status is not None
    assert late.status["wave"]["current"] == ["model"]


def test_a_model_that_two_objects_select_counts_once_and_for_its_owner() -> None:
    both = rolled_out(configured(deployment(name="a")), available=0)
    waiting = model(rolled_out(deployment(name="b")))
    spec = spec_of(rollout={"maxConcurrent": 5})
    others = (Standing("default/other", in_flight=("a",)),)
    mine = replace(observe(model(both), waiting, spec=spec), others=others, max_rolling=2)
    assert done_to(decide(mine, TEMPLATES)) == [("Configured", "b")], "handed over to us just now"
    theirs = copy.deepcopy(both)
    theirs["metadata"]["annotations"]["kvsync.aibrix.ai/owner"] = "default/other/uid-of-other"
    refused = replace(observe(model(theirs), waiting, spec=spec), others=others, max_rolling=1)
    assert decide(refused, TEMPLATES).actions == ()


def test_a_paused_object_holds_no_place() -> None:
    decision = decided(model(rolled_out(deployment())), spec=spec_of(paused=True))
    assert place_of(decision) == Standing("default/sync")


def test_a_crashing_model_is_rolled_back_and_not_tried_again() -> None:
    live = rolled_out(configured(), available=0)
    decision = decided(model(live, pod_of(live, containerStatuses=crashing("bad flag"))))
    assert done_to(decision) == [("RolledBack", "model")]
    assert "bad flag" in decision.actions[0].note
    restored = after_action(decision, live)
    assert restored["spec"] == deployment()["spec"]
    assert RECORD not in restored["metadata"]["annotations"]
    again = decided(model(rolled_out(restored)))
    assert again.actions == ()
    assert condition(again.status, "Stalled") == ("True", "EngineCrashed")
    retried = decided(model(rolled_out(restored)), sync=sync_of(retry="once more"))
    assert done_to(retried) == [("Configured", "model")]


def test_running_pods_are_targets_one_for_each_rank() -> None:
    engine = container(command=["vllm", "serve", "tiny", "--data-parallel-size=2"])
    spec = spec_of(events={"port": 6000, "replayPort": 7000, "topic": "kv"})
    live = rolled_out(configured(deployment(engine), spec=spec))
    decision = decided(model(live, pod_of(live), pod_of(live, "b", phase="Pending")), spec=spec)
    found = {(t.host, t.port, t.replay_port, t.topic) for t in decision.targets.values()}
    assert found == {("10.0.0.1", 6000, 7000, "kv"), ("10.0.0.1", 6001, 7001, "kv")}
    assert {key.rank for key in decision.targets} == {0, 1}


def test_ready_pods_are_asked_once() -> None:
    live = rolled_out(configured())
    ready, starting = pod_of(live), pod_of(live, "starting", conditions=[])
    decision = decided(model(live, ready, starting))
    assert decision.questions == (Question(ready.uid, "10.0.0.1", 8000),)
    assert decided(model(live, ready, answers={ready.uid: EngineAnswers()})).questions == ()


def test_an_engine_that_cannot_be_told_is_asked_at_the_port_it_names() -> None:
    unknown = container(image="example.com/vllm:main", args=["serve", "tiny", "--port", "9001"])
    live = rolled_out(deployment(unknown))
    decision = decided(model(live, pod_of(live)))
    assert [question.port for question in decision.questions] == [9001]
    assert decision.actions == ()


@pytest.mark.parametrize(("elapsed", "wait"), [(10, 1791), (1799, 2), (1800, 1), (1801, None)])
def test_it_looks_again_right_after_the_deadline(elapsed: int, wait: float | None) -> None:
    live = rolled_out(configured(at=int(NOW) - elapsed), available=0)
    assert decided(model(live)).look_again == wait


def test_it_looks_again_when_a_workloads_status_is_to_be_believed() -> None:
    live = rolled_out(configured(at=int(NOW) - 3))
    assert decided(model(live, pod_of(live))).look_again == SETTLING - 3 + 1
