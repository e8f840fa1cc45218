"""Auto: a relay where the gateway could not use the events otherwise, and no turning back and forth."""

import copy

import pytest

from core.gateways import running, told, verdict
from core.objects import ARRAYS, Json, ask, container, deployment, planned, reason_of, spec_of
from core.scenes import (
    applied,
    condition,
    configured,
    decided,
    model,
    observe,
    pod_of,
    rolled_out,
    verdict_on,
)
from kvsync.core.assess import ModelState
from kvsync.core.decide import view_models
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import Ask, Outcome
from kvsync.model.events import EventLayout
from kvsync.model.reasons import ModelReason
from kvsync.model.record import RECORD_ANNOTATION, load_record
from kvsync.model.relay import RelayForm, RelayMeans
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment, Pod

ARRAY, MAP = EventLayout.ARRAY, EventLayout.MAP
AUTO = spec_of(events={"relay": {"mode": "Auto"}})
LATEST = "vllm/vllm-openai:latest"


def body_of(image: str = "vllm/vllm-openai:v0.32.0", *words: str) -> Json:
    return deployment(container(image=image, command=["vllm", "serve", "m", *words]))


def has_relay(body: Json) -> bool:
    inits = body["spec"]["template"]["spec"].get("initContainers", [])
    return "kvsync-relay" in [each["name"] for each in inits]


def after(body: Json, question: Ask) -> Json:
    made = plan(Deployment(body), question)
    assert made.refusal is None, made.refusal
    changed: Json = copy.deepcopy(apply(body, made.patch))
    return changed


@pytest.mark.parametrize(
    ("image", "words", "reads", "expected"),
    [
        ("vllm/vllm-openai:v0.32.0", (), ARRAYS, True),
        ("vllm/vllm-openai:v0.16.0", (), ARRAYS, False),
        # A gateway of unknown release may read maps: it is not known that it does not.
        ("vllm/vllm-openai:v0.32.0", (), None, False),
        ("vllm/vllm-openai:v0.32.0", (), frozenset({ARRAY, MAP}), False),
        (LATEST, (), ARRAYS, False),
        ("vllm/vllm-openai:v0.16.0", ("--data-parallel-size=2",), ARRAYS, True),
        ("vllm/vllm-openai:v0.16.0", ("--data-parallel-size=2",), None, True),
    ],
)
def test_where_it_is_needed(
    image: str, words: tuple[str, ...], reads: frozenset[EventLayout] | None, expected: bool
) -> None:
    body = body_of(image, *words)
    assert has_relay(after(body, ask(AUTO, gateway_reads=reads))) is expected
    assert not has_relay(after(body, ask(gateway_reads=reads))), "Off is the default"


def test_a_layout_that_was_seen_counts_more_than_a_release() -> None:
    assert has_relay(after(body_of(LATEST), ask(AUTO, seen={"": MAP})))
    assert not has_relay(after(body_of(), ask(AUTO, seen={"": ARRAY})))


@pytest.mark.parametrize(
    "later",
    [
        ask(AUTO),
        ask(AUTO, seen={"": ARRAY}),
        ask(AUTO, gateway_reads=None),
        ask(AUTO, gateway_reads=frozenset({ARRAY, MAP})),
        ask(AUTO, running="0.32.0"),
    ],
    ids=["nothing seen", "seen behind it", "no gateway", "a newer gateway", "asked again"],
)
def test_what_was_needed_stays_while_the_engine_is_the_same(later: Ask) -> None:
    body = after(body_of(LATEST), ask(AUTO, seen={"": MAP}))
    assert plan(Deployment(body), later).outcome is Outcome.UNCHANGED
    body["spec"]["replicas"] = 7
    assert plan(Deployment(body), later).outcome is Outcome.UNCHANGED
    relabelled = copy.deepcopy(body)
    relabelled["spec"]["template"]["metadata"]["labels"]["x"] = "y"
    assert plan(Deployment(relabelled), later).outcome is Outcome.UNCHANGED


def test_it_goes_with_another_engine_that_needs_none() -> None:
    body = after(body_of(), ask(AUTO))
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm/vllm-openai:v0.16.0"
    assert not has_relay(after(body, ask(AUTO, at=2_000)))
    ranks = after(body_of("vllm/vllm-openai:v0.16.0", "-dp", "2"), ask(AUTO))
    assert has_relay(ranks)
    ranks["spec"]["template"]["spec"]["containers"][0]["command"][-1] = "1"
    assert not has_relay(after(ranks, ask(AUTO, at=2_000)))


