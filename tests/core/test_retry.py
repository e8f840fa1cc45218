"""A model that was rolled back: what is said of it, and what alone makes it worth another try."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core.objects import TEMPLATES, Json, deployment, spec_of
from core.scenes import (
    NOW,
    after_action,
    configured,
    crashing,
    decided,
    done_to,
    model,
    observe,
    pod_of,
    rolled_out,
    sync_of,
)
from kvsync.core.decide import decide
from kvsync.core.moment import timestamp
from kvsync.model.decision import CrashedContainer, Decision
from kvsync.model.observed import LastWords, Observed
from kvsync.model.workload import Pod

UNRECOGNIZED = "vllm serve: error: unrecognized arguments: --kv-events-config={}"


def silent(code: int = 2) -> list[Json]:
    statuses = crashing("", code)
    del statuses[0]["lastState"]["terminated"]["message"]
    return statuses


def observed_with(body: Json, pod: Pod, words: dict[str, LastWords]) -> Observed:
    return replace(observe(model(body, pod)), last_words=words)


def decide_on(picture: Observed) -> Decision:
    return decide(picture, TEMPLATES)


def restored() -> Json:
    live = rolled_out(configured(), available=0)
    decision = decided(model(live, pod_of(live, containerStatuses=crashing(UNRECOGNIZED, 2))))
    return rolled_out(after_action(decision, live))


def entry(decision: Decision) -> Any:
    assert decision.status is not None
    return decision.status["models"][0]


def test_it_tells_model_evidence_and_remedy() -> None:
    told = decided(model(restored()))
    assert entry(told)["state"] == "Failed"
    message = entry(told)["message"]
    assert message.startswith(
        f"pod model-0: container vllm exited with code 2 and said: {UNRECOGNIZED}."
    )
    assert "set spec.engine.version or spec.engine.dialect" in message
    assert "kvsync.aibrix.ai/retry" in message
    assert told.status is not None
    stalled = next(c for c in told.status["conditions"] if c["type"] == "Stalled")
    assert stalled["message"].startswith("model: pod model-0: container vllm exited")


Change = Callable[[Json, dict[str, Any]], None]


def _image(body: Json, _: dict[str, Any]) -> None:
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm/vllm-openai:v0.17.0"


def _template(body: Json, _: dict[str, Any]) -> None:
    body["spec"]["template"]["metadata"]["annotations"] = {"restartedAt": "today"}


def _what_is_added(_: Json, picture: dict[str, Any]) -> None:
    picture["spec"] = spec_of(events={"topic": "other"})


def _annotation(_: Json, picture: dict[str, Any]) -> None:
    picture["sync"] = sync_of(retry="once more")


@pytest.mark.parametrize("change", [_image, _template, _what_is_added, _annotation])
def test_it_is_tried_again_when(change: Change) -> None:
    body, picture = restored(), dict[str, Any]()
    change(body, picture)
    assert done_to(decided(model(body), **picture)) == [("Configured", "model")]


def _nothing(_: Json, picture: dict[str, Any]) -> None:
    picture["now"] = NOW + 1_000_000  # a resync, or an operator that has just started


def _probe(_: Json, picture: dict[str, Any]) -> None:
    picture["spec"] = spec_of(probe={"interval": "30s", "activeCheck": False})


def _gateway(_: Json, picture: dict[str, Any]) -> None:
    picture["spec"] = spec_of(gateway={"deployment": "another"})


def _rollout(_: Json, picture: dict[str, Any]) -> None:
    picture["spec"] = spec_of(rollout={"maxConcurrent": 7, "progressDeadline": "1h"})


def _scale(body: Json, _: dict[str, Any]) -> None:
    body["spec"]["replicas"] = 3
    body["status"] = rolled_out(body)["status"]


def _annotate(body: Json, _: dict[str, Any]) -> None:
    body["metadata"]["annotations"]["of-the-user"] = "1"


@pytest.mark.parametrize("change", [_nothing, _probe, _gateway, _rollout, _scale, _annotate])
def test_it_is_not_tried_again_for(change: Change) -> None:
    body, picture = restored(), dict[str, Any]()
    change(body, picture)
    decision = decided(model(body), **picture)
    assert decision.actions == ()
    assert entry(decision)["state"] == "Failed"


# What a crashed engine said.


def test_the_log_is_read_before_the_roll_back_takes_it_away() -> None:
    live = rolled_out(configured(), available=0)
    pod = pod_of(live, containerStatuses=silent())
    picture = observed_with(live, pod, {})
    asking = decide_on(picture)
    assert asking.actions == ()
    assert asking.crashed == (CrashedContainer("default", "model-0", pod.uid, "vllm"),)
    assert entry(asking)["state"] == "RollingOut"
    assert asking.standing is not None
    assert asking.standing.in_flight == ("model",)

    told = decide_on(observed_with(live, pod, {pod.uid: LastWords(UNRECOGNIZED)}))
    assert done_to(told) == [("RolledBack", "model")]
    assert f"exited with code 2 and said: {UNRECOGNIZED}" in told.actions[0].note
    assert told.crashed == ()


def test_a_log_that_says_nothing_is_an_answer_too() -> None:
    live = rolled_out(configured(), available=0)
    pod = pod_of(live, containerStatuses=silent(137))
    decision = decide_on(observed_with(live, pod, {pod.uid: LastWords()}))
    assert done_to(decision) == [("RolledBack", "model")]
    assert "exited with code 137. Correct what it complains of." in decision.actions[0].note


def test_where_logs_may_not_be_read_the_right_is_named() -> None:
    live = rolled_out(configured(), available=0)
    pod = pod_of(live, containerStatuses=silent())
    refused = LastWords(refused='pods "model-0" is forbidden')
    decision = decide_on(observed_with(live, pod, {pod.uid: refused}))
    assert done_to(decision) == [("RolledBack", "model")]
    assert "Grant it 'get' on 'pods/log'" in decision.actions[0].note


def test_a_message_of_its_own_needs_no_log() -> None:
    live = rolled_out(configured(), available=0)
    pod = pod_of(live, containerStatuses=crashing(UNRECOGNIZED, 2))
    assert done_to(decide_on(observed_with(live, pod, {}))) == [("RolledBack", "model")]


def test_logs_of_models_that_are_not_on_trial_are_not_read() -> None:
    untouched = rolled_out(deployment(), available=0)
    pod = pod_of(untouched, containerStatuses=silent())
    assert decide_on(observed_with(untouched, pod, {})).crashed == ()


def test_left_as_it_is_it_says_so() -> None:
    live = rolled_out(configured(), available=0)
    pod = pod_of(live, containerStatuses=crashing("boom"))
    spec = spec_of(rollout={"onFailure": "Pause"})
    decision = decided(model(live, pod), spec=spec)
    assert decision.actions == ()
    assert "left as it is (spec.rollout.onFailure: Pause)" in entry(decision)["message"]


# How long a change is on trial.


def test_a_model_that_was_scaled_up_later_is_tried_from_then() -> None:
    body = rolled_out(configured(at=int(NOW) - 9_000), available=0)
    fresh = pod_of(body, conditions=[])
    fresh.body["metadata"]["creationTimestamp"] = timestamp(NOW - 100)
    waiting = decided(model(body, fresh))
    assert (waiting.actions, entry(waiting)["state"]) == ((), "RollingOut")
    assert waiting.look_again == pytest.approx(1_800 - 100 + 1, abs=1)
    assert done_to(decided(model(body, fresh), now=NOW + 1_800)) == [("RolledBack", "model")]
    assert done_to(decided(model(body))) == [("RolledBack", "model")], "no pod was made in time"
