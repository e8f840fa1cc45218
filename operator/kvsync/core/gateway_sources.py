"""Which sources the gateway took, by the logs of its pods, for people and for ``status.gateway``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kvsync.core.assess import ModelView
from kvsync.core.gateway_instances import Instance, instances_of, mark_of_start
from kvsync.model.gateway_log import GatewayReading, Start, Subscription
from kvsync.model.observed import Observed

MAX_REMEMBERED = 32
"""Starts of the gateway's pods that the status remembers."""

_SHOWN = 3
_SAYS = {
    None: "the gateway does not subscribe to it",
    Subscription.CONNECTED: "no answer to a request for a replay is told of yet",
    Subscription.UNANSWERED: "it did not answer the gateway's request for a replay",
    Subscription.FAILING: "the gateway cannot use what it sends, or lost its connection",
}


def taken_entry(observed: Observed, views: Sequence[ModelView]) -> dict[str, Any]:
    """The part of ``status.gateway`` that logs tell: the sources taken, and the starts that went well."""
    deployment = observed.gateway.deployment
    if deployment is None:
        return {}
    instances = instances_of(observed, deployment)
    entry: dict[str, Any] = {}
    well = sorted(mark_of_start(one.pod, observed) for one in instances if one.initialized)
    if well:
        entry["initialized"] = well[:MAX_REMEMBERED]
    counts = _counts(observed, instances, gateway_sources(views))
    if counts is not None:
        entry["sources"] = counts
    return entry


def gateway_sources(views: Sequence[ModelView]) -> frozenset[str]:
    """The pods whose events the gateway shall take; it subscribes once to each."""
    return frozenset(
        f"{target.key.namespace}/{target.key.pod}" for view in views for target in view.targets
    )


def taken_in_words(
    observed: Observed, instances: Sequence[Instance], views: Sequence[ModelView]
) -> str:
    """How many it took, and why not the others; empty where that is not known."""
    pods = gateway_sources(views)
    counts = _counts(observed, instances, pods)
    if counts is None:
        return ""
    said = f"it took {counts['taken']} of {counts['total']} sources."
    missing = list(_missing(instances, pods)) if counts["taken"] < counts["total"] else []
    if not missing:
        return said
    more = f" (and {len(missing) - _SHOWN} more)" if len(missing) > _SHOWN else ""
    return f"{said} Not taken: {'; '.join(missing[:_SHOWN])}{more}."


def _counts(
    observed: Observed, instances: Sequence[Instance], pods: frozenset[str]
) -> Mapping[str, int] | None:
    """How many pods every pod of the gateway took, of how many; None where that is not known.

    Until the logs are read again after a start of the operator, what the status says stands.
    """
    if not pods or not instances:
        return None
    readings = [one.reading for one in instances if one.reading and one.reading.caught_up]
    if len(readings) < len(instances):
        before = (observed.sync.status.get("gateway") or {}).get("sources")
        return dict(before) if before and before.get("total") == len(pods) else None
    unknown = any(not _is_known(reading, pods) for reading in readings)
    if unknown:
        return None
    taken = [name for name in pods if all(_is_taken(r, name) for r in readings)]
    return {"total": len(pods), "taken": len(taken)}


def _is_known(reading: GatewayReading, pods: Iterable[str]) -> bool:
    """Whether silence of a pod speaks: not where lines are lost."""
    return reading.unread is None and (reading.whole or all(name in reading.pods for name in pods))


def _is_taken(reading: GatewayReading, name: str) -> bool:
    running = reading.start in (Start.INITIALIZED, Start.BEGUN, Start.UNSAID)
    return running and reading.pods.get(name) is Subscription.TAKEN


def _missing(instances: Sequence[Instance], pods: Iterable[str]) -> Iterable[str]:
    for name in sorted(pods):
        says = [one.reading.pods.get(name) for one in instances if one.reading is not None]
        last = next((each for each in says if each is not Subscription.TAKEN), Subscription.TAKEN)
        if last is not Subscription.TAKEN:
            yield f"{name}: {_SAYS[last]}"
