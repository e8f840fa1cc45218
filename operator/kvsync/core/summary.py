"""The status: what is true of the whole, in conditions, columns and a bounded list of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsync.core.actions import mark_of
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.compatibility import Compatibility, Finding, compatibility_by_model
from kvsync.core.forecast import cost_of_change, forecast
from kvsync.core.gateway import gateway_version, owners_of
from kvsync.core.gateway_fold import Fold
from kvsync.core.gateway_sources import taken_entry
from kvsync.core.gateway_view import GatewayView
from kvsync.core.moment import timestamp
from kvsync.core.owner_patch import as_text, owner_patch
from kvsync.core.patch import apply
from kvsync.core.publication import Moves, Publication
from kvsync.core.reached import note_on
from kvsync.core.told import entry_of, record_mark
from kvsync.core.wave import Wave
from kvsync.model.observed import KVEventSync, Observed, ObservedConsumer
from kvsync.model.printable import one_line
from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.source import ACTIVE, LOSSY, SourceReason

MAX_MODELS = 50
"""Models listed in detail, failing first; the rest is only counted."""

MAX_MOVING = 100
"""Models named as on their way: as many as ``spec.rollout.maxConcurrent`` allows."""

MAX_MESSAGE = 1024
MAX_PATCH = 16384
"""Characters of what the owner of one model is to write."""

MAX_LINES = 16
"""Notes, and planned changes, of one model."""

_ORDER = (
    ModelState.FAILED,
    ModelState.DEGRADED,
    ModelState.REFUSED,
    ModelState.VERIFYING,
    ModelState.ROLLING_OUT,
    ModelState.PENDING,
    ModelState.READY,
)
_NEEDS_A_PERSON = frozenset({ModelState.FAILED, ModelState.REFUSED})
_GATEWAY_NEEDS_A_PERSON = frozenset(
    {
        ConditionReason.GATEWAY_NOT_PERMITTED,
        ConditionReason.GATEWAY_NOT_FOUND,
        ConditionReason.GATEWAY_CONTAINER_NOT_FOUND,
        ConditionReason.GATEWAY_VARIABLE_REFERENCED,
        ConditionReason.GATEWAY_NOT_INITIALIZED,
        ConditionReason.RECORD_UNREADABLE,
        ConditionReason.RECORD_TOO_LARGE,
        ConditionReason.CONFLICT,
        ConditionReason.TOKENIZER_FAILING,
    }
)

_RESTARTS_LATER = frozenset(
    {
        ConditionReason.WAITING_FOR_EVENTS,
        ConditionReason.GATEWAY_WOULD_STALL,
        ConditionReason.TOKENIZER_FAILING,
    }
)
"""The gateway is told when this is over."""


_GATEWAY_TOLD = frozenset(
    {
        ConditionReason.CONFIGURED,
        ConditionReason.NOT_MANAGED,
        ConditionReason.GATEWAY_NOT_INITIALIZED,
        ConditionReason.GATEWAY_UNCONFIRMED,
        # What was configured before stays so.
        ConditionReason.CONFLICT,
    }
)
"""Where the gateway has what it needs, by us or by its owner, so that its log is read."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the status is made of."""

    observed: Observed
    views: Sequence[ModelView]
    folded: Fold
    gateway: GatewayView
    wave: Wave
    moves: Moves


def summarize(picture: Picture) -> dict[str, Any]:
    """The status to be reported. Times of conditions that did not change are kept."""
    observed, views = picture.observed, picture.views
    compatible = compatibility_by_model(observed, views, picture.folded)
    gateway = _gateway_entry(picture)
    findings = _findings(picture, compatible.finding)
    return {
        "observedGeneration": observed.sync.generation,
        "conditions": conditions(observed.sync, observed.now, findings),
        "models": [_model_entry(view, picture, compatible) for view in _listed(views)],
        "modelsTotal": len(views),
        "modelsReady": sum(view.state is ModelState.READY for view in views),
        "sources": _source_counts(views),
        "gateway": gateway,
        "wave": wave_entry(picture.wave),
        **injections_entry(picture.moves.publication),
        **_whole_plan(picture),
        "summary": {
            "models": f"{sum(v.state is ModelState.READY for v in views)}/{len(views)}",
            "sources": f"{sum(v.verified_sources for v in views)}/"
            f"{sum(v.expected_sources for v in views)}",
            **_taken_column(gateway),
        },
    }


