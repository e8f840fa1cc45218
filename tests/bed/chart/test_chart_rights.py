"""The roles that the chart renders are the operator's table of rights: nothing missing, nothing beyond."""

from __future__ import annotations

import pytest

from bed.chart.test_chart_rendered import rendered
from chart.granted import granted, missing, surplus
from chart.matrix import LISTED, Values, merged
from kvsync.core.rights import Grant, Place, Spot, Spots
from kvsync.shell.settings import DEFAULT_GATEWAYS

pytestmark = pytest.mark.bed

NAME = "rel-kvsync-operator"
SPOTS = {
    Place.SERVED: [Spot("")],
    Place.CLUSTER: [Spot("")],
    Place.OWN: [Spot("ops", NAME)],
    Place.GATEWAYS: [Spot(each.gateway_namespace, each.gateway) for each in DEFAULT_GATEWAYS],
}


def test_the_charts_roles_are_the_operators_rights() -> None:
    have = granted(rendered(), NAME)
    assert missing(have, SPOTS) == []
    assert surplus(have, SPOTS) == []


LISTED_SPOTS = {
    Place.SERVED: [Spot("team-a"), Spot("team-b")],
    Place.CLUSTER: [],
    Place.OWN: [Spot("ops", NAME)],
    Place.GATEWAYS: [
        Spot("aibrix-system", "aibrix-gateway-plugins"),
        Spot("aibrix-system", "kvcache-watcher"),
        Spot("edge", "gw.v2"),
    ],
}


def test_with_listed_namespaces_they_are_limited_to_these_and_to_the_gateways_by_name() -> None:
    have = granted(rendered(LISTED), NAME)
    assert missing(have, LISTED_SPOTS) == []
    assert surplus(have, LISTED_SPOTS) == []
    assert Grant("apps", "deployments", "patch", Spot("aibrix-system")) not in have


POLICIES: Values = {"modelNetworkPolicy": {"enabled": True}}


@pytest.mark.parametrize(
    ("values", "spots"), [(POLICIES, SPOTS), (merged(LISTED, POLICIES), LISTED_SPOTS)]
)
def test_policies_of_models_are_written_only_where_they_are_asked_for(
    values: Values, spots: Spots
) -> None:
    have = granted(rendered(values), NAME)
    assert missing(have, spots, policies=True) == []
    assert surplus(have, spots, policies=True) == []
    assert {grant.resource for grant in surplus(have, spots)} == {"networkpolicies"}


SHARD: Values = {"objectSelector": {"matchLabels": {"shard": "a"}}}


@pytest.mark.parametrize(
    ("values", "spots"), [(SHARD, SPOTS), (merged(LISTED, SHARD), LISTED_SPOTS)]
)
def test_leases_of_others_are_read_only_where_others_share_the_objects(
    values: Values, spots: Spots
) -> None:
    have = granted(rendered(values), NAME)
    assert missing(have, spots, shards=True) == []
    assert surplus(have, spots, shards=True) == []
    assert surplus(have, spots) == [Grant("coordination.k8s.io", "leases", "get", Spot("ops"))]


def test_without_the_rights_to_read_logs_only_these_are_missing() -> None:
    have = granted(rendered({"rbac": {"gatewayLogs": False, "engineLogs": False}}), NAME)
    assert {grant.resource for grant in missing(have, SPOTS)} == {"pods/log"}
    assert missing(have, SPOTS, optional=False) == []


def test_every_right_is_of_a_namespace_that_the_settings_name_or_of_the_cluster() -> None:
    names: set[str] = {grant.spot.namespace for grant in granted(rendered(), NAME)}
    assert names == {"", "aibrix-system", "ops"}
    assert Grant("", "pods/log", "get", Spot("aibrix-system")) in granted(rendered(), NAME)
