"""The table of the operator's rights: it is what the install manifest gives, and each row has its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from chart.granted import granted, missing, surplus
from kvsync.core.rights import (
    MODEL_POLICY_RIGHTS,
    RIGHTS,
    SHARD_RIGHTS,
    Grant,
    Place,
    Right,
    Spot,
    grants,
)

INSTALL = Path(__file__).resolve().parents[2] / "docs" / "samples" / "install" / "operator.yaml"
SPOTS = {
    Place.SERVED: [Spot("")],
    Place.CLUSTER: [Spot("")],
    Place.OWN: [Spot("kvsync-system", "kvsync-operator")],
    Place.GATEWAYS: [
        Spot("aibrix-system", "aibrix-gateway-plugins"),
        Spot("aibrix-system", "kvcache-watcher"),
    ],
}


def installed() -> set[Grant]:
    return granted(yaml.safe_load_all(INSTALL.read_text()), "kvsync-operator")


def test_the_install_manifest_gives_exactly_these_rights() -> None:
    assert missing(installed(), SPOTS) == []
    assert surplus(installed(), SPOTS) == []


def test_one_right_more_or_less_is_noticed() -> None:
    have = installed()
    pods = Grant("", "pods", "list", Spot(""))
    assert missing(have - {pods}, SPOTS) == [pods]
    secrets = Grant("", "secrets", "get", Spot("aibrix-system"))
    assert surplus(have | {secrets}, SPOTS) == [secrets]


def test_each_right_says_what_it_is_for_and_what_is_lost() -> None:
    for right in (*RIGHTS, *MODEL_POLICY_RIGHTS, *SHARD_RIGHTS):
        assert right.why[0].islower(), right
        assert not right.why.endswith("."), right
        assert right.lost.endswith("."), right
        assert right.places, right
        assert right.verbs, right
    assert not [r for r in RIGHTS if set(r.verbs) & {"*", "delete", "deletecollection", "escalate"}]


def of(*places: Place, by_name: bool = False) -> Right:
    return Right("", "pods", ("list",), places, why="see", lost="All.", by_name=by_name)


@pytest.mark.parametrize(
    ("right", "spots", "asked"),
    [
        (of(Place.SERVED), {Place.SERVED: [Spot("b"), Spot("a")]}, [Spot("a"), Spot("b")]),
        (of(Place.SERVED), {Place.GATEWAYS: [Spot("a")]}, []),
        (of(Place.GATEWAYS), {Place.GATEWAYS: [Spot("a", "x"), Spot("a", "y")]}, [Spot("a")]),
        (
            of(Place.GATEWAYS, by_name=True),
            {Place.GATEWAYS: [Spot("a", "x"), Spot("a", "y")]},
            [Spot("a", "x"), Spot("a", "y")],
        ),
        (
            of(Place.SERVED, Place.GATEWAYS),
            {Place.SERVED: [Spot("")], Place.GATEWAYS: [Spot("a", "x")]},
            [Spot("")],
        ),
    ],
)
def test_a_right_is_asked_for_once_at_each_spot(
    right: Right, spots: dict[Place, list[Spot]], asked: list[Spot]
) -> None:
    assert [grant.spot for grant in grants(right, spots)] == asked


@pytest.mark.parametrize(
    ("mine", "theirs", "covered"),
    [
        (Spot(""), Spot("a"), True),
        (Spot("a"), Spot(""), False),
        (Spot("a"), Spot("a", "x"), True),
        (Spot("a", "x"), Spot("a"), False),
        (Spot("a", "x"), Spot("a", "y"), False),
        (Spot("", "x"), Spot("a", "x"), True),
    ],
)
def test_a_wider_grant_covers_a_narrower_one(mine: Spot, theirs: Spot, *, covered: bool) -> None:
    assert Grant("", "pods", "list", mine).covers(Grant("", "pods", "list", theirs)) == covered
    assert not Grant("", "pods", "list", mine).covers(Grant("", "pods", "watch", theirs))
    assert not Grant("", "pods", "list", mine).covers(Grant("apps", "pods", "list", theirs))


def test_none_is_on_admission_objects_nor_on_what_pods_are_made_of() -> None:
    every = (*RIGHTS, *MODEL_POLICY_RIGHTS, *SHARD_RIGHTS)
    assert not [right for right in every if right.group == "admissionregistration.k8s.io"]
    assert not [right for right in every if right.resource == "pods" and "create" in right.verbs]