def invalid(sync: KVEventSync, problem: str, now: float) -> dict[str, Any]:
    """The status of an object whose spec, or the operator's own template, cannot be used."""
    finding: Finding = ("False", ConditionReason.INVALID_SPEC, f"{problem} Nothing is changed.")
    findings = {"Ready": finding, "Stalled": ("True", *finding[1:])}
    return {
        **sync.status,
        "observedGeneration": sync.generation,
        "conditions": conditions(sync, now, findings),
    }


def refused(
    sync: KVEventSync, status: Mapping[str, Any], problem: str, now: float
) -> dict[str, Any]:
    """The status when the API server refuses a write that the decision needs."""
    message = f"The API server refuses a change: {problem}"
    findings: dict[str, Finding] = {
        condition["type"]: (condition["status"], condition["reason"], condition["message"])
        for condition in status["conditions"]
    }
    findings["Ready"] = ("False", ConditionReason.WRITE_REFUSED, message)
    findings["Stalled"] = ("True", ConditionReason.WRITE_REFUSED, message)
    return {**status, "conditions": conditions(sync, now, findings)}


def sentence(message: str) -> str:
    """A sentence for the status: it may quote strangers, so it is bounded and on one line."""
    return one_line(message[:MAX_MESSAGE])[:MAX_MESSAGE]


def conditions(
    sync: KVEventSync, now: float, findings: Mapping[str, Finding]
) -> list[dict[str, Any]]:
    """metav1 conditions from (status, reason, message), each with the time of its last transition."""
    before = {c.get("type"): c for c in sync.status.get("conditions") or ()}
    return [
        {
            "type": kind,
            "status": status,
            "observedGeneration": sync.generation,
            "lastTransitionTime": before[kind]["lastTransitionTime"]
            if before.get(kind, {}).get("status") == status
            else timestamp(now),
            "reason": str(reason),
            "message": sentence(message),
        }
        for kind, (status, reason, message) in findings.items()
    ]


def _findings(picture: Picture, compatible: Finding) -> dict[str, Finding]:
    observed, views, gateway = picture.observed, picture.views, picture.gateway
    configured, flowing = _models_configured(picture), _events_flowing(views)
    taken: Finding = (gateway.status, gateway.reason, gateway.message)
    ready = _ready(observed, [configured, flowing, taken], compatible)
    return {
        "Ready": ready,
        "Reconciling": _reconciling(picture, ready),
        "Stalled": _stalled(picture),
        "ModelsConfigured": configured,
        "EventsFlowing": flowing,
        "GatewayConfigured": taken,
        "GatewayCompatible": compatible,
    }


def _ready(observed: Observed, parts: Sequence[Finding], compatible: Finding) -> Finding:
    broken = next((part for part in parts if part[0] != "True"), None)
    if broken is not None:
        if broken[1] is ConditionReason.GATEWAY_UNCONFIRMED:
            return broken
        if observed.held_by and broken[1] != ConditionReason.PAUSED:
            return ("False", ConditionReason.PAUSED, f"Paused ({observed.held_by}). {broken[2]}")
        return ("False", broken[1], broken[2])
    if compatible[0] == "False":
        message = (
            f"Events flow and the gateway is configured, but it cannot use them: {compatible[2]}"
        )
        return ("True", ConditionReason.GATEWAY_INCOMPATIBLE, message)
    return (
        "True",
        ConditionReason.SYNCHRONIZED,
        "Every source publishes and the gateway consumes events.",
    )


