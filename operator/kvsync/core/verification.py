"""One look at the sources of an object, judged, beside what the operator says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kvsync.core.assess import ModelState, ModelView
from kvsync.core.compatibility import compatibility
from kvsync.model.observed import KVEventSync, Observed
from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.source import Observation, SourceKey, SourceReason, Verdict
from kvsync.model.verification import (
    ConditionFinding,
    ModelFinding,
    ObjectFinding,
    SourceFinding,
)

Json = Mapping[str, Any]

_TAKES_LONG = frozenset(
    {
        SourceReason.SILENT_DESPITE_TRAFFIC,
        SourceReason.PREFIX_CACHING_OFF,
        SourceReason.RELAY_UPSTREAM_SILENT,
        SourceReason.RELAY_LAGGING,
    }
)
"""What the operator sees over time or over HTTP, and one look on the wire does not."""

_MODEL_REASONS = frozenset(reason.value for reason in ModelReason)
_SOURCES_SAY_IT = frozenset(
    {ModelReason.VERIFYING, ModelReason.WAITING_FOR_TRAFFIC, ModelReason.SOURCES_FAILING}
)
_NOT_THERE = frozenset(
    {ModelState.REFUSED, ModelState.PENDING, ModelState.ROLLING_OUT, ModelState.FAILED}
)


def find(
    observed: Observed,
    views: Sequence[ModelView],
    seen: Mapping[SourceKey, Observation],
    *,
    gateway_unread: str = "",
) -> ObjectFinding:
    """What is true of one object, by the verdicts of ``observed``.

    ``gateway_unread`` says why the gateway could not be read, where it could not.
    """
    sync = observed.sync
    models = tuple(_model(view, observed, seen) for view in views)
    problem = None if models else (str(ConditionReason.NO_MODELS), "No workload is selected.")
    return ObjectFinding(
        sync.namespace,
        sync.name,
        models,
        _compatible(observed, views, gateway_unread),
        told(sync, "Ready"),
        told(sync, "GatewayCompatible"),
        dict(_differences(sync, models)),
        problem,
    )


def without_look(sync: KVEventSync, reason: str, message: str) -> ObjectFinding:
    """What is said of an object at whose sources nothing can be looked at."""
    ready = told(sync, "Ready")
    return ObjectFinding(sync.namespace, sync.name, ready=ready, problem=(reason, message))


def told(sync: KVEventSync, kind: str) -> ConditionFinding | None:
    """A condition of the status; None where the operator has not said it."""
    for each in sync.status.get("conditions") or ():
        if each.get("type") == kind:
            current = each.get("observedGeneration") == sync.generation
            status, reason, message = (
                str(each.get(n, "")) for n in ("status", "reason", "message")
            )
            return ConditionFinding(status, reason, message, current)
    return None


def _model(
    view: ModelView, observed: Observed, seen: Mapping[SourceKey, Observation]
) -> ModelFinding:
    sources = tuple(_sources(view, observed, seen))
    own = _own_word(view, sources) or _operators_word(view.name, sources, observed.sync)
    if own is not None:
        trouble = own[0] != ModelReason.SCALED_TO_ZERO
        return ModelFinding(view.name, *own, trouble, view.expected_sources, sources)
    reason, message = _by_sources(sources)
    return ModelFinding(view.name, reason, message, False, view.expected_sources, sources)


def _sources(
    view: ModelView, observed: Observed, seen: Mapping[SourceKey, Observation]
) -> Iterator[SourceFinding]:
    for target in view.targets:
        verdict = observed.verdicts.get(target.key) or _not_seen(target.key)
        yield SourceFinding(view.name, verdict, target, seen.get(target.key))
    probed = {target.key for target in view.targets}
    for verdict in view.verdicts:
        if verdict.key not in probed:
            yield SourceFinding(view.name, verdict)


def _not_seen(key: SourceKey) -> Verdict:
    return Verdict(
        key, SourceReason.CONNECTING, verified=False, settled=False, message="not looked at yet"
    )


def _own_word(view: ModelView, sources: Sequence[SourceFinding]) -> tuple[str, str] | None:
    """What a model says of itself, where its sources do not say it."""
    missing = view.expected_sources - len(sources)
    if not _is_said_by(sources, view, missing) and _has_a_word(view):
        return view.reason, view.message
    if missing > 0:
        message = f"{missing} of {view.expected_sources} sources are missing: pods do not run yet."
        return str(ModelReason.ROLLING_OUT), message
    return None


def _is_said_by(sources: Sequence[SourceFinding], view: ModelView, missing: int) -> bool:
    if view.state is ModelState.ROLLING_OUT:
        # All are there, and one that fails is why its pod is not ready.
        return missing <= 0 and not all(source.healthy for source in sources)
    return bool(sources) and view.reason in _SOURCES_SAY_IT


def _has_a_word(view: ModelView) -> bool:
    if view.state in _NOT_THERE or view.reason == ModelReason.SCALED_TO_ZERO:
        return True
    degraded = view.state is ModelState.DEGRADED
    return degraded and view.reason in _MODEL_REASONS


def _operators_word(
    name: str, sources: Sequence[SourceFinding], sync: KVEventSync
) -> tuple[str, str] | None:
    """What an idle source may hide, or a relay, where the operator has found it."""
    if not any(map(_may_hide, sources)):
        return None
    for entry in sync.status.get("models") or ():
        if entry.get("name") == name and entry.get("reason") in _TAKES_LONG:
            return str(entry["reason"]), f"the operator found: {entry.get('message', '')}"
    return None


def _may_hide(source: SourceFinding) -> bool:
    relayed = source.target is not None and source.target.relay_port > 0
    return source.verdict.reason is SourceReason.IDLE or (relayed and source.healthy)


def _by_sources(sources: Sequence[SourceFinding]) -> tuple[str, str]:
    """The first failure, or how many are proven."""
    failing = next((source for source in sources if not source.healthy), None)
    if failing is not None:
        return str(failing.verdict.reason), f"{failing.verdict.key.pod}: {failing.verdict.message}"
    proven = sum(source.verdict.verified for source in sources)
    reason = ModelReason.VERIFIED if proven == len(sources) else ModelReason.WAITING_FOR_TRAFFIC
    return str(reason), f"{proven} of {len(sources)} sources verified."


def _compatible(
    observed: Observed, views: Sequence[ModelView], gateway_unread: str
) -> ConditionFinding:
    status, reason, message = compatibility(observed, views)
    if gateway_unread and reason is ConditionReason.GATEWAY_NOT_FOUND:
        return ConditionFinding("Unknown", "GatewayNotReadable", gateway_unread)
    return ConditionFinding(status, str(reason), message)


def _differences(sync: KVEventSync, models: Iterable[ModelFinding]) -> Iterator[tuple[str, str]]:
    """By model, where the operator's status is not what is seen from here."""
    entries = sync.status.get("models") or ()
    if not entries:
        return
    by_name = {str(entry.get("name")): entry for entry in entries}
    cut = len(entries) < int(sync.status.get("modelsTotal") or 0)
    for model in models:
        entry = by_name.get(model.name)
        if entry is not None and (difference := _difference(entry, model)):
            yield model.name, difference
        elif entry is None and not cut:
            yield model.name, "the operator's status does not name it yet."


def _difference(entry: Json, model: ModelFinding) -> str:
    counts = entry.get("sources") or {}
    verified, total = int(counts.get("verified") or 0), int(counts.get("total") or 0)
    ready = not model.trouble and model.verified >= model.expected
    says_ready = entry.get("state") == ModelState.READY
    if says_ready == ready and verified == model.verified:
        return ""
    return (
        f"the operator says {entry.get('reason')}, {verified} of {total} sources verified; "
        f"from here it is {model.reason}, {model.verified} of {model.expected}."
    )
