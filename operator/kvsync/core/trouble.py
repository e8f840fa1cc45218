"""What the kubelet says of a container that does not come up, and what the container itself said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kvsync.core.last_words import quoted, telling_line
from kvsync.core.relay_container import remedy_of
from kvsync.model.decision import CrashedContainer
from kvsync.model.observed import LastWords
from kvsync.model.reasons import ModelReason
from kvsync.model.relay import RELAY_CONTAINER
from kvsync.model.workload import JSON, Pod

_CRASHING = frozenset({"CrashLoopBackOff", "RunContainerError", "CreateContainerError"})
_NO_IMAGE = frozenset({"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_PLAIN_ENDS = frozenset({"", "Error", "Completed"})

REFUSED_ARGUMENTS = 2
"""The exit code of a command line that its parser refuses (Python, ``argparse``)."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a container keeps failing. ``exit_code`` None: it never ran."""

    reason: ModelReason
    pod: str
    evidence: str
    exit_code: int | None = None
    said: str = ""
    silent: CrashedContainer | None = None
    """The container where it left no message, so that only its log can tell."""
    remedy: str = ""
    """What to do, where that depends on the container's own end."""

    def __str__(self) -> str:
        said = f" and said: {self.said}" if self.said else ""
        return f"pod {self.pod}: {self.evidence}{said}"


def trouble_of(pod: Pod, container: str) -> Trouble | None:
    """The trouble that a pod's container is in; None for one that runs or is still starting.

    One failed start is no trouble yet: the kubelet tries again.
    """
    for status in pod.container_statuses:
        if status.get("name") == container:
            return _crash(pod, status) or _no_image(pod, status)
    return None


def heard_out(trouble: Trouble, words: Mapping[str, LastWords] | None) -> Trouble | None:
    """The trouble with what the container's log says; None while that is still to be read."""
    silent = trouble.silent
    if silent is None or words is None:
        return trouble
    found = words.get(silent.uid)
    if found is None:
        return None
    evidence = trouble.evidence
    if found.refused:
        evidence += (
            f"; the operator may not read why: {found.refused}. Grant it 'get' on 'pods/log'"
        )
    return replace(trouble, evidence=evidence, said=found.line, silent=None)


def _crash(pod: Pod, status: JSON) -> Trouble | None:
    state = status.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason", "")
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    restarts = int(status.get("restartCount") or 0)
    # A server never ends by itself: SGLang ends with code 0 where its scheduler fails.
    again = bool(state.get("terminated")) and restarts >= 1
    if not again and (waiting not in _CRASHING or not ended):
        return None
    # Only with terminationMessagePolicy FallbackToLogsOnError, or a file of its own, is there one.
    said, name = telling_line(str(ended.get("message") or "")), str(status["name"])
    end = quoted(str(ended.get("reason") or ""))
    evidence = f"container {name} exited with code {ended.get('exitCode')}"
    of_relay = name == RELAY_CONTAINER
    return Trouble(
        ModelReason.RELAY_DOWN if of_relay else ModelReason.ENGINE_CRASHED,
        pod.name,
        evidence + (f" ({end})" if end not in _PLAIN_ENDS else ""),
        exit_code=ended.get("exitCode"),
        said=said,
        silent=None if said else CrashedContainer(pod.namespace, pod.name, pod.uid, name),
        remedy=remedy_of(status) if of_relay else "",
    )


def _no_image(pod: Pod, status: JSON) -> Trouble | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") not in _NO_IMAGE:
        return None
    said = quoted(str(waiting.get("message") or waiting["reason"]))
    of_relay = status["name"] == RELAY_CONTAINER
    which = f"image of container {RELAY_CONTAINER}" if of_relay else "image"
    return Trouble(
        ModelReason.IMAGE_PULL_FAILED,
        pod.name,
        f"{which} cannot be pulled: {said}",
        remedy=remedy_of(status) if of_relay else "",
    )
