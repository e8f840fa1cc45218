"""Several objects, one model: whose it is, and how it goes over without a restart."""

from dataclasses import replace
from typing import Any

import pytest

from core.objects import EVENTS_LABEL, OWNER, RECORD, TEMPLATES, Json, ask, deployment, spec_of
from core.scenes import (
    NOW,
    after_action,
    configured,
    decided,
    done_to,
    gateway_of,
    gateway_turned_on,
    model,
    observe,
    rolled_out,
    sync_of,
    working,
)
from kvsync.core.decide import decide
from kvsync.core.gateway import OWNERS_ANNOTATION
from kvsync.core.moment import timestamp
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.revert import record_of
from kvsync.model.decision import Decision
from kvsync.model.observed import FINALIZER, KVEventSync, ObservedModel, Rival
from kvsync.model.record import OWNER_ANNOTATION, Owner
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment
from model.storms import storm

OTHER = Owner("default", "other", "uid-of-other")
GATEWAY = ("aibrix-system", "aibrix-gateway-plugins")


def rival(created: float = NOW, **fields: Any) -> Rival:
    return Rival(
        OTHER, timestamp(created), **{"held": True, "gateways": frozenset({GATEWAY}), **fields}
    )


def with_rival(one: ObservedModel, *rivals: Rival) -> ObservedModel:
    return replace(one, rivals=rivals)


def sync(created: float = NOW, **fields: Any) -> KVEventSync:
    body = sync_of(**fields).body
    return KVEventSync(
        {**body, "metadata": {**body["metadata"], "creationTimestamp": timestamp(created)}}
    )


def marked(body: Json, owner: Owner) -> Json:
    annotations = {**body["metadata"].get("annotations", {}), OWNER_ANNOTATION: str(owner)}
    return {**body, "metadata": {**body["metadata"], "annotations": annotations}}


def reason(decision: Decision) -> str:
    assert decision.status is not None
    return str(decision.status["models"][0]["reason"])


def message(decision: Decision) -> str:
    assert decision.status is not None
    return str(decision.status["models"][0]["message"])


# Whose it is.


@pytest.mark.parametrize(
    ("own", "others", "paused", "ours"),
    [
        (NOW, NOW + 1, False, True),
        (NOW, NOW - 1, False, False),
        (NOW, NOW, False, False),  # of the same second: "other" is before "sync"
        (NOW, NOW + 1, True, False),  # a paused one stands back
    ],
)
def test_of_a_model_without_a_mark_the_older_object_is_the_owner(
    own: float, others: float, paused: bool, ours: bool
) -> None:
    plain = with_rival(model(rolled_out(deployment())), rival(others))
    decision = decided(plain, sync=sync(own), spec=spec_of(paused=paused))
    assert (reason(decision) == "OwnedByAnother") is not ours
    if not ours:
        assert "the oldest that is not paused gets it: KVEventSync default/other" in message(
            decision
        )
        assert "spec.models" in message(decision)


def test_both_see_it_the_same_way() -> None:
    plain, body = model(rolled_out(deployment())), sync(NOW)
    mirrored = Rival(OWNER, body.created, held=True)
    theirs = {**body.body["metadata"], "name": OTHER.name, "uid": OTHER.uid}
    here = reason(decided(with_rival(plain, rival(NOW)), sync=body))
    there = reason(decided(with_rival(plain, mirrored), sync=KVEventSync({"metadata": theirs})))
    assert {here, there} == {"OwnedByAnother", "WaitingForTurn"}


def test_whoever_has_it_keeps_it_though_another_is_older() -> None:
    one, verdict = working()
    held = decided(with_rival(one, rival(NOW - 100)), sync=sync(NOW), verdicts=[verdict])
    assert (reason(held), held.actions) == ("Verified", ())
    theirs = model(marked(rolled_out(configured()), OTHER))
    refused = decided(with_rival(theirs, rival(NOW + 100)), sync=sync(NOW))
    assert (reason(refused), refused.actions) == ("OwnedByAnother", ())
    assert "is configured by KVEventSync default/other" in message(refused)


def test_a_mark_of_an_object_that_is_gone_counts_for_nothing() -> None:
    left = model(marked(rolled_out(configured()), OTHER))
    picture = replace(observe(left, sync=sync()), living=frozenset({OWNER.uid}))
    assert done_to(decide(picture, TEMPLATES)) == [("Configured", "model")]


def test_who_may_be_handed_a_model_is_held_before() -> None:
    theirs = model(marked(rolled_out(configured()), OTHER))
    decision = decided(theirs, sync=sync(finalizers=()))
    assert done_to(decision) == [("Finalizer", "sync")]
    assert decided(theirs, sync=sync(finalizers=()), spec=spec_of(paused=True)).actions == ()


# How it goes over.


def leaving(one: ObservedModel, **picture: Any) -> Decision:
    return decided(one, sync=sync(deleted=timestamp(NOW - 1)), **picture)


def assert_handed_over(decision: Decision, live: Json) -> Json:
    after = after_action(decision, live)
    assert after["spec"] == live["spec"], "no pod restarts"
    assert after["metadata"]["annotations"][OWNER_ANNOTATION] == str(OTHER)
    before, record = record_of(Deployment(live)), record_of(Deployment(after))
    assert before is not None
    assert record == replace(before, at=int(NOW)), "what stood there before is known on"
    return after


