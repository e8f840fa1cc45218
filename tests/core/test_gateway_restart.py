"""When a gateway may restart: every pod answers, or few are silent for long; its tokenizer works."""

from dataclasses import replace
from typing import Any

import pytest

from core.companions import companion, endpoint
from core.objects import Json, deployment, spec_of
from core.scenes import (
    NOW,
    after_action,
    condition,
    configured,
    decided,
    done_to,
    flag_is_on,
    gateway_of,
    gateway_turned_on,
    model,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
    working,
)
from kvsync.core.gateway_restart import BEARABLE, PATIENCE
from kvsync.core.moment import timestamp
from kvsync.model.decision import Decision
from kvsync.model.observed import EngineAnswers, ObservedModel
from kvsync.model.tokenizer import TokenizerAnswer, TokenizerQuestion

GATEWAY = "aibrix-gateway-plugins"
EVENTS = "model.aibrix.ai/kv-events-enabled"
PODS = tuple(f"team/pod-{number}" for number in range(8))


def enabling(**picture: Any) -> Decision:
    """What is decided where everything of the object's own is ready for the gateway."""
    one, verdict = working()
    return decided(one, verdicts=[verdict], **{"gateway": gateway_of(), **picture})


def waiting_since(seconds_ago: float) -> Json:
    return {"gateway": {"waitingSince": timestamp(NOW - seconds_ago)}}


def message(decision: Decision) -> str:
    assert decision.status is not None
    found = decision.status["conditions"]
    return str(next(c["message"] for c in found if c["type"] == "GatewayConfigured"))


def gateway_condition(decision: Decision) -> tuple[str, str]:
    return condition(decision.status, "GatewayConfigured")


def test_a_pod_of_any_object_that_does_not_answer_holds_the_restart_and_is_named() -> None:
    loading = companion(silent=("team/pod-0",), deployment="of-another-gateway", asks=False)
    decision = enabling(others=[loading])
    assert decision.actions == ()
    assert gateway_condition(decision) == ("False", "GatewayWouldStall")
    assert "team/pod-0" in message(decision)
    assert condition(decision.status, "Stalled")[0] == "False", "it only waits"
    assert decision.status is not None
    assert decision.status["gateway"]["waitingSince"] == timestamp(NOW)
    assert decision.look_again is not None
    assert decision.look_again <= 20
    assert decision.standing is not None
    assert decision.standing.awaits_pods


def crowd(number: int) -> tuple[ObservedModel, ...]:
    """Models whose pods are labelled, run, and were not heard yet."""
    bodies = [rolled_out(configured(deployment(name=f"m{i}"))) for i in range(number)]
    return tuple(model(body, pod_of(body)) for body in bodies)


@pytest.mark.parametrize(
    ("number", "labels", "told"), [(5, "Template", True), (4, "Template", False)]
)
def test_a_crowd_that_loads_is_recommended_to_be_labelled_late(
    number: int, labels: str, told: bool
) -> None:
    spec = spec_of(engine={"labels": labels})
    loading = decided(*crowd(number), gateway=gateway_of(), spec=spec)
    assert ("WhenVerified" in message(loading)) is told
    names = tuple(f"team/pod-{i}" for i in range(number))
    held = enabling(others=[companion(silent=names)])
    assert gateway_condition(held)[1] == "GatewayWouldStall"
    assert ("WhenVerified" in message(held)) is told


def test_who_labels_late_already_is_recommended_nothing() -> None:
    late = spec_of(engine={"labels": "WhenVerified"})
    assert "WhenVerified" not in message(decided(*crowd(6), gateway=gateway_of(), spec=late))


def test_it_goes_on_when_all_answer() -> None:
    decision = enabling(others=[companion()], sync=sync_of(status=waiting_since(5)))
    assert done_to(decision) == [("GatewayConfigured", GATEWAY)]
    assert "waitingSince" not in (decision.status or {})["gateway"]


@pytest.mark.parametrize(
    ("pods", "waited", "goes"),
    [
        (BEARABLE, PATIENCE - 1, False),
        (BEARABLE, PATIENCE, True),
        (BEARABLE + 1, PATIENCE * 10, False),
    ],
)
def test_after_a_while_it_goes_on_beside_a_few(pods: int, waited: float, goes: bool) -> None:
    decision = enabling(
        others=[companion(silent=PODS[:pods])], sync=sync_of(status=waiting_since(waited))
    )
    assert bool(decision.actions) is goes
    if not goes:
        late = waited >= PATIENCE
        expected = ("True", "GatewayWouldStall") if late else ("False", "Idle")
        assert condition(decision.status, "Stalled") == expected
        assert ("take the label" in message(decision)) is late, "the remedy"
        assert decision.status is not None
        assert decision.status["gateway"]["waitingSince"] == timestamp(NOW - waited)