def _models_configured(picture: Picture) -> Finding:
    views, held_by = picture.views, picture.observed.held_by
    if not views:
        return (
            "False",
            ConditionReason.NO_MODELS,
            "No Deployment or StormService in namespace "
            f"{picture.observed.sync.namespace} matches spec.models.selector. Correct it, or label "
            "the objects' own metadata.",
        )
    problems = [v for v in _by_urgency(views) if v.state in _NEEDS_A_PERSON]
    if problems:
        return _of_model(problems)
    unfinished = [
        v for v in _by_urgency(views) if v.state in (ModelState.ROLLING_OUT, ModelState.PENDING)
    ]
    if unfinished and held_by:
        return ("False", ConditionReason.PAUSED, _paused_message(unfinished, held_by))
    if unfinished:
        return _of_model(unfinished)
    return ("True", ConditionReason.CONFIGURED, f"{len(views)} of {len(views)} models configured.")


def _paused_message(unfinished: Sequence[ModelView], held_by: str) -> str:
    changes = [view.name for view in unfinished if view.state is ModelState.PENDING]
    if not changes:
        return "Paused while models roll out."
    return (
        f"Paused ({held_by}); nothing is written. To be changed and restarted: {', '.join(changes[:10])}; "
        f"status.plan tells more. {_way_on(held_by)}"
    )


def _way_on(held_by: str) -> str:
    if held_by == "spec.paused":
        return "Set spec.paused to false to go on."
    return f"Remove the annotation {held_by} to go on."


def _events_flowing(views: Sequence[ModelView]) -> Finding:
    degraded = [v for v in views if v.state is ModelState.DEGRADED]
    if degraded:
        return _of_model(degraded)
    verifying = [v for v in views if v.state is ModelState.VERIFYING]
    if verifying:
        unsettled = all(v.reason == ModelReason.VERIFYING for v in verifying)
        _, reason, message = _of_model(verifying)
        return ("Unknown" if unsettled else "False", reason, message)
    waiting = [v for v in views if v.state is not ModelState.READY]
    if waiting or not views:
        return (
            "Unknown",
            ConditionReason.WAITING_FOR_MODELS,
            "Sources are probed when the models are configured and rolled out.",
        )
    if not any(view.verified_sources for view in views):
        message = "Every model is scaled to zero: there is no source to hear."
        return ("Unknown", ConditionReason.NO_SOURCES, message)
    lossy = [view for view in views if view.reason in LOSSY]
    if lossy:
        return ("True", *_of_model(lossy)[1:])
    total = sum(view.verified_sources for view in views)
    return ("True", ConditionReason.FLOWING, f"{total} of {total} sources verified.")


def _of_model(views: Sequence[ModelView]) -> Finding:
    """What the first of them says, and how many more there are."""
    first, more = views[0], len(views) - 1
    suffix = f" (and {more} more: {', '.join(v.name for v in views[1:4])})" if more else ""
    reason: Any = first.reason
    return ("False", reason, f"{first.name}: {first.message}{suffix}")


def _reconciling(picture: Picture, ready: Finding) -> Finding:
    moving = picture.wave.in_flight
    restarting = picture.gateway.reason is ConditionReason.GATEWAY_ROLLING_OUT
    if not picture.observed.held_by and (moving or restarting):
        return ("True", ConditionReason.PROGRESSING, ready[2])
    return ("False", ConditionReason.IDLE, "Nothing is being changed.")


def _stalled(picture: Picture) -> Finding:
    problems = [v for v in _by_urgency(picture.views) if v.state in _NEEDS_A_PERSON]
    if problems:
        _, reason, message = _of_model(problems)
        return ("True", reason, message)
    if picture.gateway.stalled or picture.gateway.reason in _GATEWAY_NEEDS_A_PERSON:
        return ("True", picture.gateway.reason, picture.gateway.message)
    if not picture.views:
        return ("True", ConditionReason.NO_MODELS, "No model is selected.")
    return ("False", ConditionReason.IDLE, "Nothing waits for a person.")


def _by_urgency(views: Sequence[ModelView]) -> list[ModelView]:
    return sorted(views, key=lambda view: (_ORDER.index(view.state), view.name))


