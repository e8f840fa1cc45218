"""The policy for a model's pods: who reaches what with it, whatever other policies there are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.network_rules import Source, gets_through, isolates, selects
from core.objects import OWNER, Json, deployment
from kvsync.core.network_policy import (
    Footing,
    Guarded,
    footing,
    guarded_ports,
    policy_for,
    policy_name,
    restrictions,
)
from kvsync.model.network import ADDS, ADDS_LABEL, NetworkPolicy, Peer
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment
from model.storms import storm

GATEWAY = Source("aibrix-system", {"app": "gateway-plugins", "pod-template-hash": "1"})
OPERATOR = Source("kvsync-system", {"app.kubernetes.io/name": "kvsync-operator"})
READERS = [Peer("aibrix-system", {"matchLabels": {"app": "gateway-plugins"}})]
OPERATOR_PEER = Peer("kvsync-system", {"matchLabels": dict(OPERATOR.labels)})
STRANGERS = (
    Source("default", {"app": "model"}),
    Source("default", {"team": "a"}),
    Source("aibrix-system", {"app": "redis"}),
    Source("kvsync-system", {"app": "gateway-plugins"}),
    Source("elsewhere", dict(OPERATOR.labels)),
)
SOURCES = (GATEWAY, OPERATOR, *STRANGERS)
PODS = {"matchLabels": {"app": "model"}}

PORTS = st.integers(1, 65535)
GUARDED = st.builds(
    Guarded,
    pods=st.just(PODS),
    events=st.frozensets(PORTS, min_size=1, max_size=6),
    control=st.frozensets(PORTS, max_size=1),
    declared=st.frozensets(PORTS, max_size=3),
)
EXPRESSIONS = st.sampled_from(
    [
        {"key": "team", "operator": "Exists"},
        {"key": "team", "operator": "DoesNotExist"},
        {"key": "team", "operator": "In", "values": ["a", "b"]},
        {"key": "team", "operator": "NotIn", "values": ["a"]},
    ]
)
SELECTORS: st.SearchStrategy[Json] = st.one_of(
    st.just({}),
    st.sampled_from([{"app": "model"}, {"app": "other"}, {"team": "a"}]).map(
        lambda labels: {"matchLabels": labels}
    ),
    st.lists(EXPRESSIONS, min_size=1, max_size=2).map(lambda found: {"matchExpressions": found}),
)
PEERS = st.one_of(
    SELECTORS.map(lambda found: {"podSelector": found}),
    st.sampled_from([source.namespace for source in SOURCES]).map(
        lambda name: {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    ),
)
ENTRIES = st.one_of(
    st.sampled_from([{"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "TCP", "port": 5557}]),
    st.tuples(PORTS, PORTS).map(
        lambda ends: {"protocol": "TCP", "port": min(ends), "endPort": max(ends)}
    ),
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "from": st.lists(PEERS, max_size=2),
        "ports": st.lists(ENTRIES, max_size=2),
    },
)
OTHERS = st.lists(
    st.builds(
        lambda selector, rules, types: {
            "metadata": {"name": "other", "namespace": "default", "uid": "u"},
            "spec": {"podSelector": selector, "ingress": rules, **types},
        },
        SELECTORS,
        st.lists(RULES, max_size=2),
        st.sampled_from([{}, {"policyTypes": ["Ingress"]}, {"policyTypes": ["Egress"]}]),
    ),
    max_size=3,
)
POD_LABELS = st.lists(
    st.sampled_from(
        [{"app": "model"}, {"app": "model", "team": "a"}, {"app": "model", "team": "c"}]
    ),
    min_size=1,
    max_size=3,
)


def ours(guarded: Guarded, where: Footing) -> Json:
    return policy_for("kvsync-model", OWNER, guarded, READERS, OPERATOR_PEER, where)


@given(GUARDED, OTHERS, POD_LABELS, st.data())
def test_readers_reach_the_events_nobody_else_does_and_all_the_rest_is_as_it_was(
    guarded: Guarded, others: list[Json], pods: list[Json], data: st.DataObject
) -> None:
    where = footing(pods, restrictions(map(NetworkPolicy, others)))
    if where is Footing.MIXED:
        return  # nothing is written then: see test_isolation
    policies = [*others, ours(guarded, where)]
    closed = guarded.events | guarded.control
    near = sorted({p + step for p in closed for step in (-1, 0, 1)} & {*range(1, 65536)})
    ports = {*near, 1, 65535, data.draw(PORTS), *guarded.declared}
    for pod in pods:
        for source in SOURCES:
            for port in ports:
                before = gets_through(others, "default", pod, source, port)
                after = gets_through(policies, "default", pod, source, port)
                assert after is intended(guarded, where, source, port, before=before)
            for protocol in ("UDP", "SCTP"):
                before = gets_through(others, "default", pod, source, 5557, protocol)
                assert gets_through(policies, "default", pod, source, 5557, protocol) is before


def intended(guarded: Guarded, where: Footing, source: Source, port: int, *, before: bool) -> bool:
    readers = (GATEWAY, OPERATOR)
    if port in guarded.events and source in readers:
        return True
    if port in guarded.control and source is OPERATOR:
        return True
    closed = port in guarded.events | guarded.control
    # What another policy lets in, no policy can shut out.
    return before if not closed or where is Footing.RESTRICTED else False


@given(OTHERS, POD_LABELS)
def test_the_footing_is_what_the_policies_really_do(others: list[Json], pods: list[Json]) -> None:
    found = {
        any(isolates(p) and selects(p["spec"]["podSelector"], pod) for p in others) for pod in pods
    }
    expected = {
        frozenset({True}): Footing.RESTRICTED,
        frozenset({False}): Footing.OPEN,
    }.get(frozenset(found), Footing.MIXED)
    assert footing(pods, restrictions(map(NetworkPolicy, others))) is expected


def test_a_policy_that_is_said_to_add_is_no_restriction() -> None:
    adds = {
        "metadata": {"name": "scrape", "labels": {ADDS_LABEL: ADDS}},
        "spec": {
            "podSelector": {},
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"team": "a"}}}],
                    "ports": [{"protocol": "TCP", "port": 5656}],
                }
            ],
        },
    }
    guarded = Guarded(PODS, frozenset({5557, 5558}), frozenset({5656}), frozenset())
    pod = {"app": "model"}
    where = footing([pod], restrictions([NetworkPolicy(adds)]))
    assert where is Footing.OPEN
    policies = [adds, ours(guarded, where)]
    assert gets_through(policies, "default", pod, STRANGERS[1], 5656)
    assert not gets_through(policies, "default", pod, STRANGERS[0], 5656)
    assert gets_through(policies, "default", pod, STRANGERS[0], 8000)
    assert not gets_through(policies, "default", pod, STRANGERS[1], 5557)


def test_policies_of_ours_restrict_nothing() -> None:
    guarded = Guarded(PODS, frozenset({5557}), frozenset(), frozenset())
    standing = NetworkPolicy(ours(guarded, Footing.OPEN))
    assert footing([{"app": "model"}], restrictions([standing])) is Footing.OPEN
    assert guarded_ports(standing) == {5557}


def test_a_selector_that_cannot_be_read_suits_nothing() -> None:
    unknown: dict[str, Any] = {
        "metadata": {"name": "new"},
        "spec": {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}},
    }
    assert footing([{"app": "model"}], restrictions([NetworkPolicy(unknown)])) is Footing.MIXED


@pytest.mark.parametrize(
    ("closed", "ranges"),
    [
        ({5557, 5558}, [(1, 5556), (5559, 65535)]),
        ({1, 65535}, [(2, 65534)]),
        ({5557, 5657}, [(1, 5556), (5558, 5656), (5658, 65535)]),
    ],
)
def test_the_rest_is_ranges_around_what_is_closed(
    closed: set[int], ranges: list[tuple[int, int]]
) -> None:
    guarded = Guarded(PODS, frozenset(closed), frozenset(), frozenset({8000}))
    rest = ours(guarded, Footing.OPEN)["spec"]["ingress"][-1]["ports"]
    assert [(each["port"], each["endPort"]) for each in rest if "endPort" in each] == ranges
    # For plugins that know no endPort the model's own port stands alone too.
    assert {"protocol": "TCP", "port": 8000} in rest


@given(st.lists(st.from_regex(r"\A[a-z]([a-z0-9.-]{0,250}[a-z0-9])?\Z"), min_size=2, unique=True))
def test_names_fit_and_never_meet(names: list[str]) -> None:
    templates = [Deployment(deployment(name=name)) for name in names]
    templates += [role for name in names for role in StormService(storm(name=name)).roles]
    made = [policy_name(template) for template in templates]
    assert max(map(len, made)) <= 253
    assert len({*made}) == len(made)


def test_a_name_tells_the_workload() -> None:
    assert policy_name(Deployment(deployment(name="llama"))) == "kvsync-llama"
    name = policy_name(StormService(storm()).roles[0])
    assert name.startswith("kvsync-pd-prefill-")