def test_a_time_that_lies_ahead_or_is_none_is_not_believed() -> None:
    for noted in (timestamp(NOW + 10 * PATIENCE), "soon", 7):
        status = {"gateway": {"waitingSince": noted}}
        decision = enabling(others=[companion(silent=PODS[:1])], sync=sync_of(status=status))
        assert decision.status is not None
        assert decision.status["gateway"]["waitingSince"] == timestamp(NOW)


def test_a_mark_alone_restarts_nothing_and_waits_for_nobody() -> None:
    gateway = gateway_turned_on()
    other = {**gateway, "metadata": {**gateway["metadata"]}}
    other["metadata"]["annotations"] = {
        **gateway["metadata"]["annotations"],
        "kvsync.aibrix.ai/owners": "team/other",
    }
    decision = enabling(
        gateway=other,
        others=[companion(silent=PODS)],
        unheard=["team/unheard"],
        tokenizers={},
    )
    assert done_to(decision) == [("GatewayConfigured", GATEWAY)]
    assert after_action(decision, other)["spec"] == other["spec"]


def test_nobody_is_told_before_every_object_was_looked_at() -> None:
    decision = enabling(unheard=["team/unheard"])
    assert decision.actions == ()
    assert gateway_condition(decision) == ("False", "WaitingForEvents")
    assert "team/unheard" in message(decision)
    assert decision.look_again is not None


def test_an_object_that_is_not_ready_leaves_the_restart_to_those_that_are() -> None:
    one, verdict = working()
    unproven = replace(verdict, settled=False)
    other = companion(**endpoint("http://tokens:1"))
    decision = decided(
        one,
        verdicts=[unproven],
        gateway=gateway_turned_on(),
        others=[other],
        sync=sync_of(status={"models": [{"name": "model", "verifiedRecord": 9_990}]}),
    )
    assert decision.actions == ()
    assert gateway_condition(decision) == ("False", "WaitingForEvents")


def labelled(body: Json, **pod: Any) -> Any:
    """A running pod that its owner labelled for the gateway."""
    made = pod_of(body, **pod)
    made.body["metadata"]["labels"] |= {EVENTS: "true", "model.aibrix.ai/name": "m"}
    return made


def test_a_pod_that_its_owner_labelled_is_watched_and_counts() -> None:
    # The model is refused, so nothing of it is configured; the gateway subscribes all the same.
    one, verdict = working()
    body = rolled_out(deployment(name="old"))
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm/vllm-openai:v0.8.5"
    pod = labelled(body)
    decision = decided(one, model(body, pod), verdicts=[verdict], gateway=gateway_of())
    (target,) = [t for key, t in decision.targets.items() if key.uid == pod.uid]
    assert (target.port, target.replay_port, target.active_check) == (5557, 5558, True)
    assert decision.standing is not None
    assert decision.standing.wish is not None
    assert decision.standing.wish.unanswering == ("default/old-0",)
    seen = replace(verdict_on(pod, verified=False), answers=True)
    answering = decided(one, model(body, pod), verdicts=[verdict, seen], gateway=gateway_of())
    assert answering.standing is not None
    assert answering.standing.wish is not None
    assert answering.standing.wish.unanswering == ()


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"conditions": []}, True),  # readiness is not asked for
        ({"phase": "Pending"}, False),
        ({"podIP": ""}, False),
    ],
)
def test_only_pods_that_the_gateway_subscribes_to_count(change: Json, counts: bool) -> None:
    body = rolled_out(deployment(name="old"))
    pod = labelled(body, **change)
    assert unanswering_of(model(body, pod)) == (("default/old-0",) if counts else ())


def test_pods_that_go_or_are_passed_over_do_not_count() -> None:
    body = rolled_out(deployment(name="old"))
    for labels in ({"ray.io/node-type": "worker"}, {"model.aibrix.ai/name": ""}):
        pod = labelled(body)
        pod.body["metadata"]["labels"] |= labels
        assert unanswering_of(model(body, pod)) == ()
    pod = labelled(body)
    pod.body["metadata"]["deletionTimestamp"] = timestamp(NOW)
    assert unanswering_of(model(body, pod)) == ()


