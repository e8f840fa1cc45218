"""One look, judged: what is healthy, what a model says itself, and where the operator says something else."""

import pytest

from core.looks import (
    all_of,
    found,
    judged,
    key_of,
    sight,
    silence,
    told_ready,
    two_pods,
    unsettled,
)
from core.objects import container, deployment, spec_of
from core.scenes import (
    configured,
    crashing,
    gateway_of,
    model,
    pod_of,
    rolled_out,
    sync_of,
)
from kvsync.core.verification import without_look
from kvsync.model.source import Failure, SourceReason


def test_where_every_source_is_proven_all_is_healthy() -> None:
    one, a, b = two_pods()
    look = found(
        one,
        verdicts=(judged(a), judged(b, SourceReason.IDLE)),
        gateway=gateway_of(),
        status=told_ready(),
    )
    (finding,) = look.models
    assert (finding.reason, finding.verified, finding.expected) == ("Verified", 2, 2)
    assert look.healthy
    assert all_of(look).healthy
    assert look.differences == {}
    assert look.compatible is not None
    assert (look.compatible.status, look.compatible.reason) == ("True", "Compatible")


def test_one_failing_source_is_named_and_makes_all_unhealthy() -> None:
    one, a, b = two_pods()
    look = found(one, verdicts=(judged(a), judged(b, SourceReason.PORT_CLOSED)))
    (finding,) = look.models
    assert (finding.reason, finding.trouble) == ("PortClosed", False)
    assert finding.message == "model-1: PortClosed seen"
    assert [source.healthy for source in finding.sources] == [True, False]
    assert not all_of(look).healthy
    assert finding.sources[1].remedy == "see its log"


def test_a_verdict_that_is_not_settled_is_no_health() -> None:
    one, a, b = two_pods()
    look = found(one, verdicts=(judged(a), unsettled(b)))
    assert not look.healthy
    assert "--timeout" in look.models[0].sources[1].remedy


def test_a_source_that_the_operator_trusts_is_not_taken_on_trust_here() -> None:
    one, a, b = two_pods()
    status = told_ready()
    status["models"][0]["verifiedRecord"] = 9_990
    look = found(one, verdicts=(unsettled(a), unsettled(b)), status=status)
    assert (look.healthy, look.models[0].verified) == (False, 0)


def test_a_source_without_a_verdict_counts_as_not_looked_at() -> None:
    one, a, _ = two_pods()
    look = found(one, verdicts=(judged(a),))
    assert [s.verdict.reason.value for s in look.models[0].sources] == ["Publishing", "Connecting"]
    assert not look.healthy


def test_a_refused_model_says_so_itself() -> None:
    odd = model(deployment(container(image="registry.example.com/x:latest", command=["sleep"])))
    (finding,) = found(odd).models
    assert (finding.reason, finding.trouble, finding.sources) == ("NoEngineContainer", True, ())
    assert "spec.engine.container" in finding.message
    assert not finding.healthy


def test_a_model_that_does_not_exist_is_named() -> None:
    look = found(model(None))
    assert look.models[0].reason == "NoSuchDeployment"
    assert not look.healthy


def test_a_model_that_waits_for_its_change_has_no_sources_yet() -> None:
    body = rolled_out(deployment())
    look = found(model(body, pod_of(body)))
    assert (look.models[0].reason, look.models[0].sources) == ("WaitingForTurn", ())
    assert not look.healthy


def test_pods_that_do_not_run_are_missing_sources() -> None:
    body = deployment()
    body["spec"]["replicas"] = 2
    done = rolled_out(configured(body))
    a, b = pod_of(done, "model-0"), pod_of(done, "model-1", phase="Pending", podIP="")
    look = found(model(done, a, b), verdicts=(judged(a),))
    (finding,) = look.models
    assert (finding.reason, finding.trouble, finding.expected) == ("RollingOut", True, 2)
    assert finding.message == "1 of 2 sources are missing: pods do not run yet."
    assert [s.healthy for s in finding.sources] == [True]


