"""What an object may have done to gateways, whatever its author writes into it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.gateway_access import GatewayGrant, Labelled, parse_grant
from kvsync.model.observed import KVEventSync, Observed
from kvsync.model.spec import KVEventSyncSpec
from kvsync.shell.settings import Settings
from kvsync.shell.world import Heard, World

Json = dict[str, Any]

GATEWAY = ("aibrix-system", "aibrix-gateway-plugins")
MARK = "kvsync.aibrix.ai/owners"
YES, NO, UNKNOWN = Labelled(True), Labelled(False), Labelled(None, "not permitted")


def deployment(name: str, namespace: str, *owners: str, **metadata: Any) -> Json:
    annotations = {MARK: ",".join(owners)} if owners else {}
    made = {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}", **metadata}
    spec: Json = {"template": {"spec": {"containers": []}}}
    return {"metadata": {**made, "resourceVersion": "1", "annotations": annotations}, "spec": spec}


def sync(*, deleted: bool = False, paused: bool = False, **gateway: Any) -> Json:
    metadata: Json = {"name": "kv", "namespace": "team", "uid": "uid"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    spec = {"models": {"names": ["m"]}, "gateway": gateway, "paused": paused}
    return {"metadata": metadata, "spec": spec}


def observed(
    body: Json,
    *deployments: Json,
    labelled: Labelled = NO,
    grants: tuple[str, ...] = ("aibrix-system/aibrix-gateway-plugins",),
    own: str = "",
) -> Observed:
    settings = Settings(gateways=tuple(map(parse_grant, grants)), operator_namespace=own)
    known = {(d["metadata"]["namespace"], d["metadata"]["name"]): d for d in deployments}
    world = World(settings, known, {}, label_of=lambda _: labelled)
    spec = KVEventSyncSpec.from_manifest(body["spec"])
    return world.observe(KVEventSync(body), spec, Heard({}, {}, {}), now=0.0)


def held(seen: Observed) -> tuple[list[str], list[str]]:
    return [d.name for d in seen.strays], [d.name for d in seen.revoked]


def ours(*owners: str) -> Json:
    return deployment(GATEWAY[1], GATEWAY[0], *owners)


def test_a_labelled_namespace_sees_its_gateway() -> None:
    seen = observed(sync(), ours(), labelled=YES)
    assert seen.gateway.permitted
    assert seen.gateway.deployment is not None
    assert seen.gateway.denial == ""


@pytest.mark.parametrize("labelled", [NO, UNKNOWN])
def test_one_that_may_not_is_not_even_shown(labelled: Labelled) -> None:
    seen = observed(sync(), ours(), labelled=labelled)
    assert not seen.gateway.permitted
    assert seen.gateway.deployment is None
    assert "namespace team" in seen.gateway.denial
    assert held(seen) == ([], [])


def test_a_model_of_another_tenant_is_no_gateway_even_for_a_labelled_namespace() -> None:
    victim = deployment("model", "victim", "team/kv")
    seen = observed(sync(namespace="victim", deployment="model"), victim, labelled=YES)
    assert not seen.gateway.permitted
    assert "do not name Deployment victim/model as a gateway" in seen.gateway.denial
    assert held(seen) == ([], [])


def test_a_mark_forged_on_a_deployment_of_ones_own_keeps_nobody_busy() -> None:
    forged = deployment("decoy", "attacker", "team/kv")
    assert held(observed(sync(), forged, ours(), labelled=YES)) == ([], [])
    assert held(observed(sync(deleted=True), forged, labelled=YES)) == ([], [])


def test_what_it_holds_is_taken_back_when_the_label_goes() -> None:
    assert held(observed(sync(), ours("team/kv"), labelled=YES)) == ([], [])
    assert held(observed(sync(), ours("team/kv"), labelled=NO)) == ([], [GATEWAY[1]])
    assert held(observed(sync(), ours("other/kv"), labelled=NO)) == ([], [])


def test_what_is_not_known_takes_nothing_back_until_the_object_goes() -> None:
    assert held(observed(sync(), ours("team/kv"), labelled=UNKNOWN)) == ([], [])
    leaving = sync(deleted=True)
    assert held(observed(leaving, ours("team/kv"), labelled=UNKNOWN)) == ([], [GATEWAY[1]])


def test_an_object_that_names_another_gateway_or_none_gives_back_what_it_holds() -> None:
    for labelled in (YES, UNKNOWN):
        named = observed(sync(deployment="other"), ours("team/kv"), labelled=labelled)
        assert held(named) == ([GATEWAY[1]], []), labelled
    unmanaged = observed(sync(manage=False), ours("team/kv"), labelled=YES)
    assert held(unmanaged) == ([], []), "it is shown, and the decision sees to it"
    assert unmanaged.gateway.deployment is not None
    hidden = observed(sync(manage=False), ours("team/kv"), labelled=UNKNOWN)
    assert held(hidden) == ([GATEWAY[1]], [])


def test_naming_another_gateway_does_not_keep_one_that_was_taken_back() -> None:
    for body in (sync(deployment="other"), sync(manage=False), sync(paused=True)):
        assert held(observed(body, ours("team/kv"))) == ([], [GATEWAY[1]])


def test_the_fields_of_a_gateway_that_was_taken_back_are_owed_to_its_owner() -> None:
    entry = {"manager": "kvsync-operator", "operation": "Update", "fieldsV1": {"f:spec": {}}}
    owed = deployment(GATEWAY[1], GATEWAY[0], managedFields=[entry])
    assert held(observed(sync(), owed)) == ([], [GATEWAY[1]])
    assert held(observed(sync(), ours())) == ([], [])
    in_use = deployment(GATEWAY[1], GATEWAY[0], "other/kv", managedFields=[entry])
    assert held(observed(sync(), in_use)) == ([], [])


def test_the_fields_of_a_gateway_that_nobody_names_any_more_are_given_back_by_who_looks() -> None:
    entry = {"manager": "kvsync-operator", "operation": "Update", "fieldsV1": {"f:spec": {}}}
    owed = deployment(GATEWAY[1], GATEWAY[0], managedFields=[entry])
    elsewhere = sync(namespace=GATEWAY[0], deployment="another")
    assert held(observed(elsewhere, owed, labelled=YES)) == ([GATEWAY[1]], [])
    assert held(observed(elsewhere, ours(), labelled=YES)) == ([], [])


def test_what_is_configured_beside_the_gateway_is_held_and_taken_back_like_it() -> None:
    watcher = ("aibrix-system/kvcache-watcher",)
    both = (ours("team/kv"), deployment("kvcache-watcher", GATEWAY[0], "team/kv"))
    beside = sync(alsoConfigure=["kvcache-watcher"])
    grants = ("aibrix-system/aibrix-gateway-plugins", *watcher)
    assert held(observed(beside, *both, labelled=YES, grants=grants)) == ([], [])
    assert held(observed(sync(), *both, labelled=YES, grants=grants)) == (["kvcache-watcher"], [])
    names = [GATEWAY[1], "kvcache-watcher"]
    assert held(observed(beside, *both, labelled=NO, grants=grants)) == ([], names)


def test_our_own_mark_is_seen_before_the_watch_tells_of_it() -> None:
    body = sync()
    world = World(Settings(), {GATEWAY: ours()}, {}, label_of=lambda _: NO)
    marked = ours("team/kv")
    marked["metadata"]["resourceVersion"] = "2"
    world.note_written("Deployment", marked)
    spec = KVEventSyncSpec.from_manifest(body["spec"])
    seen = world.observe(KVEventSync(body), spec, Heard({}, {}, {}), now=0.0)
    assert held(seen) == ([], [GATEWAY[1]])


def test_gateways_of_other_namespaces_are_watched_with_the_served_ones() -> None:
    assert Settings().watched is None
    grants = (GatewayGrant("aibrix-system", "gw"), GatewayGrant("aibrix-*", "gw"))
    assert Settings(namespaces=("team",), gateways=grants).watched == ("aibrix-system", "team")


NAMES = st.sampled_from(["aibrix-system", "victim", "team", "kvsync-system"])
WORDS = st.sampled_from(["aibrix-gateway-plugins", "model", "gw"])


@given(
    place=st.tuples(NAMES, WORDS),
    manage=st.booleans(),
    paused=st.booleans(),
    deleted=st.booleans(),
    marks=st.dictionaries(
        st.tuples(NAMES, WORDS), st.sampled_from([(), ("team/kv",), ("x/y", "team/kv")])
    ),
    labelled=st.sampled_from([NO, UNKNOWN]),
)
def test_from_a_namespace_that_may_not_only_ones_own_mark_is_ever_taken_off_a_gateway(
    place: tuple[str, str],
    manage: bool,
    paused: bool,
    deleted: bool,
    marks: dict[tuple[str, str], tuple[str, ...]],
    labelled: Labelled,
) -> None:
    """Whatever stands in the object, and whatever is written on Deployments of others."""
    body = sync(namespace=place[0], deployment=place[1], manage=manage, paused=paused)
    if deleted:
        body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    deployments = [deployment(name, where, *owners) for (where, name), owners in marks.items()]
    seen = observed(body, *deployments, labelled=labelled, own="kvsync-system")
    assert not seen.gateway.permitted
    assert seen.gateway.deployment is None
    for each in (*seen.strays, *seen.revoked):
        assert (each.namespace, each.name) == GATEWAY
        assert "team/kv" in marks[GATEWAY]


class NotWalked(dict[tuple[str, str], Json]):
    """Deployments of a cluster with too many to go through in each pass."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        raise AssertionError("all Deployments of the cluster were gone through")


def test_named_gateways_are_looked_up_and_no_other_deployment_is_looked_at() -> None:
    named = (parse_grant("aibrix-system/*"), parse_grant("aibrix-system/aibrix-gateway-plugins"))
    known = {GATEWAY: ours("team/kv"), ("team", "m"): deployment("m", "team", "team/kv")}
    world = World(Settings(gateways=named[1:]), NotWalked(known), {}, label_of=lambda _: YES)
    assert [gateway.name for gateway in world.marked()] == [GATEWAY[1]]
    # What a pattern means is only found by looking at all.
    world = World(Settings(gateways=named), known, {}, label_of=lambda _: YES)
    assert [gateway.name for gateway in world.marked()] == [GATEWAY[1]]
