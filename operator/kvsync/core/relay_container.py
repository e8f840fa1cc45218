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
    status = next((s for p in pods if p.uid == verdict.key.uid for s in _statuses(p)), None)
    if status is None:
        return verdict
    state = status.get("state") or {}
    waiting = str((state.get("waiting") or {}).get("reason") or "")
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    told = [quoted(waiting)] if waiting else []
    if ended:
        told.append(f"it ended with code {ended.get('exitCode')} ({quoted(_reason(ended))})")
    if not told:
        return verdict
    message = f"{verdict.message} Container {RELAY_CONTAINER}: {', '.join(told)}."
    return replace(
        verdict, message=message, remedy=_remedy(waiting, _reason(ended)) or verdict.remedy
    )


def _statuses(pod: Pod) -> Iterable[JSON]:
    return (status for status in pod.container_statuses if status.get("name") == RELAY_CONTAINER)


def _reason(ended: JSON) -> str:
    return str(ended.get("reason") or "Error")


def _remedy(waiting: str, ended: str) -> str:
    """Where the kubelet's word names one; empty elsewhere."""
    if ended == _OUT_OF_MEMORY:
        return "It has too little memory: raise spec.events.relay.resources.limits.memory."
    if waiting in _NO_IMAGE:
        return "Correct spec.events.relay.image, or let the node pull it."
    return ""
