"""What is asked next depends on what was found: a cluster of answers, half of them missing."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

import pytest

from kvsync.adapters.kube.resource import Resource
from kvsync.cli.examination.access import AT_ONCE, rights_facts
from kvsync.cli.examination.gather import Asked, gather
from kvsync.core.doctor.facts import (
    AdmissionFacts,
    CrdFacts,
    Facts,
    ObjectsFacts,
    OperatorFacts,
    RightsFacts,
    Unread,
)
from kvsync.core.rights import RIGHTS, Place, Spot
from kvsync.model.errors import ConnectionLost, Forbidden, NotFound, ServerError, Unauthorized

HOME = "ops"
USER = f"system:serviceaccount:{HOME}:sa"
OPERATOR = {
    "metadata": {"namespace": HOME, "name": "kvsync-operator"},
    "spec": {
        "selector": {"matchLabels": {"app": "o"}},
        "template": {
            "spec": {
                "serviceAccountName": "sa",
                "containers": [
                    {
                        "name": "operator",
                        "image": "kvsync-operator:0.1.0",
                        "args": ["run", "--namespace=team", "--gateway=edge/gw=team"],
                    }
                ],
            }
        },
    },
}


class Cluster:
    """Answers by resource; an exception in place of a list is raised."""

    host, namespace, pod_namespace = "https://api", "mine", ""

    def __init__(self, user: str = "me", **lists: Any) -> None:
        self.user = user
        self.lists = {"deployments": [OPERATOR], **lists}
        self.reviewed: list[Mapping[str, Any]] = []
        self.refuse_reviews: Exception | None = None
        self.version: Any = {"major": "1", "minor": "33+"}
        self.served: bool | Exception = True
        self.at_once = self.most_at_once = 0

    async def get_path(self, path: str) -> Any:
        if path == "/version":
            return _or_raise(self.version)
        raise ServerError("no openapi")

    async def serves(self, _resource: Resource) -> Any:
        return _or_raise(self.served)

    async def list(self, resource: Resource, namespace: str | None = None, **_: Any) -> Any:
        found = _or_raise(self.lists.get(resource.plural, []))
        return [b for b in found if namespace in (None, b["metadata"]["namespace"])]

    async def pages(self, resource: Resource, namespace: str | None, *_: Any) -> Any:
        yield {"items": await self.list(resource, namespace)}

    async def get(self, resource: Resource, _namespace: str, _name: str) -> Any:
        raise NotFound(f"{resource} not found")

    async def create(self, resource: Resource, _namespace: None, body: Mapping[str, Any]) -> Any:
        if resource.plural == "selfsubjectreviews":
            return {"status": {"userInfo": {"username": _or_raise(self.user)}}}
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.refuse_reviews is not None:
            raise self.refuse_reviews
        self.reviewed.append(body)
        return {"status": {"allowed": True}}


def _or_raise(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


async def gathered(cluster: Cluster, **asked: Any) -> Facts:
    return await gather(cluster, Asked(**{"timeout": 5.0, **asked}))  # type: ignore[arg-type]


async def test_the_operators_own_settings_decide_what_is_asked() -> None:
    cluster = Cluster()
    facts = await gathered(cluster)
    assert isinstance(facts.operator, OperatorFacts)
    assert isinstance(facts.rights, RightsFacts)
    assert (facts.rights.account, facts.rights.itself) == (f"{HOME}/sa", False)
    spots = {
        (each["resource"], each["namespace"], each["name"])
        for body in cluster.reviewed
        for each in [body["spec"]["resourceAttributes"]]
    }
    assert ("pods", "team", "") in spots
    assert ("deployments", "edge", "gw") in spots
    assert ("leases", HOME, "kvsync-operator") in spots
    assert not [spot for spot in spots if spot[0] == "namespaces"], "no label decides anything"
    assert {body["spec"]["user"] for body in cluster.reviewed} == {USER}
    assert [(g.namespace, g.name) for g in facts.gateways] == [("edge", "gw")]


async def test_only_the_operators_own_pods_are_counted() -> None:
    def pod(name: str, owner: str) -> dict[str, Any]:
        metadata = {"namespace": HOME, "name": name, "labels": {"pod-template-hash": "abc"}}
        references = [{"kind": "ReplicaSet", "name": owner}]
        return {"metadata": {**metadata, "ownerReferences": references}}

    pods = [pod("a", "kvsync-operator-abc"), pod("doctor", "somebody-abc")]
    facts = await gathered(Cluster(pods=pods))
    assert isinstance(facts.operator, OperatorFacts)
    assert [each.name for each in facts.operator.pods] == ["a"]


async def test_the_operator_asks_for_itself() -> None:
    cluster = Cluster(user=USER)
    facts = await gathered(cluster)
    assert isinstance(facts.rights, RightsFacts)
    assert facts.rights.itself
    assert {body["kind"] for body in cluster.reviewed} == {"SelfSubjectAccessReview"}


async def test_who_may_not_ask_for_another_is_told_so() -> None:
    cluster = Cluster()
    cluster.refuse_reviews = Forbidden("you may not")
    facts = await gathered(cluster)
    assert isinstance(facts.rights, Unread)
    assert facts.rights.forbidden


async def test_reviews_are_asked_a_few_at_a_time() -> None:
    cluster = Cluster()
    spots = {place: [Spot(f"n{i}", "x") for i in range(40)] for place in Place}
    facts = await rights_facts(cluster, "a/b", RIGHTS, spots, itself=True)  # type: ignore[arg-type]
    assert 1 < cluster.most_at_once <= AT_ONCE
    unasked = [each for each in facts.answers if each.allowed is None]
    assert len(facts.answers) - len(unasked) == 600
    assert {each.why for each in unasked} == {"there are too many"}


async def test_a_review_that_fails_is_one_that_is_not_known() -> None:
    cluster = Cluster()
    cluster.refuse_reviews = ConnectionLost("broken")
    facts = await gathered(cluster)
    assert isinstance(facts.rights, RightsFacts)
    assert {each.allowed for each in facts.rights.answers} == {None}


async def test_where_all_may_not_be_listed_it_is_the_operators_namespaces_or_the_current_one() -> (
    None
):
    class Narrow(Cluster):
        async def list(self, resource: Resource, namespace: str | None = None, **_: Any) -> Any:
            if namespace is None:
                raise Forbidden("not all")
            return await super().list(resource, namespace)

    (team,) = (await gathered(Narrow(), operator_namespace=HOME)).objects
    assert isinstance(team, ObjectsFacts)
    assert team.place == "namespace team"
    (mine,) = (await gathered(Narrow(deployments=[]))).objects
    assert isinstance(mine, ObjectsFacts)
    assert mine.place == "namespace mine"


async def test_without_the_crd_no_object_is_asked_for() -> None:
    cluster = Cluster()
    cluster.served = False
    facts = await gathered(cluster)
    assert isinstance(facts.crd, Unread)
    assert facts.crd.missing
    assert facts.objects == ()


async def test_a_name_that_is_not_there_is_missing() -> None:
    (found,) = (await gathered(Cluster(), name="kv", namespaces=("team",))).objects
    assert found == Unread("There is no KVEventSync kv in namespace team.", missing=True)


@pytest.mark.parametrize(
    ("version", "user"),
    [(ConnectionLost("refused"), "me"), ({"major": "1", "minor": "33"}, Unauthorized("expired"))],
)
async def test_without_access_nothing_else_is_asked(version: Any, user: Any) -> None:
    cluster = Cluster(user=user)
    cluster.version = version
    facts = await gathered(cluster)
    assert isinstance(facts.server, Unread)
    assert facts.objects == ()
    assert cluster.reviewed == []


async def test_who_may_not_read_the_release_is_still_served() -> None:
    cluster = Cluster()
    cluster.version = Forbidden("no")
    facts = await gathered(cluster)
    assert facts.server is None
    assert not isinstance(facts.crd, CrdFacts), "its schema is not published here"


def policy(name: str, kind: str = "KVEventSync") -> dict[str, Any]:
    param = {"apiVersion": "kvsync.aibrix.ai/v1alpha1", "kind": kind}
    return {"metadata": {"name": name, "namespace": None}, "spec": {"paramKind": param}}


def binding(name: str, policy: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": None}, "spec": {"policyName": policy}}


SYNC = {
    "metadata": {"namespace": "team", "name": "kv", "uid": "u"},
    "spec": {"mode": "Admission", "models": {"names": ["m"]}},
}


async def test_the_policy_is_looked_for_where_an_object_needs_one() -> None:
    policies = [policy("inject"), policy("unbound"), policy("other", "ConfigMap")]
    bindings = [binding("a", "inject"), binding("b", "other")]
    cluster = Cluster(
        kveventsyncs=[SYNC],
        mutatingadmissionpolicies=policies,
        mutatingadmissionpolicybindings=bindings,
    )
    facts = await gathered(cluster)
    wanted = AdmissionFacts("v1", ("inject", "unbound"), ("inject",), False, ("team/kv",))
    assert facts.admission == wanted
    assert (await gathered(Cluster())).admission is None, "nobody needs one"


async def test_what_may_not_be_listed_is_said_to_be_so_and_what_is_not_served_not_listed() -> None:
    cluster = Cluster(kveventsyncs=[SYNC], mutatingadmissionpolicies=Forbidden("no"))
    admission = (await gathered(cluster)).admission
    assert isinstance(admission, AdmissionFacts)
    assert isinstance(admission.policies, Unread)
    assert admission.policies.forbidden


async def test_an_operator_that_was_told_of_a_policy_is_held_to_it() -> None:
    told: Any = copy.deepcopy(OPERATOR)
    told["spec"]["template"]["spec"]["containers"][0]["args"].append("--admission-policy")
    facts = await gathered(Cluster(deployments=[told]))
    assert facts.admission == AdmissionFacts("v1", (), (), True, ())
