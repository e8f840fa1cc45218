"""When an object's models get a NetworkPolicy, what it is like, and when it goes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import OWNER, TEMPLATES, Json, deployment, spec_of
from core.scenes import (
    applied,
    configured,
    decided,
    done_to,
    gateway_of,
    gateway_turned_on,
    model,
    observe,
    pod_of,
    rolled_out,
    sync_of,
    working,
)
from core.test_network_policy import OTHERS
from kvsync.core.decide import decide
from kvsync.model.decision import Action, Decision, Kind
from kvsync.model.network import ADDS, ADDS_LABEL, NetworkPolicy, ObservedNetwork, Peer
from kvsync.model.observed import ObservedModel
from kvsync.model.source import Verdict
from kvsync.model.storm import StormService
from model.storms import role, router, storm

OPERATOR = Peer("kvsync-system", {"matchLabels": {"app.kubernetes.io/name": "kvsync-operator"}})
GATEWAY_SELECTOR = {"matchLabels": {"app": "aibrix-gateway-plugins"}}


def live(body: Mapping[str, Any]) -> NetworkPolicy:
    """As the API server would have kept it."""
    return NetworkPolicy({**body, "metadata": {**body["metadata"], "uid": "uid-of-policy"}})


def other(
    name: str = "deny", selector: Json | None = None, labels: Json | None = None
) -> NetworkPolicy:
    """One of somebody else, that lets nothing in."""
    metadata: Json = {"name": name, "namespace": "default", "uid": f"uid-of-{name}"}
    metadata["labels"] = labels or {}
    return NetworkPolicy({"metadata": metadata, "spec": {"podSelector": selector or {}}})


def look(
    one: ObservedModel,
    *policies: NetworkPolicy,
    operator: Peer | None = OPERATOR,
    gateway: Json | None = None,
    verdicts: Sequence[Verdict] = (),
    **picture: Any,
) -> Decision:
    seen = observe(one, gateway=gateway or gateway_of(), verdicts=verdicts, **picture)
    return decide(replace(seen, network=ObservedNetwork(operator, policies)), TEMPLATES)


def policies_of(decision: Decision) -> list[Action]:
    return [action for action in decision.actions if action.kind is Kind.NETWORK_POLICY]


def made(decision: Decision) -> Mapping[str, Any]:
    (action,) = policies_of(decision)
    assert action.body is not None
    return action.body


def notes(decision: Decision) -> list[str]:
    assert decision.status is not None
    found: list[str] = decision.status["models"][0].get("notes", [])
    return found


def test_none_is_kept_unless_it_is_asked_for() -> None:
    assert not policies_of(decided(model(rolled_out(deployment())), gateway=gateway_of()))


def test_the_policy_stands_before_the_pods_that_publish() -> None:
    decision = look(model(rolled_out(deployment())))
    assert done_to(decision) == [("Isolated", "kvsync-model"), ("Configured", "model")]
    assert not decision.actions[0].restarts


def test_it_lets_gateway_and_operator_in_and_goes_with_its_object() -> None:
    body = made(look(model(rolled_out(deployment()))))
    assert body["spec"]["podSelector"] == {"matchLabels": {"app": "model"}}
    events, rest = body["spec"]["ingress"]
    assert [each["port"] for each in events["ports"]] == [5557, 5558]
    places = [peer["namespaceSelector"]["matchLabels"] for peer in events["from"]]
    assert [each["kubernetes.io/metadata.name"] for each in places] == [
        "aibrix-system",
        "kvsync-system",
    ]
    assert events["from"][0]["podSelector"] == GATEWAY_SELECTOR
    assert "from" not in rest
    (reference,) = body["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"]) == ("KVEventSync", OWNER.uid)
    assert "blockOwnerDeletion" not in reference


def test_at_rest_nothing_is_written() -> None:
    one, verdict = working()
    standing = live(made(look(one)))
    decision = look(one, standing, gateway=gateway_turned_on(), verdicts=[verdict])
    assert decision.actions == ()


def test_an_edit_of_it_is_set_right_and_other_labels_stay() -> None:
    one, _ = working()
    body = made(look(one))
    metadata = {**body["metadata"], "labels": {**body["metadata"]["labels"], "team": "a"}}
    edited = live({**body, "metadata": metadata, "spec": {**body["spec"], "ingress": [{}]}})
    (action,) = policies_of(look(one, edited))
    assert action.reason == "IsolationChanged"
    after = applied(edited.body, action)
    assert after["spec"] == body["spec"]
    assert after["metadata"]["labels"]["team"] == "a"
    assert action.operations[0] == {"op": "test", "path": "/metadata/uid", "value": "uid-of-policy"}


def test_a_moved_gateway_is_followed() -> None:
    one, _ = working()
    standing = live(made(look(one)))
    moved = gateway_of()
    moved["spec"]["selector"] = {"matchLabels": {"app": "new"}}
    (action,) = policies_of(look(one, standing, gateway=moved))
    readers = applied(standing.body, action)["spec"]["ingress"][0]["from"]
    assert readers[0]["podSelector"] == {"matchLabels": {"app": "new"}}


def test_a_paused_object_writes_none() -> None:
    assert not look(model(rolled_out(deployment())), spec=spec_of(paused=True)).actions


def test_the_ports_of_before_stay_open_to_the_readers_until_all_pods_are_new() -> None:
    one, _ = working()
    standing = live(made(look(one)))
    spec = spec_of(events={"port": 6000, "replayPort": 6001})
    (widened,) = policies_of(look(one, standing, spec=spec))
    after = live(applied(standing.body, widened))
    ports = [each["port"] for each in after.body["spec"]["ingress"][0]["ports"]]
    assert ports == [5557, 5558, 6000, 6001]
    moved = rolled_out(configured(spec=spec))
    (narrowed,) = policies_of(look(model(moved, pod_of(moved)), after, spec=spec))
    ports = applied(after.body, narrowed)["spec"]["ingress"][0]["ports"]
    assert [each["port"] for each in ports] == [6000, 6001]


def test_a_relay_is_told_its_budget_by_the_operator_alone() -> None:
    spec = spec_of(events={"relay": {"mode": "Always"}})
    events, control, rest = made(look(model(rolled_out(deployment())), spec=spec))["spec"][
        "ingress"
    ]
    assert [each["port"] for each in events["ports"]] == [5557, 5558]
    assert ([each["port"] for each in control["ports"]], control["from"]) == (
        [5656],
        [OPERATOR.body],
    )
    assert "from" not in rest


def test_every_rank_has_its_ports_in_it() -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["command"] += ["--data-parallel-size=3"]
    rules = made(look(model(rolled_out(body))))["spec"]["ingress"]
    ports = [each["port"] for each in rules[0]["ports"]]
    assert ports[:3] == [5557, 5558, 5559]
    assert len(ports) == 6


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ({"operator": None}, "--operator-labels"),
        ({"spec": spec_of(gateway={"manage": False})}, "spec.gateway.manage is false"),
        ({"permitted": False}, "is not seen"),
    ],
)
def test_where_readers_are_not_known_it_says_so_and_writes_none(
    picture: dict[str, Any], said: str
) -> None:
    one, verdict = working()
    decision = look(one, verdicts=[verdict], **picture)
    assert not policies_of(decision)
    assert any("No NetworkPolicy" in note and said in note for note in notes(decision))


def test_pods_on_their_nodes_network_are_said_to_be_out_of_reach() -> None:
    spec = spec_of(events={"port": 6000, "replayPort": 6001})
    decision = look(model(rolled_out(deployment(hostNetwork=True))), spec=spec)
    assert ("Configured", "model") in done_to(decision)
    assert not policies_of(decision)
    assert any("hostNetwork" in note for note in notes(decision))


def test_a_gateway_on_its_nodes_network_is_not_shut_out() -> None:
    one, verdict = working()
    standing = live(made(look(one)))
    gateway = gateway_of()
    gateway["spec"]["template"]["spec"]["hostNetwork"] = True
    (action,) = policies_of(look(one, standing, gateway=gateway, verdicts=[verdict]))
    assert (action.reason, action.removes) == ("IsolationRemoved", "uid-of-policy")


def test_while_the_gateway_is_away_what_stands_stays() -> None:
    one, verdict = working()
    standing = live(made(look(one)))
    seen = observe(one, verdicts=[verdict])
    seen = replace(seen, network=ObservedNetwork(OPERATOR, (standing,)))
    assert not policies_of(decide(seen, TEMPLATES))


def test_beside_a_policy_that_restricts_the_pods_only_the_events_are_added() -> None:
    one, verdict = working()
    decision = look(one, other())
    assert len(made(decision)["spec"]["ingress"]) == 1
    standing = live(made(decision))
    quiet = look(one, other(), standing, gateway=gateway_turned_on(), verdicts=[verdict])
    assert quiet.actions == ()
    assert any("deny" in note and "only lets" in note for note in notes(quiet))


def test_when_the_other_policy_goes_all_the_rest_is_open_again() -> None:
    one, _ = working()
    standing = live(made(look(one, other())))
    (action,) = policies_of(look(one, standing))
    assert len(applied(standing.body, action)["spec"]["ingress"]) == 2


def test_a_policy_that_is_said_to_add_changes_nothing() -> None:
    one, _ = working()
    beside = other("scrape", labels={ADDS_LABEL: ADDS})
    assert made(look(one, beside)) == made(look(one))


def test_some_restricted_pods_are_left_alone_and_said() -> None:
    one, verdict = working()
    pod = one.pods[0]
    labels = {**pod.labels, "canary": "true"}
    metadata = {
        **pod.body["metadata"],
        "labels": labels,
        "uid": "uid-of-model-1",
        "name": "model-1",
    }
    canary = replace(pod, body={**pod.body, "metadata": metadata})
    one = replace(one, pods=(pod, canary), answers={**(one.answers or {})})
    decision = look(one, other(selector={"matchLabels": {"canary": "true"}}), verdicts=[verdict])
    assert not policies_of(decision)
    assert any("some of its pods" in note for note in notes(decision))


def test_somebody_elses_policy_of_the_name_is_not_touched() -> None:
    one, verdict = working()
    taken = other("kvsync-model", {"matchLabels": {"app": "else"}})
    decision = look(one, taken, verdicts=[verdict])
    assert not policies_of(decision)
    assert any("Rename that one" in note for note in notes(decision))


def test_the_policy_of_a_model_that_is_let_go_stays_until_it_is_undone() -> None:
    one, _ = working()
    standing = live(made(look(one)))
    leaving = replace(one, selected=False)
    assert not policies_of(look(leaving, standing))
    free = replace(leaving, deployment=None)
    (action,) = policies_of(look(free, standing))
    assert action.reason == "IsolationRemoved"


def test_the_policy_of_another_object_is_taken_over_with_its_model() -> None:
    one, _ = working()
    body = made(look(one))
    (reference,) = body["metadata"]["ownerReferences"]
    theirs = {**reference, "name": "before", "uid": "uid-of-before"}
    standing = live({**body, "metadata": {**body["metadata"], "ownerReferences": [theirs]}})
    (action,) = policies_of(look(one, standing))
    assert applied(standing.body, action)["metadata"]["ownerReferences"] == [reference]


def test_policies_of_others_are_never_removed() -> None:
    gone = model(None, name="model")
    body = made(look(working()[0]))
    (reference,) = body["metadata"]["ownerReferences"]
    theirs = {**reference, "uid": "uid-of-another"}
    standing = live({**body, "metadata": {**body["metadata"], "ownerReferences": [theirs]}})
    assert not policies_of(look(gone, standing, other()))


def test_on_the_way_out_it_goes_with_the_object_and_holds_nothing_up() -> None:
    one, _ = working()
    standing = live(made(look(one)))
    leaving = look(one, standing, sync=sync_of(deleted="1970-01-01T02:46:40Z"))
    assert not policies_of(leaving)


def test_each_role_that_runs_an_engine_has_its_own() -> None:
    body = storm(role("prefill"), role("decode"), router())
    service = StormService(body)
    one = ObservedModel(service.model, True, service, (), {})
    spec = spec_of(models={"names": ["pd"]})
    actions = policies_of(look(one, spec=spec))
    selectors = [action.body["spec"]["podSelector"] for action in actions if action.body]
    assert selectors == [
        {"matchLabels": {"storm-service-name": "pd", "role-name": name}}
        for name in ("prefill", "decode")
    ]
    assert len({action.name for action in actions}) == 2


def test_an_own_policy_on_one_role_restricts_that_one_alone() -> None:
    body = storm(role("prefill"), role("decode"))
    service = StormService(body)
    one = ObservedModel(service.model, True, service, (), {})
    deny = other(selector={"matchLabels": {"role-name": "decode"}})
    actions = policies_of(look(one, deny, spec=spec_of(models={"names": ["pd"]})))
    rules = [len(action.body["spec"]["ingress"]) for action in actions if action.body]
    assert rules == [2, 1]


@given(OTHERS, st.sampled_from(["", "Always"]))
def test_a_second_pass_writes_nothing_whatever_other_policies_there_are(
    others: list[Json], relay: str
) -> None:
    named = [
        NetworkPolicy({**body, "metadata": {**body["metadata"], "name": f"other-{number}"}})
        for number, body in enumerate(others)
    ]
    spec = spec_of(events={"relay": {"mode": relay or "Off"}})
    one = model(rolled_out(deployment()))
    for action in policies_of(look(one, *named, spec=spec)):
        assert action.body is not None
        named.append(live(action.body))
    assert not policies_of(look(one, *named, spec=spec))