def test_a_lost_record_is_no_reason_to_take_it_away() -> None:
    body = after(body_of(LATEST), ask(AUTO, seen={"": MAP}))
    del body["metadata"]["annotations"][RECORD_ANNOTATION]
    again = after(body, ask(AUTO, at=2_000))
    assert has_relay(again)
    assert plan(Deployment(again), ask(AUTO, at=3_000)).outcome is Outcome.UNCHANGED


def test_without_an_image_nothing_is_guessed_and_nothing_that_stands_is_touched() -> None:
    nothing = RelayMeans()
    refused = planned(body_of(), AUTO, relays=nothing)
    assert reason_of(refused) == "RelayImageUnknown"
    assert "KVSYNC_IMAGE" in str(refused.refusal)
    own = spec_of(events={"relay": {"mode": "Auto", "image": "mine:1"}})
    assert planned(body_of(), own, relays=nothing).outcome is Outcome.CHANGE
    standing = after(body_of(), ask(AUTO))
    assert planned(standing, AUTO, relays=nothing).outcome is Outcome.UNCHANGED


def test_an_upgrade_of_the_cluster_waits_for_another_reason_to_restart() -> None:
    old, new = RelayMeans("own:1", RelayForm.PLAIN), RelayMeans("own:2", RelayForm.NATIVE)
    body = after(body_of(), ask(AUTO, relays=old))
    assert plan(Deployment(body), ask(AUTO, relays=new)).outcome is Outcome.UNCHANGED
    faster = spec_of(events={"relay": {"mode": "Auto", "reannounce": "1m"}})
    moved = after(body, ask(faster, relays=new, at=2_000))
    assert has_relay(moved)
    names = [each["name"] for each in moved["spec"]["template"]["spec"]["containers"]]
    assert names == ["vllm"]
    assert moved["spec"]["template"]["spec"]["initContainers"][0]["image"] == "own:2"


def test_what_was_rejected_is_not_tried_in_the_other_form() -> None:
    plain, relayed = planned(body_of(LATEST), AUTO), planned(body_of(LATEST), AUTO, seen={"": MAP})
    assert plain.patch != relayed.patch
    assert plain.fingerprint == relayed.fingerprint
    assert planned(body_of(LATEST)).fingerprint != plain.fingerprint


# In the whole picture.


def pictured(body: Json, spec: KVEventSyncSpec = AUTO) -> tuple[Json, Pod]:
    done = rolled_out(configured(body, spec=spec))
    return done, pod_of(done)


def test_its_pods_are_one_source_each_and_the_gateway_can_use_it() -> None:
    done, pod = pictured(body_of("vllm/vllm-openai:v0.32.0", "--data-parallel-size=4"))
    seen = [verdict(pod, ARRAY, 16)]
    observed = observe(model(done, pod), verdicts=seen, spec=AUTO, gateway=told())
    (view,) = view_models(observed, ask().templates)
    assert (view.state, view.expected_sources) == (ModelState.READY, 1)
    (target,) = view.targets
    assert (target.port, target.replay_port, target.relay_port) == (5557, 5558, 5656)
    status = decided(model(done, pod), verdicts=seen, spec=AUTO, gateway=told()).status
    assert condition(status, "GatewayCompatible") == ("True", "Compatible")


def test_off_says_which_setting_helps() -> None:
    one = running(image="v0.32.0")
    status = decided(one, verdicts=[verdict(one.pods[0], MAP, 16)], gateway=told()).status
    assert status is not None
    found = next(c for c in status["conditions"] if c["type"] == "GatewayCompatible")
    assert found["reason"] == "EventLayout"
    assert "Set spec.events.relay.mode to Auto" in found["message"]


def test_an_engine_of_unknown_release_gets_one_once_its_events_are_seen() -> None:
    done, pod = pictured(body_of(LATEST))
    # As a service mesh leaves a pod.
    pod.body["spec"]["containers"].insert(0, {"name": "istio-proxy", "image": "istio/proxyv2:1.27"})
    seen = [verdict(pod, MAP, 16)]
    decision = decided(model(done, pod), verdicts=seen, spec=AUTO, gateway=told(), now=20_000.0)
    action = next(a for a in decision.actions if a.name == "model")
    relayed = applied(done, action)
    assert has_relay(relayed)
    # Behind it arrays are seen; old pods still tell of maps, or nobody tells anything.
    new = pod_of(relayed, "model-1")
    for verdicts in ([verdict(new, ARRAY, 16)], [*seen, verdict(new, ARRAY, 16)], []):
        observed = observe(
            model(rolled_out(relayed), new, pod), verdicts=verdicts, spec=AUTO, gateway=told()
        )
        (view,) = view_models(observed, ask().templates)
        assert view.plan is not None
        assert view.plan.outcome is Outcome.UNCHANGED


