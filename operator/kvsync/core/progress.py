"""Whether a workload's pods are being replaced, by what its controller says of itself."""

from __future__ import annotations

from kvsync.core.moment import seconds
from kvsync.model.storm import StormService
from kvsync.model.workload import JSON, Deployment

_THROUGH = "NewReplicaSetAvailable"
"""The reason of a Deployment whose last rollout came to its end; scaling it does not change that."""


def is_replacing(workload: Deployment, now: float, patience: float, since: float = 0.0) -> bool:
    """Whether a rollout is under way that others should wait for.

    Pods that come up after scaling, or in place of lost ones, are no rollout. One that came to a
    halt is not waited for: its controller says so (``progressDeadlineSeconds``), or it made no
    progress for ``patience`` seconds, or none since the moment ``since`` (seconds since the epoch).
    Where the controller tells nothing of progress, as of a StormService or of a rollout that it has
    only begun, an unfinished one counts, after ``since`` no longer than ``patience``.

    Source: Kubernetes, ``pkg/controller/deployment/progress.go`` (syncRolloutStatus).
    """
    rollout = workload.rollout
    if rollout.complete:
        return False
    progress = condition(workload, "Progressing")
    through = progress is not None and progress.get("reason") == _THROUGH
    if through and rollout.observed and rollout.total == rollout.updated:
        return False
    if progress is None or through or not rollout.observed:
        return not since or now - since <= patience
    if progress.get("status") == "False":
        return False
    at = seconds(str(progress.get("lastUpdateTime") or ""))
    return at is None or (at >= since and now - at <= patience)


def is_unseen(workload: Deployment) -> bool:
    """Whether its controller was through with all but a change that it has not looked at yet.

    Nobody can tell then whether that one replaces pods: an edit of a Deployment's annotations is a new
    generation too (Kubernetes, ``pkg/registry/apps/deployment/strategy.go``, PrepareForUpdate).
    """
    progress = condition(workload, "Progressing")
    through = progress is not None and progress.get("reason") == _THROUGH
    return through and not workload.rollout.observed


def is_halted(workload: Deployment) -> bool:
    """Whether its controller gave a rollout up (reason ``ProgressDeadlineExceeded``)."""
    progress = condition(workload, "Progressing")
    gave_up = progress is not None and progress.get("status") == "False"
    return gave_up and workload.rollout.observed and not workload.rollout.complete


def condition(workload: Deployment, kind: str) -> JSON | None:
    """A condition of a Deployment's status; a StormService has others, of another meaning."""
    if isinstance(workload, StormService):
        return None
    listed = (workload.body.get("status") or {}).get("conditions") or ()
    return next((each for each in listed if each.get("type") == kind), None)
