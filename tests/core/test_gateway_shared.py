"""A pass over an object whose gateway others use too, and Deployments that are configured beside it."""

import copy
from typing import Any

import pytest

from core.companions import companion, endpoint
from core.objects import Json, container, deployment, spec_of
from core.scenes import (
    MARK,
    NOW,
    applied,
    condition,
    decided,
    done_to,
    flag_is_on,
    gateway_of,
    gateway_turned_on,
    rolled_out,
    sync_of,
    working,
)
from kvsync.core.gateway import OWNERS_ANNOTATION, owners_of
from kvsync.core.moment import timestamp
from kvsync.core.summary import MAX_MESSAGE
from kvsync.model.decision import Decision
from kvsync.model.workload import Deployment

GATEWAY, WATCHER = "aibrix-gateway-plugins", "kvcache-watcher"
BESIDE = {"gateway": {"alsoConfigure": [WATCHER]}}


def message(decision: Decision, kind: str = "GatewayConfigured") -> str:
    assert decision.status is not None
    found = decision.status["conditions"]
    return str(next(c["message"] for c in found if c["type"] == kind))


def with_marks(body: Json, *marks: str) -> Json:
    after = copy.deepcopy(body)
    after["metadata"].setdefault("annotations", {})[OWNERS_ANNOTATION] = ",".join(marks)
    return after


def passed(**picture: Any) -> Decision:
    one, verdict = working()
    return decided(one, verdicts=[verdict], **picture)


# Others.


def test_a_contradiction_is_told_takes_nothing_back_and_heals() -> None:
    spec = spec_of(gateway=endpoint("http://mine:1"))
    gateway = gateway_turned_on()
    decision = passed(spec=spec, gateway=gateway, others=[companion(**endpoint("http://theirs:1"))])
    assert decision.actions == ()
    assert condition(decision.status, "GatewayConfigured") == ("False", "Conflict")
    assert condition(decision.status, "Stalled") == ("True", "Conflict")
    assert condition(decision.status, "Ready") == ("False", "Conflict")
    for words in ("http://mine:1 (default/sync)", "http://theirs:1 (team/other)"):
        assert words in message(decision)
    healed = passed(spec=spec, gateway=gateway, others=[companion(**endpoint("http://mine:1"))])
    assert done_to(healed) == [("GatewayConfigured", GATEWAY)]


def test_a_contradiction_is_told_before_anything_is_ready() -> None:
    one, _ = working()
    other = companion(ready=False, **endpoint("http://theirs:1"))
    spec = spec_of(gateway=endpoint("http://mine:1"))
    decision = decided(one, spec=spec, gateway=gateway_of(), others=[other])
    assert condition(decision.status, "GatewayConfigured") == ("False", "Conflict")


def test_another_block_size_is_a_contradiction() -> None:
    decision = passed(gateway=gateway_of(), others=[companion(sizes=(32,))])
    assert decision.actions == ()
    assert "16 (default/sync) and 32 (team/other)" in message(decision)


def test_a_contradiction_of_hundreds_fits_the_condition() -> None:
    crowd = [
        companion(f"team-{number}/{'n' * 60}", **endpoint(f"http://{number % 9}.{'e' * 400}:1"))
        for number in range(300)
    ]
    decision = passed(gateway=gateway_of(), others=crowd)
    assert len(message(decision)) <= MAX_MESSAGE
    assert "until all of them want the same" in message(decision)


def test_what_an_object_needs_that_nothing_is_known_of_is_not_changed() -> None:
    # Its spec cannot be read, or another operator serves it.
    gateway = with_marks(gateway_turned_on(), "far/away")
    spec = spec_of(gateway=endpoint("http://mine:1"))
    decision = passed(spec=spec, gateway=gateway)
    assert decision.actions == ()
    assert condition(decision.status, "GatewayConfigured") == ("False", "Conflict")
    assert "far/away" in message(decision)
    # What it has already it may share.
    assert done_to(passed(gateway=gateway)) == [("GatewayConfigured", GATEWAY)]


def test_a_mark_of_an_object_that_is_gone_counts_for_nothing() -> None:
    gateway = with_marks(gateway_turned_on(), "far/gone")
    spec = spec_of(gateway=endpoint("http://mine:1"))
    decision = passed(spec=spec, gateway=gateway, gone=["far/gone"])
    after = Deployment(applied(gateway, decision.actions[0]))
    assert owners_of(after) == (MARK,)
    env = {item["name"]: item["value"] for item in after.containers[0].body["env"]}
    assert env["AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT"] == "http://mine:1"