def _listed(views: Sequence[ModelView]) -> list[ModelView]:
    """Those in detail. A count of repairs, or of evictions, must not be forgotten, so such models are
    among them."""
    ordered = _by_urgency(views)
    counted = sorted(ordered, key=lambda v: v.repairs is None and v.replaced is None)
    kept = {view.name for view in counted[:MAX_MODELS]}
    return [view for view in ordered if view.name in kept]


def _model_entry(view: ModelView, picture: Picture, compatible: Compatibility) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": view.name,
        "state": view.state.value,
        "reason": str(view.reason),
        "message": sentence(view.message),
        "sources": {"total": view.expected_sources, "verified": view.verified_sources},
    }
    if view.name in compatible.models:
        entry["gateway"] = str(compatible.models[view.name])
    if view.deployment is not None:
        rollout = view.deployment.rollout
        entry["replicas"] = {
            "desired": rollout.wanted,
            "updated": rollout.updated,
            "available": rollout.available,
        }
    engine = view.plan.engine if view.plan else None
    if engine is not None:
        entry["container"] = engine.container
        entry["dialect"] = engine.dialect.value
        entry["versionSource"] = engine.version_source.value
        if engine.version is not None:
            entry["engineVersion"] = str(engine.version)
    mark = _verified_record(view, picture.observed)
    if mark is not None:
        entry["verifiedRecord"] = mark
    told = (
        _contest_entry(view, picture),
        _plan_entry(view, picture.observed),
        _owners_entry(view, picture.observed.sync),
    )
    return {**entry, **{key: value for part in told for key, value in part.items()}}


def _owners_entry(view: ModelView, sync: KVEventSync) -> dict[str, Any]:
    """What its owner is to change in its manifest, or where to have it printed."""
    if view.reason != ModelReason.NOT_APPLIED or view.deployment is None or view.plan is None:
        return {}
    body = view.deployment.body
    text = as_text(owner_patch(body, apply(body, view.plan.patch)))
    if len(text) <= MAX_PATCH:
        return {"patch": text}
    note = (
        f"The patch has {len(text)} characters, too many for the status: kvsync render "
        f"{sync.namespace} {sync.name} prints it."
    )
    return {"notes": [note, *map(str, view.plan.notes)][:MAX_LINES]}


def _contest_entry(view: ModelView, picture: Picture) -> dict[str, Any]:
    """What must be remembered of a change that someone may undo, or has undone."""
    begins = view.name in picture.moves.changed
    repairs = view.next_repairs if begins and view.next_repairs else view.repairs
    entry: dict[str, Any] = {"record": view.told_at} if view.told_at else {}
    if repairs is not None:
        entry["repairs"] = repairs.entry()
    if view.opponent:
        entry["opponent"] = view.opponent
    evicts = view.replacement if view.name in picture.moves.evicted else None
    replaced = evicts.counted if evicts is not None else view.replaced
    if replaced is not None and replaced.times:
        entry["replaced"] = replaced.entry()
    return entry


def _plan_entry(view: ModelView, observed: Observed) -> dict[str, Any]:
    """What a person should know of a model, and while paused what would be done to it."""
    planned = view.plan
    if planned is None or planned.refusal is not None:
        return {}
    entry: dict[str, Any] = {}
    if planned.notes:
        entry["notes"] = [sentence(str(note)) for note in planned.notes][:MAX_LINES]
    if observed.held_by and view.state is ModelState.PENDING:
        changes = [sentence(str(change)) for change in planned.changes][:MAX_LINES]
        model = next(each for each in observed.models if each.name == view.name)
        entry["plan"] = {"changes": changes, **cost_of_change(model, view).entry()}
    return entry


def _verified_record(view: ModelView, observed: Observed) -> int | None:
    """The change that was seen working: noted once, kept while the same record stands."""
    if view.state is ModelState.READY and view.verified_sources:
        return record_mark(view.record)
    mark = entry_of(view.name, observed.sync).get("verifiedRecord")
    return mark if mark == record_mark(view.record) else None


