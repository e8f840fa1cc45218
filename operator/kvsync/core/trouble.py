"""What the kubelet and the scheduler say of a pod that does not come up, in their own words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kvsync.model.reasons import ModelReason
from kvsync.model.workload import JSON, Pod

_CRASHING = frozenset({"CrashLoopBackOff", "RunContainerError", "CreateContainerError"})
_NO_IMAGE = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_MAX_QUOTE = 400


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a container keeps failing."""

    reason: ModelReason
    pod: str
    evidence: str

    def __str__(self) -> str:
        return f"pod {self.pod}: {self.evidence}"


def trouble_of(pod: Pod, container: str) -> Trouble | None:
    """The trouble that a pod's container is in; None for one that runs or is still starting.

    One failed start is no trouble yet: the kubelet tries again.
    """
    for status in pod.container_statuses:
        if status.get("name") == container:
            return _crash(pod, status) or _no_image(pod, status)
    return None


def _crash(pod: Pod, status: JSON) -> Trouble | None:
    state = status.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason", "")
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    restarts = int(status.get("restartCount") or 0)
    # A server never ends by itself: SGLang ends with code 0 where its scheduler fails.
    again = bool(state.get("terminated")) and restarts >= 1
    if not again and (waiting not in _CRASHING or not ended):
        return None
    said = _quote(str(ended.get("message") or ""))
    evidence = f"container {status['name']} exited with code {ended.get('exitCode')}"
    return Trouble(
        ModelReason.ENGINE_CRASHED,
        pod.name,
        evidence + (f" and said: {said}" if said else ""),
    )


def _no_image(pod: Pod, status: JSON) -> Trouble | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") not in _NO_IMAGE:
        return None
    said = _quote(str(waiting.get("message") or waiting["reason"]))
    return Trouble(ModelReason.IMAGE_PULL_FAILED, pod.name, f"image cannot be pulled: {said}")


def _quote(text: str) -> str:
    """The last line that says something, bounded: what an engine prints is not to be trusted."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    printable = "".join(c for c in lines[-1] if c.isprintable()) if lines else ""
    return printable[:_MAX_QUOTE]


def pending_words(pods: Iterable[Pod]) -> str:
    """What the scheduler says of the first pod that it cannot place; empty if there is none."""
    for pod in pods:
        for condition in (pod.body.get("status") or {}).get("conditions") or ():
            unplaced = (
                condition.get("type") == "PodScheduled" and condition.get("status") == "False"
            )
            if unplaced:
                return f"pod {pod.name}: {_quote(str(condition.get('message') or ''))}"
    return ""