def test_the_last_one_that_exists_restores_it() -> None:
    gateway = with_marks(gateway_turned_on(), MARK, "far/gone")
    leaving = sync_of(deleted=timestamp(NOW - 1))
    decision = decided(sync=leaving, gateway=gateway, gone=["far/gone"])
    assert applied(gateway, decision.actions[0])["spec"] == gateway_of()["spec"]
    held = decided(sync=leaving, gateway=gateway)
    assert applied(gateway, held.actions[0])["spec"] == gateway["spec"]


def test_the_status_names_who_shares_it() -> None:
    gateway = with_marks(gateway_turned_on(), MARK, "team/other")
    decision = passed(gateway=gateway, others=[companion()])
    assert decision.status is not None
    assert decision.status["gateway"]["sharedWith"] == ["team/other"]
    assert condition(decision.status, "GatewayConfigured") == ("True", "Configured")


def test_a_paused_object_wants_nothing_of_the_others() -> None:
    decision = passed(spec=spec_of(paused=True), gateway=gateway_of())
    assert decision.standing is not None
    assert decision.standing.wish is not None
    assert not decision.standing.wish.ready


@pytest.mark.parametrize(
    ("picture", "asks"),
    [
        ({}, True),
        ({"permitted": False}, False),
        ({"spec": spec_of(gateway={"manage": False})}, False),
    ],
)
def test_only_who_may_change_the_gateway_has_a_say(picture: Json, asks: bool) -> None:
    decision = passed(gateway=gateway_of(), **picture)
    assert decision.standing is not None
    assert decision.standing.wish is not None
    assert decision.standing.wish.asks is asks


# Beside the gateway.


def watcher(*containers: Json, image: str = "aibrix/kvcache-watcher:v0.4.1") -> Json:
    bodies = containers or (container("watcher", image),)
    body = deployment(*bodies, name=WATCHER)
    body["metadata"]["namespace"] = "aibrix-system"
    return rolled_out(body)


def after(decision: Decision, *bodies: Json) -> list[Json]:
    """The bodies after the actions on them, each once."""
    by_name = {action.name: action for action in decision.actions}
    assert len(by_name) == len(decision.actions)
    return [
        applied(body, by_name[name]) if (name := body["metadata"]["name"]) in by_name else body
        for body in bodies
    ]


def beside(*bodies: Json, gateway: Json | None = None, **picture: Any) -> Decision:
    named: dict[str, Json | None] = {body["metadata"]["name"]: body for body in bodies}
    also = named or {WATCHER: None}
    return passed(
        **{"spec": spec_of(**BESIDE), "gateway": gateway or gateway_of(), "also": also, **picture}
    )


def test_both_get_the_same_the_gateway_last_and_both_are_restored_the_gateway_first() -> None:
    decision = beside(watcher())
    assert done_to(decision) == [("GatewayConfigured", WATCHER), ("GatewayConfigured", GATEWAY)]
    second, gateway = after(decision, watcher(), gateway_of())
    assert flag_is_on(second)
    assert flag_is_on(gateway)
    rest = beside(rolled_out(second), gateway=rolled_out(gateway))
    assert rest.actions == ()
    assert condition(rest.status, "GatewayConfigured") == ("True", "Configured")
    leaving = decided(
        sync=sync_of(deleted=timestamp(NOW - 1)),
        spec=spec_of(**BESIDE),
        gateway=gateway,
        also={WATCHER: second},
    )
    assert [name for _, name in done_to(leaving)] == [GATEWAY, WATCHER]
    restored = after(leaving, second, gateway)
    assert [body["spec"] for body in restored] == [watcher()["spec"], gateway_of()["spec"]]


