"""What one look found, made of whole pictures: for the tests of findings, tables and JSON."""

from dataclasses import replace
from typing import Any

from core.objects import TEMPLATES, Json, deployment, spec_of
from core.scenes import configured, model, observe, pod_of, rolled_out, sync_of
from kvsync.core.decide import view_models
from kvsync.core.verification import find
from kvsync.model.observed import ObservedModel
from kvsync.model.source import (
    EventCounts,
    Failure,
    Observation,
    SourceKey,
    SourceReason,
    Verdict,
)
from kvsync.model.verification import ObjectFinding, Verification
from kvsync.model.workload import Pod

NOW = 500.0


def two_pods(name: str = "model") -> tuple[ObservedModel, Pod, Pod]:
    """A configured model of two running pods."""
    body = deployment(name=name)
    body["spec"]["replicas"] = 2
    done = rolled_out(configured(body, spec=spec_of(models={"names": [name]})))
    pods = pod_of(done, f"{name}-0"), pod_of(done, f"{name}-1")
    return model(done, *pods), *pods


def key_of(pod: Pod, rank: int = 0) -> SourceKey:
    return SourceKey(pod.namespace, pod.name, pod.uid, rank)


def judged(pod: Pod, reason: SourceReason = SourceReason.PUBLISHING) -> Verdict:
    """A settled verdict with evidence and remedy."""
    fine = reason in (SourceReason.PUBLISHING, SourceReason.IDLE)
    remedy = "" if fine else "see its log"
    return Verdict(
        key_of(pod), reason, verified=fine, settled=True, message=f"{reason} seen", remedy=remedy
    )


def unsettled(pod: Pod) -> Verdict:
    return Verdict(
        key_of(pod), SourceReason.CONNECTING, verified=False, settled=False, message="trying"
    )


def sight(**fields: Any) -> Observation:
    """What was seen of a publisher that sends."""
    usual: Json = {
        "since": NOW - 10,
        "handshake_at": NOW - 9,
        "messages": 8,
        "events": EventCounts(stored=8),
        "last_batch_at": NOW - 2,
        "last_sequence": 41,
        "rate": 3.25,
        "lag": 0.012,
    }
    return Observation(**{**usual, **fields})


def silence(failure: Failure | None = Failure.TIMED_OUT) -> Observation:
    """What was seen of a pod from which nothing came back."""
    return Observation(since=NOW - 10, failure=failure, failed_at=NOW - 8 if failure else None)


def found(
    *models: ObservedModel,
    verdicts: tuple[Verdict, ...] = (),
    seen: dict[SourceKey, Observation] | None = None,
    status: Json | None = None,
    gateway_unread: str = "",
    relay_port: int = 0,
    **picture: Any,
) -> ObjectFinding:
    """What is found on a picture. ``relay_port``: that of a relay in each pod."""
    picture.setdefault("sync", sync_of(status=status))
    observed = observe(*models, verdicts=verdicts, **picture)
    views = [
        replace(view, targets=tuple(replace(t, relay_port=relay_port) for t in view.targets))
        for view in view_models(observed, TEMPLATES)
    ]
    return find(observed, views, seen or {}, gateway_unread=gateway_unread)


def all_of(*objects: ObjectFinding, notes: tuple[str, ...] = ()) -> Verification:
    return Verification(objects, notes)


def told_ready(said: str = "Synchronized", *, verified: int = 2, **model: Any) -> Json:
    """A status as the operator writes it, of one model."""
    entry = {
        "name": "model",
        "state": "Ready",
        "reason": "Verified",
        "sources": {"total": 2, "verified": verified},
        **model,
    }
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": said,
        "message": "Every source publishes.",
        "observedGeneration": 3,
    }
    return {"conditions": [ready], "models": [entry], "modelsTotal": 1}