def test_a_pod_from_before_the_relay_does_not_count_as_carrying_it() -> None:
    done, pod = pictured(body_of())
    bare = pod_of(done, "bare")
    del bare.body["spec"]["initContainers"]
    observed = observe(model(done, bare), spec=AUTO, gateway=told())
    (view,) = view_models(observed, ask().templates)
    assert view.targets == ()
    assert "lacks the relay (container kvsync-relay)" in view.verdicts[0].message
    observed = observe(model(done, pod), spec=AUTO, gateway=told())
    assert len(view_models(observed, ask().templates)[0].targets) == 1


def test_a_relay_that_crashes_while_on_trial_is_rolled_back() -> None:
    done, _ = pictured(body_of())
    statuses = [
        {
            "name": "kvsync-relay",
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "no port"}},
        }
    ]
    pod = pod_of(done, initContainerStatuses=statuses)
    observed = observe(model(done, pod), spec=AUTO, gateway=told())
    (view,) = view_models(observed, ask().templates)
    assert (view.state, view.reason, view.roll_back) == (ModelState.FAILED, "RelayDown", True)


def test_a_relay_whose_image_is_not_there_is_rolled_back_at_once() -> None:
    done, _ = pictured(body_of())
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    statuses = [{"name": "kvsync-relay", "restartCount": 0, "state": {"waiting": waiting}}]
    pod = pod_of(done, phase="Pending", initContainerStatuses=statuses)
    observed = observe(model(done, pod), spec=AUTO, gateway=told())
    (view,) = view_models(observed, ask().templates)
    assert (view.state, view.reason) == (ModelState.FAILED, "ImagePullFailed")
    assert "image of container kvsync-relay cannot be pulled: no such image" in view.message


def test_who_takes_the_relay_away_is_resisted() -> None:
    done, pod = pictured(body_of())
    taken = copy.deepcopy(done)
    del taken["spec"]["template"]["spec"]["initContainers"]
    decision = decided(
        model(taken, pod), verdicts=[verdict_on(pod)], spec=AUTO, gateway=told(), now=20_000.0
    )
    action = next(a for a in decision.actions if a.name == "model")
    assert action.counted
    assert has_relay(applied(taken, action))


def test_the_record_tells_the_engine_that_it_was_needed_for() -> None:
    body = after(body_of(), ask(AUTO))
    relay = load_record(body["metadata"]["annotations"][RECORD_ANNOTATION]).relay
    assert relay is not None
    assert relay.layout_of == "vllm/vllm-openai:v0.32.0"
    ranks = after(body_of("vllm/vllm-openai:v0.16.0", "-dp", "2"), ask(AUTO))
    relay = load_record(ranks["metadata"]["annotations"][RECORD_ANNOTATION]).relay
    assert relay is not None
    assert relay.layout_of == ""


@pytest.mark.parametrize(
    ("image", "permitted"),
    [
        ("", True),
        ("reg.example:5000/team/kvsync-operator:9", True),
        ("reg.example:5000/team/kvsync-operator@sha256:0000", True),
        ("mirror.example/kvsync-operator:1", True),
        ("mirror.example/kvsync-operator-evil:1", False),
        ("safe.example/any/thing:1", True),
        ("safe.example.evil/thing:1", False),
        ("reg.example:5000/team:9", False),
        ("kvsync-operator:9", False),
    ],
)
def test_an_object_names_only_images_that_the_operators_owner_allows(
    image: str, permitted: bool
) -> None:
    own = "reg.example:5000/team/kvsync-operator:1.2.3"
    means = RelayMeans(own, others=("mirror.example/kvsync-operator", "safe.example/"))
    question = ask(spec_of(events={"relay": {"mode": "Always", "image": image}}), relays=means)
    made = plan(Deployment(body_of()), question)
    reason = made.refusal.reason if made.refusal else None
    assert reason is (None if permitted else ModelReason.RELAY_IMAGE_NOT_PERMITTED)


def test_a_relay_that_stands_outlives_the_permission_of_its_image() -> None:
    spec = spec_of(events={"relay": {"mode": "Always", "image": "other.example/relay:1"}})
    allowed = RelayMeans("kvsync-operator:1", others=("other.example/",))
    body = after(body_of(), ask(spec, relays=allowed))
    made = plan(Deployment(body), ask(spec, relays=RelayMeans("kvsync-operator:1", others=())))
    assert (made.refusal, made.outcome) == (None, Outcome.UNCHANGED)


def test_where_the_users_own_rights_write_it_any_image_will_do() -> None:
    spec = spec_of(events={"relay": {"mode": "Always", "image": "other.example/relay:1"}})
    assert has_relay(after(body_of(), ask(spec, relays=RelayMeans("kvsync-operator:1"))))