def test_a_crashing_engine_is_quoted_beside_its_closed_port() -> None:
    done = rolled_out(configured())
    pod = pod_of(done, containerStatuses=crashing("CUDA out of memory"))
    look = found(model(done, pod), verdicts=(judged(pod, SourceReason.PORT_CLOSED),))
    (finding,) = look.models
    assert (finding.reason, finding.trouble) == ("EngineCrashed", True)
    assert "CUDA out of memory" in finding.message
    assert [s.verdict.reason.value for s in finding.sources] == ["PortClosed"]


def test_a_model_past_its_deadline_is_told_by_its_sources() -> None:
    done = rolled_out(configured(at=1))
    pod = pod_of(done)
    spec = spec_of(rollout={"progressDeadline": "10s"})
    look = found(model(done, pod), verdicts=(judged(pod, SourceReason.STALE),), spec=spec)
    (finding,) = look.models
    assert (finding.reason, finding.trouble) == ("Stale", False)


def test_a_pod_that_is_not_ready_is_told_by_its_source_where_that_fails() -> None:
    done = rolled_out(configured(), available=0)
    pod = pod_of(done)
    failing = found(model(done, pod), verdicts=(judged(pod, SourceReason.STALE),)).models[0]
    assert (failing.reason, failing.trouble, failing.healthy) == ("Stale", False, False)
    fine = found(model(done, pod), verdicts=(judged(pod),)).models[0]
    assert (fine.reason, fine.trouble, fine.healthy) == ("RollingOut", True, False)


def test_scaled_to_zero_is_healthy() -> None:
    body = deployment()
    body["spec"]["replicas"] = 0
    look = found(model(rolled_out(configured(body))))
    assert (look.models[0].reason, look.healthy) == ("ScaledToZero", True)


def test_idle_without_a_proof_is_healthy_and_says_how_to_prove_it() -> None:
    done = rolled_out(configured())
    pod = pod_of(done)
    idle = judged(pod, SourceReason.IDLE)
    unproven = type(idle)(idle.key, idle.reason, verified=False, settled=True, message="up")
    look = found(model(done, pod), verdicts=(unproven,))
    assert (look.healthy, look.models[0].reason) == (True, "WaitingForTraffic")
    assert "Send a prompt" in look.models[0].sources[0].remedy


@pytest.mark.parametrize("reason", ["SilentDespiteTraffic", "PrefixCachingOff"])
def test_what_one_look_cannot_see_of_an_idle_source_is_taken_from_the_operator(reason: str) -> None:
    one, a, b = two_pods()
    status = told_ready(reason=reason, state="Degraded", verified=1, message="model-1: mute.")
    idle = found(one, verdicts=(judged(a), judged(b, SourceReason.IDLE)), status=status).models[0]
    assert (idle.reason, idle.healthy) == (reason, False)
    assert idle.message == "the operator found: model-1: mute."
    sends = found(one, verdicts=(judged(a), judged(b)), status=status).models[0]
    assert (sends.reason, sends.healthy) == ("Verified", True), "what was seen here is newer"


@pytest.mark.parametrize("reason", ["RelayUpstreamSilent", "RelayLagging"])
def test_what_a_relay_may_hide_is_taken_from_the_operator(reason: str) -> None:
    one, a, b = two_pods()
    status = told_ready(reason=reason, message="model-1: rank 3 is silent.")
    send = (judged(a), judged(b))
    behind = found(one, relay_port=5656, verdicts=send, status=status).models[0]
    assert (behind.reason, behind.healthy) == (reason, False)
    assert behind.message == "the operator found: model-1: rank 3 is silent."
    assert found(one, verdicts=send, status=status).models[0].reason == "Verified", (
        "there is no relay"
    )
    down = found(
        one,
        relay_port=5656,
        verdicts=(judged(a, SourceReason.RELAY_DOWN), judged(b, SourceReason.RELAY_DOWN)),
        status=status,
    )
    assert down.models[0].reason == "RelayDown", "what was seen here is worse"


def test_no_model_is_a_problem() -> None:
    look = found()
    assert look.problem is not None
    assert (look.problem[0], look.healthy) == ("NoModels", False)
    assert not all_of().healthy


