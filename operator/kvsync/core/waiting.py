"""What a rollout waits for, in the words of the scheduler, the kubelet and the controllers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvsync.core.last_words import quoted
from kvsync.core.moment import seconds, timestamp
from kvsync.core.progress import condition
from kvsync.model.workload import JSON, Deployment, Pod

_MOST = 3
"""Things told at once: the first ones say what to do."""

_STARTING = frozenset({"ContainerCreating", "PodInitializing", "CrashLoopBackOff"})
_CONDITIONS = {"ReplicaFailure": "True", "Progressing": "False"}
"""A Deployment's conditions and the status that means trouble: no pod can be made (a quota, a
webhook), or the controller's own deadline is over (Kubernetes ``DeploymentConditionType``)."""


def waiting_words(workload: Deployment, pods: Sequence[Pod], new: Sequence[Pod], now: float) -> str:
    """Why the rollout of a workload does not go on; empty where nobody says.

    ``pods``: all of them; ``new``: those of the configured template.
    """
    told = dict.fromkeys((*_unplaced(new), *_unmade(workload), *_lingering(pods, now), *_held(new)))
    return "; ".join([*told][:_MOST])


def halted_words(workload: Deployment) -> str:
    """What its controller says of a rollout that it gave up; empty where it says nothing."""
    return "; ".join(_unmade(workload))


def _unplaced(pods: Sequence[Pod]) -> Iterator[str]:
    """The first pod that the scheduler cannot place: the others lack the same."""
    for pod in pods:
        for each in (pod.body.get("status") or {}).get("conditions") or ():
            if each.get("type") == "PodScheduled" and each.get("status") == "False":
                yield f"pod {pod.name}: {quoted(str(each.get('message') or ''))}"
                return


def _unmade(workload: Deployment) -> Iterator[str]:
    for kind, status in _CONDITIONS.items():
        found = condition(workload, kind)
        if found is not None and found.get("status") == status:
            yield quoted(str(found.get("message") or found.get("reason") or kind))


def _lingering(pods: Sequence[Pod], now: float) -> Iterator[str]:
    """Pods that should be gone: what they hold, such as a GPU, is not free for the new ones.

    The API writes the moment until which a pod may take as its ``deletionTimestamp``.
    """
    for pod in pods:
        end = seconds(str(pod.body["metadata"].get("deletionTimestamp") or ""))
        if end is not None and now > end:
            # No number of seconds: a status that changed by time alone would be written for ever.
            yield f"pod {pod.name} should have ended at {timestamp(end)} and has not"
            return


def _held(pods: Sequence[Pod]) -> Iterator[str]:
    """The first container that the kubelet cannot start, such as for a missing Secret."""
    for pod in pods:
        for status in pod.container_statuses:
            waiting: JSON = (status.get("state") or {}).get("waiting") or {}
            reason = str(waiting.get("reason") or "")
            if reason and reason not in _STARTING:
                said = quoted(str(waiting.get("message") or ""))
                yield f"pod {pod.name}: {quoted(reason)}" + (f": {said}" if said else "")
                return
