"""WhenVerified: which pods are labelled, which lose it, and whose label is never touched."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import EVENTS_LABEL, OWNER, Json, deployment, spec_of
from core.scenes import (
    condition,
    configured,
    decided,
    done_to,
    failing,
    model,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
)
from kvsync.core.patch import PatchConflictError, apply
from kvsync.core.pod_labels import AT_ONCE, MARK
from kvsync.model.decision import Decision, Kind
from kvsync.model.observed import EngineAnswers, ObservedModel
from kvsync.model.source import SourceReason, Verdict
from kvsync.model.workload import Pod

LATE = spec_of(engine={"labels": "WhenVerified"}, gateway={"manage": False})
FAILING = SourceReason.PORT_CLOSED


def body_of(pods: int = 1) -> Json:
    body = deployment()
    body["spec"]["replicas"] = pods
    return rolled_out(configured(body, spec=LATE))


def labelled(pod: Pod, value: str = "true", *, by: str = OWNER.uid) -> Pod:
    """The pod with the label, put there by an object of this uid; by nobody known where it is empty."""
    body: Json = copy.deepcopy(dict(pod.body))
    body["metadata"]["labels"] |= {EVENTS_LABEL: value} | ({MARK: by} if by else {})
    return Pod(body)


def unlabelled_by_hand(pod: Pod) -> Pod:
    body: Json = copy.deepcopy(dict(labelled(pod).body))
    del body["metadata"]["labels"][EVENTS_LABEL]
    return Pod(body)


def seen(*pods: Pod, **picture: Any) -> ObservedModel:
    answers = {pod.uid: EngineAnswers("0.16.0", 16) for pod in pods}
    return model(picture.pop("body", body_of()), *pods, answers=answers, **picture)


def labels_written(decision: Decision, pod: Pod) -> Json:
    """A pod's labels after what is decided."""
    body: Json = copy.deepcopy(dict(pod.body))
    for action in decision.actions:
        if action.kind is Kind.POD and action.name == pod.name:
            body = apply(body, [dict(each) for each in action.operations])
    found: Json = body["metadata"]["labels"]
    return found


def test_the_template_is_left_without_the_label() -> None:
    labels = body_of()["spec"]["template"]["metadata"]["labels"]
    assert EVENTS_LABEL not in labels
    assert labels["model.aibrix.ai/name"] == "model"


def test_a_verified_pod_is_labelled_and_marked_once() -> None:
    pod = pod_of(body_of())
    decision = decided(seen(pod), verdicts=[verdict_on(pod)], spec=LATE)
    labels = labels_written(decision, pod)
    assert (labels[EVENTS_LABEL], labels[MARK]) == ("true", OWNER.uid)
    again = labelled(pod)
    assert decided(seen(again), verdicts=[verdict_on(again)], spec=LATE).actions == ()


def test_only_the_pods_that_are_verified() -> None:
    body = body_of(2)
    good, bad = pod_of(body, "good"), pod_of(body, "bad")
    decision = decided(
        seen(good, bad, body=body), verdicts=[verdict_on(good), failing(bad)], spec=LATE
    )
    assert done_to(decision) == [("PodLabelled", "good")]


@pytest.mark.parametrize(
    "verdict",
    [
        {"reason": SourceReason.CONNECTING, "verified": False, "settled": False},
        {"reason": SourceReason.IDLE, "verified": True, "settled": False},
    ],
)
def test_what_is_not_settled_changes_nothing(verdict: Json) -> None:
    pod = pod_of(body_of())
    for each in (pod, labelled(pod)):
        decision = decided(seen(each), verdicts=[verdict_on(each, **verdict)], spec=LATE)
        assert decision.actions == ()


def test_a_source_that_fails_takes_its_pod_from_the_gateway() -> None:
    pod = labelled(pod_of(body_of()))
    decision = decided(seen(pod), verdicts=[failing(pod)], spec=LATE)
    labels = labels_written(decision, pod)
    assert EVENTS_LABEL not in labels
    assert MARK not in labels
    (action,) = decision.actions
    assert action.warning
    assert "PortClosed" in action.note


def test_a_rank_that_is_not_expected_says_nothing() -> None:
    pod = labelled(pod_of(body_of()))
    verdicts = [verdict_on(pod), verdict_on(pod, FAILING, verified=False, rank=1)]
    assert decided(seen(pod), verdicts=verdicts, spec=LATE).actions == ()


