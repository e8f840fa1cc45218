"""Why a relay does not run, by what the kubelet says of its container."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kvsync.core.last_words import quoted
from kvsync.model.relay import RELAY_CONTAINER
from kvsync.model.source import SourceReason, Verdict
from kvsync.model.workload import JSON, Pod

_OUT_OF_MEMORY = "OOMKilled"
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


def with_last_words(verdict: Verdict, pods: Iterable[Pod]) -> Verdict:
    """The verdict on a relay that is down, with what the kubelet says; any other verdict as it is.

    Of the container's end its reason and exit code are told, never how often it ended: a status is
    written when it changes.
    """
    if verdict.reason is not SourceReason.RELAY_DOWN:
        return verdict
    status = next((s for p in pods if p.uid == verdict.key.uid for s in _statuses(p)), {})
    waiting, ended = _waiting(status), _ended(status)
    told = [quoted(waiting)] if waiting else []
    if ended:
        told.append(f"it ended with code {ended.get('exitCode')} ({quoted(_reason(ended))})")
    if not told:
        return verdict
    message = f"{verdict.message} Container {RELAY_CONTAINER}: {', '.join(told)}."
    return replace(verdict, message=message, remedy=remedy_of(status))


def remedy_of(status: JSON) -> str:
    """What to do about a relay's container with this status."""
    if _reason(_ended(status)) == _OUT_OF_MEMORY:
        return "It has too little memory: raise spec.events.relay.resources.limits.memory."
    if _waiting(status) in _NO_IMAGE:
        return "Correct spec.events.relay.image, or make the image available to the node."
    return f"See why it ends: kubectl logs -c {RELAY_CONTAINER} --previous, kubectl describe pod."


def _statuses(pod: Pod) -> Iterable[JSON]:
    return (status for status in pod.container_statuses if status.get("name") == RELAY_CONTAINER)


def _waiting(status: JSON) -> str:
    return str(((status.get("state") or {}).get("waiting") or {}).get("reason") or "")


def _ended(status: JSON) -> JSON:
    """How it ended last; empty where it never did."""
    now = (status.get("state") or {}).get("terminated")
    found: JSON = now or (status.get("lastState") or {}).get("terminated") or {}
    return found


def _reason(ended: JSON) -> str:
    return str(ended.get("reason") or "Error")