def unanswering_of(*models: Any, **picture: Any) -> tuple[str, ...]:
    decision = decided(*models, **picture)
    assert decision.standing is not None
    assert decision.standing.wish is not None
    return decision.standing.wish.unanswering


def test_a_source_on_trust_does_not_answer() -> None:
    one, verdict = working()
    assert unanswering_of(one, verdicts=[verdict]) == ()
    assert unanswering_of(one, verdicts=[replace(verdict, answers=False)]) == ("default/model-0",)


# The tokenizer.


def test_a_verified_pod_is_asked_before_the_gateway_is_told() -> None:
    decision = enabling(tokenizers={})
    assert decision.actions == ()
    assert decision.tokenizer == TokenizerQuestion("http://10.0.0.1:8000/tokenize")
    assert gateway_condition(decision) == ("False", "WaitingForEvents")


def test_an_endpoint_that_is_named_is_asked_as_it_stands() -> None:
    spec = spec_of(gateway=endpoint("https://tokens.team:1/base/?a=b"))
    decision = enabling(spec=spec, tokenizers={})
    assert decision.tokenizer is not None
    assert decision.tokenizer.url == "https://tokens.team:1/base/tokenize?a=b"


def test_the_endpoint_that_another_object_names_is_asked() -> None:
    decision = enabling(others=[companion(**endpoint("http://theirs:1"))], tokenizers={})
    assert decision.tokenizer is not None
    assert decision.tokenizer.url == "http://theirs:1/tokenize"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (TokenizerAnswer(404), "No tokenizer is served there"),
        (TokenizerAnswer(401), "sends no key"),
        (TokenizerAnswer(302), "follows no redirect"),
        (TokenizerAnswer(503), "status 503"),
        (TokenizerAnswer(problem="its name does not resolve"), "does not resolve"),
    ],
)
def test_one_that_fails_holds_the_gateway_and_says_what_to_do(
    answer: TokenizerAnswer, words: str
) -> None:
    spec = spec_of(gateway=endpoint("http://tokens:1/?key=secret"))
    url = "http://tokens:1/tokenize?key=secret"
    decision = enabling(spec=spec, tokenizers={url: answer})
    assert decision.actions == ()
    assert gateway_condition(decision) == ("False", "TokenizerFailing")
    assert condition(decision.status, "Stalled") == ("True", "TokenizerFailing")
    assert words in message(decision)
    assert "spec.gateway.remoteTokenizer.endpoint" in message(decision)
    assert "secret" not in message(decision)
    assert decision.tokenizer is not None, "it is asked again"
    assert decision.look_again is not None
    healed = enabling(spec=spec, tokenizers={url: TokenizerAnswer(200)})
    assert flag_is_on(after_action(healed, gateway_of()))


def test_a_gateway_that_is_configured_has_nobody_asked() -> None:
    decision = enabling(gateway=gateway_turned_on(), tokenizers={})
    assert (decision.actions, decision.tokenizer) == ((), None)
    assert gateway_condition(decision) == ("True", "Configured")


def test_sglang_is_not_asked_for_the_gateway_does_not_ask_it() -> None:
    body = deployment(
        {
            "name": "sglang",
            "image": "lmsysorg/sglang:v0.5.6",
            "command": ["python3", "-m", "sglang.launch_server", "--model-path", "tiny"],
        }
    )
    spec = spec_of(engine={"type": "SGLang"})
    done = rolled_out(configured(body, spec=spec))
    pod = pod_of(done)
    one = model(done, pod, answers={pod.uid: EngineAnswers("0.5.6", 16)})
    decision = decided(
        one, verdicts=[verdict_on(pod)], spec=spec, gateway=gateway_of(), tokenizers={}
    )
    assert done_to(decision) == [("GatewayConfigured", GATEWAY)]


@pytest.mark.parametrize("permitted", [True, False])
@pytest.mark.parametrize("manages", [True, False])
def test_only_who_may_have_the_gateway_changed_waits_for_all_to_be_looked_at(
    permitted: bool, manages: bool
) -> None:
    one, verdict = working()
    spec = spec_of(gateway={"manage": manages})

    def found(*unheard: str) -> Decision:
        picture = {"gateway": gateway_of(), "permitted": permitted, "unheard": unheard}
        return decided(one, verdicts=[verdict], spec=spec, **picture)

    early, later = found("team/unheard"), found()
    assert early.standing is not None
    assert early.standing.awaits_all == (permitted and manages)
    assert (early == later) == (not early.standing.awaits_all), "who does not wait misses nothing"