def test_on_the_way_out_it_goes_to_the_next_object_that_wants_it() -> None:
    live = rolled_out(configured())
    decision = leaving(with_rival(model(live), rival()))
    assert done_to(decision) == [("HandedOver", "model")]
    after = assert_handed_over(decision, live)
    assert done_to(leaving(model(after))) == [("Finalizer", "sync")]


def test_who_does_not_select_it_any_more_hands_it_over() -> None:
    live = rolled_out(configured())
    decision = decided(with_rival(model(live, selected=False), rival()), sync=sync())
    assert done_to(decision) == [("HandedOver", "model")]
    assert_handed_over(decision, live)


def test_the_heir_finds_all_in_place_or_makes_one_change() -> None:
    live = rolled_out(configured())
    after = after_action(leaving(with_rival(model(live), rival())), live)
    heir = KVEventSync(
        {"metadata": {**sync().body["metadata"], "name": OTHER.name, "uid": OTHER.uid}}
    )
    same = decided(model(rolled_out(after)), sync=heir)
    assert (same.actions, reason(same)) == ((), "Verifying")
    other = decided(model(rolled_out(after)), sync=heir, spec=spec_of(events={"topic": "mine"}))
    assert done_to(other) == [("Configured", "model")]
    restored = decided(
        model(rolled_out(after)),
        sync=KVEventSync(
            {"metadata": {**heir.body["metadata"], "deletionTimestamp": timestamp(NOW)}}
        ),
    )
    assert after_action(restored, rolled_out(after))["spec"] == deployment()["spec"]


def test_who_is_not_held_by_us_inherits_nothing() -> None:
    live = rolled_out(configured())
    decision = leaving(with_rival(model(live), rival(held=False)))
    assert done_to(decision) == [("Reverted", "model")]
    heir = rival(NOW + 9, held=True)
    first = leaving(with_rival(model(live), rival(held=False), heir))
    assert done_to(first) == [("HandedOver", "model")]


def test_with_retain_it_is_left_and_the_next_one_adopts_it() -> None:
    live = rolled_out(configured())
    spec = spec_of(deletionPolicy="Retain")
    decision = leaving(with_rival(model(live), rival()), spec=spec)
    assert done_to(decision) == [("Retained", "model"), ("Finalizer", "sync")]


def test_a_rejection_is_handed_over_with_it() -> None:
    rejected = rolled_out(deployment())
    rejected["metadata"]["annotations"] = {
        OWNER_ANNOTATION: str(OWNER),
        "kvsync.aibrix.ai/rejected": '{"reason":"EngineCrashed","message":"x","fingerprint":"1"}',
    }
    after = after_action(leaving(with_rival(model(rejected), rival())), rejected)
    assert "kvsync.aibrix.ai/rejected" in after["metadata"]["annotations"]
    assert RECORD not in after["metadata"]["annotations"]


def test_a_storm_service_goes_over_with_all_its_records() -> None:

    plain = storm()
    live = apply(plain, plan(StormService(plain), ask()).patch)
    one = ObservedModel("stormservice/pd", True, StormService(live), rivals=(rival(),))
    decision = leaving(one)
    (action,) = decision.actions
    after = apply(live, [dict(o) for o in action.operations])
    assert after["spec"] == live["spec"]
    assert after["metadata"]["annotations"][OWNER_ANNOTATION] == str(OTHER)


# The gateway goes with it.


def test_the_gateway_is_kept_for_the_heir_and_does_not_restart() -> None:
    gateway, live = gateway_turned_on(), rolled_out(configured())
    decision = leaving(with_rival(model(live), rival()), gateway=gateway)
    assert done_to(decision) == [("HandedOver", GATEWAY[1])]
    kept = after_action(decision, gateway)
    assert kept["spec"] == gateway["spec"]
    assert kept["metadata"]["annotations"][OWNERS_ANNOTATION] == "default/other"
    then = leaving(with_rival(model(live), rival()), gateway=rolled_out(kept))
    assert done_to(then) == [("HandedOver", "model")]


def test_a_gateway_that_the_heir_does_not_want_is_given_back() -> None:
    gateway, live = gateway_turned_on(), rolled_out(configured())
    for wanted in ((), (("aibrix-system", "another"),)):
        other = rival(gateways=frozenset(wanted))
        decision = leaving(with_rival(model(live), other), gateway=gateway)
        assert done_to(decision) == [("GatewayRestored", GATEWAY[1])]
        assert after_action(decision, gateway)["spec"] == gateway_of()["spec"]


def test_where_the_heir_has_its_place_already_only_ours_goes() -> None:
    gateway, live = gateway_turned_on(), rolled_out(configured())
    gateway["metadata"]["annotations"][OWNERS_ANNOTATION] = "default/other,default/sync"
    decision = leaving(with_rival(model(live), rival()), gateway=gateway)
    after = after_action(decision, gateway)
    assert after["metadata"]["annotations"][OWNERS_ANNOTATION] == "default/other"
    assert after["spec"] == gateway["spec"]


def test_no_pod_of_the_model_was_ever_without_the_label() -> None:
    live = rolled_out(configured())
    after = after_action(leaving(with_rival(model(live), rival())), live)
    assert Deployment(after).template_labels[EVENTS_LABEL] == "true"
    assert FINALIZER in sync().finalizers
