"""What a look found, as JSON: the stable form of docs/verify.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kvsync.model.verification import (
    ConditionFinding,
    ModelFinding,
    ObjectFinding,
    SourceFinding,
    Verification,
)

Json = dict[str, Any]


def verification_json(found: Verification, now: float) -> Json:
    """All of it. ``now`` is of the clock of the observations, for the ages of events."""
    sources = list(found.sources)
    return {
        "healthy": found.healthy,
        "reachable": not found.unreached_pods,
        "sources": {
            "total": sum(m.expected for each in found.objects for m in each.models),
            "healthy": sum(source.healthy for source in sources),
            "verified": sum(source.verdict.verified for source in sources),
        },
        "notes": list(found.notes),
        "objects": [_object(each, now) for each in found.objects],
    }


def _object(found: ObjectFinding, now: float) -> Json:
    reason, message = found.problem or ("", "")
    return {
        "namespace": found.namespace,
        "name": found.name,
        "healthy": found.healthy,
        "reason": reason,
        "message": message,
        "gateway_compatible": _condition(found.compatible),
        "operator": {
            "ready": _condition(found.ready),
            "gateway_compatible": _condition(found.told_compatible),
        },
        "models": [_model(model, found.differences, now) for model in found.models],
    }


def _condition(found: ConditionFinding | None) -> Json | None:
    if found is None:
        return None
    return {
        "status": found.status,
        "reason": found.reason,
        "message": found.message,
        "current": found.current,
    }


def _model(found: ModelFinding, differences: Mapping[str, str], now: float) -> Json:
    return {
        "name": found.name,
        "healthy": found.healthy,
        "reason": found.reason,
        "message": found.message,
        "expected": found.expected,
        "verified": found.verified,
        "difference": differences.get(found.name, ""),
        "sources": [_source(source, now) for source in found.sources],
    }


def _source(found: SourceFinding, now: float) -> Json:
    verdict, target, seen = found.verdict, found.target, found.seen
    return {
        "pod": verdict.key.pod,
        "uid": verdict.key.uid,
        "rank": verdict.key.rank,
        "host": target.host if target else None,
        "port": target.port if target else None,
        "relay_port": target.relay_port or None if target else None,
        "reason": verdict.reason.value,
        "healthy": found.healthy,
        "verified": verdict.verified,
        "settled": verdict.settled,
        "message": verdict.message,
        "remedy": found.remedy,
        "rate": _number(seen.rate) if seen else None,
        "lag": _number(seen.lag) if seen else None,
        "last_event_age": _age(found, now),
        "sequence": seen.last_sequence if seen else None,
        "layout": seen.layout.value if seen and seen.layout else None,
        "block_size": seen.block_size if seen else None,
    }


def _age(found: SourceFinding, now: float) -> float | None:
    age = found.age(now)
    return None if age is None else _number(age)


def _number(value: float | None) -> float | None:
    """JSON has no infinity, and a batch's own time is its sender's."""
    return round(value, 3) if value is not None and math.isfinite(value) else None