def test_an_object_that_cannot_be_looked_at_keeps_the_operators_word() -> None:
    look = without_look(sync_of(status=told_ready("Undoing")), "Undoing", "It was deleted.")
    assert not look.healthy
    assert look.ready is not None
    assert (look.ready.reason, look.ready.current) == ("Undoing", True)


def test_a_deaf_gateway_makes_healthy_sources_useless() -> None:
    one = model(rolled_out(configured(deployment(container(image="vllm/vllm-openai:v0.24.0")))))
    body = one.deployment.body if one.deployment else {}
    pod = pod_of(dict(body))
    one = model(dict(body), pod)
    look = found(one, verdicts=(judged(pod),), gateway=gateway_of())
    assert look.compatible is not None
    assert (look.compatible.status, look.compatible.reason) == ("False", "EventLayout")
    assert not look.healthy


def test_an_unreadable_gateway_is_unknown_and_no_failure() -> None:
    one, a, b = two_pods()
    both = (judged(a), judged(b))
    look = found(one, verdicts=both, gateway_unread="Deployment x/y cannot be read.")
    assert look.compatible is not None
    assert look.compatible.status == "Unknown"
    assert look.compatible.message == "Deployment x/y cannot be read."
    assert look.healthy


@pytest.mark.parametrize(
    ("reasons", "verified", "state", "differs"),
    [
        ((SourceReason.PUBLISHING, SourceReason.PUBLISHING), 2, "Ready", False),
        ((SourceReason.PUBLISHING, SourceReason.UNREACHABLE), 2, "Ready", True),
        ((SourceReason.PUBLISHING, SourceReason.UNREACHABLE), 1, "Degraded", False),
        ((SourceReason.PUBLISHING, SourceReason.PUBLISHING), 1, "Degraded", True),
        ((SourceReason.PUBLISHING, SourceReason.PUBLISHING), 2, "Degraded", True),
    ],
)
def test_where_the_operator_says_something_else_it_is_said(
    reasons: tuple[SourceReason, SourceReason], verified: int, state: str, differs: bool
) -> None:
    one, a, b = two_pods()
    verdicts = (judged(a, reasons[0]), judged(b, reasons[1]))
    status = told_ready(verified=verified, state=state, reason="X")
    look = found(one, verdicts=verdicts, status=status)
    assert ("model" in look.differences) == differs
    if differs:
        told = look.differences["model"]
        assert f"the operator says X, {verified} of 2 sources verified" in told
        assert f"from here it is {look.models[0].reason}" in told


def test_a_status_of_an_older_spec_is_not_current() -> None:
    one, *_ = two_pods()
    status = told_ready()
    status["conditions"][0]["observedGeneration"] = 2
    look = found(one, status=status)
    assert look.ready is not None
    assert not look.ready.current


def test_a_model_that_the_status_does_not_name_is_told_unless_the_list_was_cut() -> None:
    one, *_ = two_pods()
    other = told_ready(name="other")
    assert "model" in found(one, status=other).differences
    assert found(one, status={**other, "modelsTotal": 60}).differences == {}
    assert found(one).differences == {}, "an operator that said nothing says nothing else"


def test_from_where_no_packet_comes_back_nothing_is_reached() -> None:
    one, a, b = two_pods()
    seen = {key_of(a): silence(), key_of(b): silence(None)}
    nowhere = (judged(a, SourceReason.UNREACHABLE), unsettled(b))
    assert all_of(found(one, verdicts=nowhere, seen=seen)).unreached_pods == 2
    reached = {**seen, key_of(b): sight()}
    assert all_of(found(one, verdicts=nowhere, seen=reached)).unreached_pods == 0
    refused = {**seen, key_of(b): silence(Failure.REFUSED)}
    assert all_of(found(one, verdicts=nowhere, seen=refused)).unreached_pods == 0
    assert all_of(found(model(None))).unreached_pods == 0, "without a source there is none to reach"


def test_a_condition_is_read_as_it_is_and_only_where_it_is() -> None:
    look = found(model(None), status={"conditions": [{"type": "GatewayCompatible"}]})
    assert look.ready is None
    assert look.told_compatible is not None
    assert (look.told_compatible.status, look.told_compatible.current) == ("", False)