def _source_counts(views: Sequence[ModelView]) -> dict[str, int]:
    verdicts = [verdict for view in views for verdict in view.verdicts]
    return {
        "total": sum(view.expected_sources for view in views),
        "publishing": sum(v.reason in ACTIVE for v in verdicts),
        "idle": sum(v.reason is SourceReason.IDLE for v in verdicts),
        "failing": sum(v.settled and not v.verified for v in verdicts),
    }


def _gateway_entry(picture: Picture) -> dict[str, Any]:
    spec, deployment = picture.observed.spec.gateway, picture.observed.gateway.deployment
    entry: dict[str, Any] = {
        "deployment": f"{spec.namespace}/{spec.deployment}",
        "state": str(picture.gateway.reason),
        "message": sentence(picture.gateway.message),
    }
    version = gateway_version(deployment, spec.container) if deployment else None
    if version is not None:
        entry["version"] = str(version)
    if picture.gateway.reason in _GATEWAY_TOLD:
        entry |= taken_entry(picture.observed, picture.views)
    entry |= _gateway_contest_entry(picture)
    if picture.gateway.waiting_since is not None:
        entry["waitingSince"] = timestamp(picture.gateway.waiting_since)
    own = {mark_of(picture.observed.sync), *picture.observed.gateway.gone}
    others = sorted({*owners_of(deployment)} - own) if deployment else []
    if others:
        entry["sharedWith"] = others[:MAX_MODELS]
    also = [_consumer_entry(each, picture) for each in picture.observed.gateway.also]
    return {**entry, "alsoConfigured": also} if also else entry


def _gateway_contest_entry(picture: Picture) -> dict[str, Any]:
    """What is remembered for the next one who sets the gateway back; kept while it is not looked at."""
    told, spec = picture.observed.sync.status.get("gateway") or {}, picture.observed.spec.gateway
    if not picture.gateway.terms:
        same = told.get("deployment") == f"{spec.namespace}/{spec.deployment}"
        return {key: told[key] for key in ("terms", "repairs") if same and key in told}
    repairs = picture.gateway.repairs
    made = {"repairs": repairs.entry()} if repairs is not None and repairs.times else {}
    return {"terms": picture.gateway.terms, **made}


def _consumer_entry(consumer: ObservedConsumer, picture: Picture) -> dict[str, str]:
    """A further Deployment: configured, or what all of them wait for."""
    entry = {"name": consumer.name, "state": str(picture.gateway.reason)}
    deployment = consumer.deployment
    note = note_on(deployment, picture.observed.spec.gateway.container) if deployment else ""
    if deployment is not None and mark_of(picture.observed.sync) in owners_of(deployment):
        done = deployment.rollout.complete
        state = ConditionReason.CONFIGURED if done else ConditionReason.GATEWAY_ROLLING_OUT
        entry["state"] = str(state)
    return {**entry, "message": note} if note else entry


def _whole_plan(picture: Picture) -> dict[str, Any]:
    """What would be done to everything, while nothing may be."""
    if not picture.observed.held_by:
        return {}
    restarts = picture.gateway.reason in _RESTARTS_LATER or bool(picture.gateway.actions)
    return {"plan": forecast(picture.observed, picture.views, restarts_gateway=restarts)}


def _taken_column(gateway: Mapping[str, Any]) -> dict[str, str]:
    sources = gateway.get("sources")
    return {"taken": f"{sources['taken']}/{sources['total']}"} if sources else {}


def injections_entry(publication: Publication) -> dict[str, Any]:
    """What pods get at admission; left out where there is nothing."""
    entries = publication.entries()
    return {"injections": entries} if entries else {}


def wave_entry(wave: Wave) -> dict[str, Any]:
    """What the status says of the wave."""
    return {
        "current": list(wave.in_flight)[:MAX_MOVING],
        "next": list(wave.waiting)[:MAX_MODELS],
        "message": wave.message,
    }
