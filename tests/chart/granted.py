"""What manifests let an account do, read from the RBAC objects among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kvsync.core.rights import (
    MODEL_POLICY_RIGHTS,
    RIGHTS,
    SHARD_RIGHTS,
    Grant,
    Right,
    Spot,
    Spots,
    grants,
)

Object = dict[str, Any]


def granted(bodies: Iterable[Object], account: str) -> set[Grant]:
    """All that bindings give the ServiceAccount of this name, by the roles among ``bodies``."""
    found = list(bodies)
    roles = {_key(b, b["kind"]): b for b in found if b["kind"] in ("ClusterRole", "Role")}
    return {
        grant
        for binding in found
        if binding["kind"] in ("ClusterRoleBinding", "RoleBinding") and _binds(binding, account)
        for grant in _given(roles[_key(binding, binding["roleRef"]["kind"])], binding)
    }


def _key(body: Object, kind: str) -> tuple[str, str, str]:
    name = body["roleRef"]["name"] if "roleRef" in body else body["metadata"]["name"]
    namespace = "" if kind == "ClusterRole" else body["metadata"]["namespace"]
    return kind, namespace, name


def _binds(binding: Object, account: str) -> bool:
    return any((s["kind"], s["name"]) == ("ServiceAccount", account) for s in binding["subjects"])


def _given(role: Object, binding: Object) -> Iterator[Grant]:
    namespace = binding["metadata"].get("namespace", "")
    assert bool(namespace) == (binding["kind"] == "RoleBinding")
    for rule in role["rules"]:
        assert rule.keys() <= {"apiGroups", "resources", "verbs", "resourceNames"}, rule
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Grant(group, resource, verb, Spot(namespace, name))


def rights(*, policies: bool, shards: bool) -> tuple[Right, ...]:
    """The operator's rights; with those for policies of models and for shards, or without."""
    return (*RIGHTS, *(MODEL_POLICY_RIGHTS * policies), *(SHARD_RIGHTS * shards))


def missing(
    have: set[Grant],
    spots: Spots,
    *,
    optional: bool = True,
    policies: bool = False,
    shards: bool = False,
) -> list[Grant]:
    """Of the operator's rights those that are not given; the ``optional`` ones too, or not."""
    wanted = (
        grant
        for right in rights(policies=policies, shards=shards)
        if optional or not right.optional
        for grant in grants(right, spots)
    )
    return [grant for grant in wanted if not any(given.covers(grant) for given in have)]


def surplus(
    have: set[Grant], spots: Spots, *, policies: bool = False, shards: bool = False
) -> list[Grant]:
    """What is given beyond the operator's rights."""
    needed = {
        (right, grant)
        for right in rights(policies=policies, shards=shards)
        for grant in grants(right, spots)
    }
    return sorted(given for given in have if not any(_is_for(given, *each) for each in needed))


def _is_for(given: Grant, right: Right, needed: Grant) -> bool:
    # A right on named objects is not for others; on all of a namespace it is needed as it is given.
    same_spot = given.spot == needed.spot
    narrower = given.spot.namespace == needed.spot.namespace and not right.by_name
    return needed.covers(given) and (same_spot or narrower)