@pytest.mark.parametrize("by", ["", "uid-of-another"])
@pytest.mark.parametrize("value", ["true", "false"])
def test_the_label_of_somebody_else_is_never_touched(by: str, value: str) -> None:
    pod = labelled(pod_of(body_of()), value, by=by)
    for verdict in (failing(pod), verdict_on(pod)):
        assert decided(seen(pod), verdicts=[verdict], spec=LATE).actions == ()


def test_a_label_that_a_person_took_off_stays_off() -> None:
    pod = unlabelled_by_hand(pod_of(body_of()))
    assert decided(seen(pod), verdicts=[verdict_on(pod)], spec=LATE).actions == ()
    gone = decided(seen(pod), verdicts=[failing(pod)], spec=LATE)
    assert MARK not in labels_written(gone, pod)


def test_a_pod_that_ends_is_left_alone() -> None:
    body: Json = copy.deepcopy(dict(pod_of(body_of()).body))
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pod = Pod(body)
    decision = decided(seen(pod), verdicts=[verdict_on(pod)], spec=LATE)
    assert all(action.kind is not Kind.POD for action in decision.actions)


def test_paused_no_pod_is_labelled() -> None:
    pod = pod_of(body_of())
    held = spec_of(engine={"labels": "WhenVerified"}, paused=True)
    assert decided(seen(pod), verdicts=[verdict_on(pod)], spec=held).actions == ()


def test_on_the_way_out_the_labels_go_before_the_models() -> None:
    pod = labelled(pod_of(body_of()))
    picture = {"spec": LATE, "sync": sync_of(deleted="2026-01-01T00:00:00Z")}
    first = decided(seen(pod), **picture)
    assert done_to(first) == [("PodUnlabelled", pod.name)]
    plain = pod_of(body_of())
    assert done_to(decided(seen(plain), **picture)) == [("Reverted", "model")]


def test_a_model_that_is_not_meant_any_more_loses_them() -> None:
    pod = labelled(pod_of(body_of()))
    decision = decided(seen(pod, selected=False), spec=LATE)
    assert ("PodUnlabelled", pod.name) in done_to(decision)


def test_back_to_the_template_its_old_pods_keep_them_until_they_are_replaced() -> None:
    pod = labelled(pod_of(body_of()))
    decision = decided(seen(pod), verdicts=[verdict_on(pod)], spec=spec_of())
    assert done_to(decision) == [("Configured", "model")]


def test_many_pods_are_labelled_some_at_a_time() -> None:
    body = body_of(AT_ONCE + 1)
    pods = [pod_of(body, f"p{number:03}") for number in range(AT_ONCE + 1)]
    decision = decided(seen(*pods, body=body), verdicts=[*map(verdict_on, pods)], spec=LATE)
    assert len(decision.actions) == AT_ONCE


def test_a_pod_that_waits_for_its_label_is_not_called_unlabelled() -> None:
    pod = pod_of(body_of())
    waiting = decided(seen(pod), verdicts=[failing(pod)], spec=LATE)
    assert condition(waiting.status, "GatewayCompatible")[1] != "EventsLabelMissing"
    by_hand = unlabelled_by_hand(pod)
    verified = decided(seen(by_hand), verdicts=[verdict_on(by_hand)], spec=LATE)
    assert verified.status is not None
    assert verified.status["models"][0]["gateway"] == "EventsLabelMissing"


def _states(pod: Pod) -> list[Pod]:
    return [pod, labelled(pod), labelled(pod, by=""), labelled(pod, "false", by="")]


@given(
    state=st.integers(0, 3),
    verdicts=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8),
)
def test_after_any_verdicts_it_is_ours_or_as_it_was(
    state: int, verdicts: list[tuple[bool, bool]]
) -> None:
    """Taking our label off after any history gives back the labels that stood there before us."""
    pod = _states(pod_of(body_of()))[state]
    original = pod_of(body_of()).labels if state < 2 else pod.labels
    for verified, settled in verdicts:
        reason = SourceReason.IDLE if verified else FAILING
        said: Verdict = verdict_on(pod, reason, verified=verified, settled=settled)
        decision = decided(seen(pod), verdicts=[said], spec=LATE)
        try:
            labels = labels_written(decision, pod)
        except PatchConflictError:  # pragma: no cover - the failure that is looked for
            pytest.fail("a patch does not fit the pod it was made for")
        body: Json = copy.deepcopy(dict(pod.body))
        body["metadata"]["labels"] = labels
        pod = Pod(body)
    out = decided(seen(pod), spec=LATE, sync=sync_of(deleted="2026-01-01T00:00:00Z"))
    assert labels_written(out, pod) == original
