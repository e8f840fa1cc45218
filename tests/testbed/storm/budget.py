"""How many may be missing and how many may be too many while something is replaced."""

import math
from dataclasses import dataclass

from testbed.storm.objects import Object, replicas_of, wanted_role_sets


@dataclass(frozen=True)
class Budget:
    """``maxSurge`` and ``maxUnavailable`` as numbers."""

    surge: int
    unavailable: int


NONE = Budget(0, 0)


def role_budget(role: Object) -> Budget:
    """Of the pods of a role (roleset/utils.go, ``MaxSurge``, ``MaxUnavailable``)."""
    return _resolve(role.get("updateStrategy") or {}, replicas_of(role))


def service_budget(service: Object) -> Budget:
    """Of the RoleSets of a StormService; none when they are updated in place."""
    strategy = service["spec"].get("updateStrategy") or {}
    if in_place(service):
        return NONE
    return _resolve(strategy, wanted_role_sets(service))


def in_place(service: Object) -> bool:
    """Whether RoleSets are updated and not replaced; an absent strategy replaces."""
    strategy = service["spec"].get("updateStrategy") or {}
    return bool(strategy.get("type") == "InPlaceUpdate")


def _resolve(strategy: Object, wanted: int) -> Budget:
    """Percentages of surge are rounded up and the others down; both 0 means one may be missing.

    Source: stormservice/utils.go, ``ResolveFenceposts``.
    """
    if wanted == 0:
        return NONE
    surge = _scaled(strategy.get("maxSurge"), wanted, up=True)
    unavailable = _scaled(strategy.get("maxUnavailable"), wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Budget(surge, min(unavailable, wanted))


def _scaled(value: int | str | None, wanted: int, *, up: bool) -> int:
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * wanted / 100
    return math.ceil(share) if up else math.floor(share)