def test_the_number_of_another_program_is_no_gateways_release() -> None:
    # A gateway of that number would get the old names alone.
    (second,) = after(beside(watcher(image="aibrix/kvcache-watcher:v0.4.1")), watcher())
    names = {item["name"] for item in second["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {
        "AIBRIX_KV_EVENT_SYNC_ENABLED",
        "AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED",
    } <= names


def test_one_that_reads_none_of_them_is_configured_and_told_of() -> None:
    second, gateway = after(beside(watcher()), watcher(), gateway_of())
    decision = beside(rolled_out(second), gateway=rolled_out(gateway))
    assert "kvcache-watcher is known to read none" in message(decision)
    assert decision.status is not None
    (entry,) = decision.status["gateway"]["alsoConfigured"]
    assert (entry["name"], entry["state"]) == (WATCHER, "Configured")
    assert "read none" in entry["message"]
    other = watcher(image="team/reader:1")
    second, gateway = after(beside(other), other, gateway_of())
    decision = beside(rolled_out(second), gateway=rolled_out(gateway))
    assert "read none" not in message(decision)


def test_its_rollout_is_awaited() -> None:
    second, gateway = after(beside(watcher()), watcher(), gateway_of())
    decision = beside(rolled_out(second, available=0), gateway=rolled_out(gateway))
    assert condition(decision.status, "GatewayConfigured") == ("False", "GatewayRollingOut")
    assert WATCHER in message(decision)
    assert decision.status is not None
    (entry,) = decision.status["gateway"]["alsoConfigured"]
    assert entry["state"] == "GatewayRollingOut"


def test_the_container_named_like_the_gateways_is_meant_else_the_only_one() -> None:
    several = watcher(container("side", "x"), container("gateway-plugin", "team/reader:1"))
    (second,) = after(beside(several), several)
    bodies = second["spec"]["template"]["spec"]["containers"]
    assert ["env" in body for body in bodies] == [False, True]


@pytest.mark.parametrize(
    ("bodies", "reason", "words"),
    [
        ((), "GatewayNotFound", "spec.gateway.alsoConfigure"),
        (
            (watcher(container("one", "x"), container("two", "y")),),
            "GatewayContainerNotFound",
            "one, two",
        ),
        (
            (
                watcher(
                    container(
                        "one",
                        "x",
                        env=[
                            {
                                "name": "AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE",
                                "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
                            }
                        ],
                    )
                ),
            ),
            "GatewayVariableReferenced",
            WATCHER,
        ),
    ],
)
def test_where_one_cannot_be_configured_none_is(
    bodies: tuple[Json, ...], reason: str, words: str
) -> None:
    decision = beside(*bodies)
    assert decision.actions == ()
    assert condition(decision.status, "GatewayConfigured") == ("False", reason)
    assert words in message(decision)


def test_each_needs_the_operators_leave() -> None:
    one, verdict = working()
    decision = decided(
        one,
        verdicts=[verdict],
        spec=spec_of(**BESIDE),
        gateway=gateway_of(),
        also={WATCHER: watcher()},
        forbidden=[WATCHER],
    )
    assert decision.actions == ()
    assert condition(decision.status, "GatewayConfigured") == ("False", "GatewayNotPermitted")
    assert WATCHER in message(decision)


@pytest.mark.parametrize("name", ["aibrix-controller-manager", "release-metadata-service"])
def test_the_control_plane_is_refused_by_name_whoever_permits_it(name: str) -> None:
    body = watcher()
    body["metadata"]["name"] = name
    decision = beside(also={name: body})
    assert decision.actions == ()
    assert condition(decision.status, "GatewayConfigured") == ("False", "GatewayNotPermitted")
    assert f"{name} is never configured" in message(decision)


def test_one_that_is_not_named_any_more_is_restored() -> None:
    second, gateway = after(beside(watcher()), watcher(), gateway_of())
    decision = passed(gateway=rolled_out(gateway), strays=[second])
    assert done_to(decision) == [("GatewayRestored", WATCHER)]
    (restored,) = after(decision, second)
    assert restored["spec"] == watcher()["spec"]


def test_retained_all_keep_their_settings() -> None:
    second, gateway = after(beside(watcher()), watcher(), gateway_of())
    decision = decided(
        sync=sync_of(deleted=timestamp(NOW - 1)),
        spec=spec_of(deletionPolicy="Retain", **BESIDE),
        gateway=gateway,
        also={WATCHER: second},
    )
    kept = after(
        Decision(actions=tuple(a for a in decision.actions if a.reason == "Retained")),
        second,
        gateway,
    )
    assert [body["spec"] for body in kept] == [second["spec"], gateway["spec"]]
    assert [owners_of(Deployment(body)) for body in kept] == [(), ()]
