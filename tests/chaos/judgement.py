"""The promises of the design, judged by a history: each broken one is told in plain words.

Nothing of the operator's own decisions is asked: what a configuration, a flag or a rollout is, is
written down here once more, from the product text and from Kubernetes' own documentation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.flag import early_flags, late_flags
from chaos.history import (
    DEPLOYMENTS,
    SYNCS,
    History,
    Key,
    Version,
    template_of,
    with_changes,
)
from chaos.looks import condition, configurations
from testbed.api import Object, rolled_out

REVISION = "deployment.kubernetes.io/revision"
"""Written by the Deployment controller."""
_COUNTS = ("replicas", "updatedReplicas", "availableReplicas")


@dataclass(frozen=True)
class Stage:
    """What is judged: the objects of a namespace and their gateway, as (name, namespace).

    ``at_once``: how many models may roll at a time. ``rollouts``: the most that each Deployment may
    have of the operator, by name, as an undisturbed run had them; others are not limited.
    """

    namespace: str
    gateway: tuple[str, str] | None = None
    at_once: int = 1
    rollouts: Mapping[str, int] = field(default_factory=dict)

    @property
    def gateway_key(self) -> Key | None:
        """The gateway's Deployment."""
        return (DEPLOYMENTS, self.gateway[1], self.gateway[0]) if self.gateway else None

    def holds(self, key: Key) -> bool:
        """Whether an object is part of it."""
        return key == self.gateway_key or key[1] == self.namespace


def broken(history: History, stage: Stage) -> list[str]:
    """Every promise that was broken on the way or is at the end, but for the status' (``truth``)."""
    return [
        *lost_edits(history),
        *inexact_undo(history),
        *double_configurations(history),
        *surplus_rollouts(history, stage),
        *crowded_rollouts(history, stage),
        *early_flags(history, stage.gateway_key),
        *late_flags(history, stage.gateway_key),
    ]


def lost_edits(history: History) -> Iterator[str]:
    """Users' changes that a later version lacks, although no user took them back."""
    for number, edit in enumerate(history.edits, 1):
        later = [e for e in history.edits if e.key == edit.key and e.revision > edit.revision]
        end = min((e.revision for e in later if _takes_back(edit.change, e.change)), default=None)
        for version in history.of(edit.key):
            if version.revision < edit.revision or version.body is None:
                continue
            if end is not None and version.revision >= end:
                break
            if with_changes(version.body, [edit.change]) != version.body:
                yield f"user edit {number} of {name_of(edit.key)} is lost at {version.revision}"
                break


def _takes_back(first: Any, second: Any) -> bool:
    """Whether a change undoes an earlier one: known by trying both on an empty Deployment."""
    container: Object = {"name": "any"}
    template = {"metadata": {}, "spec": {"containers": [container]}}
    empty: Object = {"metadata": {}, "spec": {"template": template}}
    both = with_changes(empty, [first, second])
    return with_changes(both, [first]) != both


def inexact_undo(history: History) -> Iterator[str]:
    """Once no KVEventSync is left: Deployments that are not as they were, their users' edits included."""
    end = history.end()
    if any(key[0] == SYNCS for key in end):
        return
    for key in history.keys(DEPLOYMENTS):
        wanted = history.wanted(key)
        if key in end and wanted is not None:
            for path in differences(_owners_part(wanted), _owners_part(end[key])):
                yield f"{name_of(key)} is not undone: {path}"


def _owners_part(body: Object) -> Object:
    metadata = body["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != REVISION}
    labels = metadata.get("labels") or {}
    return {"spec": body["spec"], "labels": labels, "annotations": annotations}


def double_configurations(history: History) -> Iterator[str]:
    """Versions with two event configurations, or with a variable or port twice that was there once."""
    told: set[tuple[Key, str]] = set()
    for moment in history.moments():
        version = moment.version
        if version.key[0] != DEPLOYMENTS or version.body is None:
            continue
        for fault in _doubled(version.body):
            if (version.key, fault) not in told and not _was_so(history, version, fault):
                told.add((version.key, fault))
                yield f"{name_of(version.key)} at {version.revision}: {fault}"


def _doubled(body: Object) -> Iterator[str]:
    for container in template_of(body)["spec"]["containers"]:
        found = configurations(container)
        if len(found) > 1:
            yield f"container {container['name']} has {len(found)} event configurations"
        for what, values in (
            ("variable", [item["name"] for item in container.get("env") or ()]),
            ("port", [str(port["containerPort"]) for port in container.get("ports") or ()]),
        ):
            for value, times in Counter(values).items():
                if times > 1:
                    yield f"container {container['name']} has {what} {value} {times} times"


def _was_so(history: History, version: Version, fault: str) -> bool:
    first = history.of(version.key)[0].body
    return first is not None and fault in _doubled(first)


def rollouts(history: History) -> Counter[str]:
    """How often each Deployment, by name, got another pod template of somebody who is no user."""
    return Counter(version.key[2] for version in our_changes(history))


def our_changes(history: History) -> Iterator[Version]:
    """The versions by which the operator gave a Deployment another pod template.

    No controller of Kubernetes changes one: what is no user's is the operator's.
    """
    for moment in history.moments():
        version, before = moment.version, moment.before
        if version.key[0] != DEPLOYMENTS or version.body is None or before is None:
            continue
        changed = template_of(version.body) != template_of(before)
        if changed and not history.is_users(version):
            yield version


def surplus_rollouts(history: History, stage: Stage) -> Iterator[str]:
    """Deployments that were restarted more often than in an undisturbed run."""
    for name, times in sorted(rollouts(history).items()):
        most = stage.rollouts.get(name)
        if most is not None and times > most:
            yield f"{name} was restarted {times} times, an undisturbed run does it {most} times"


def crowded_rollouts(history: History, stage: Stage) -> Iterator[str]:
    """The first moment at which more models than allowed were rolling by the operator's hand."""
    ours = {(version.key, version.revision) for version in our_changes(history)}
    rolling: set[Key] = set()
    for moment in history.moments():
        version = moment.version
        if (version.key, version.revision) in ours and version.key != stage.gateway_key:
            rolling.add(version.key)
        elif version.body is None or (version.key[0] == DEPLOYMENTS and rolled_out(version.body)):
            rolling.discard(version.key)
        if len(rolling) > stage.at_once:
            names = ", ".join(sorted(key[2] for key in rolling))
            yield f"{names} roll at once at {version.revision}, {stage.at_once} may"
            return


def name_of(key: Key) -> str:
    """An object in a message."""
    return f"{key[0]} {key[1]}/{key[2]}"


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ, each with both sides."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted({*wanted, *found}):
            yield from differences(wanted.get(key), found.get(key), f"{path}/{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one, other, f"{path}/{number}")
    elif wanted != found:
        yield f"{path} is {str(found)[:300]}, was {str(wanted)[:300]}"


def retold(history: History) -> str:
    """The history in lines, for who looks for the cause of a broken promise."""
    return "\n".join(_line(history, moment.version, moment.before) for moment in history.moments())


def _line(history: History, version: Version, before: Object | None) -> str:
    words = [str(version.revision), version.key[2]]
    body = version.body
    if body is None:
        return " ".join([*words, "is gone"])
    status = body.get("status") or {}
    if version.key[0] == DEPLOYMENTS:
        if before is not None and template_of(before) != template_of(body):
            words.append("NEW TEMPLATE")
        counts = [f"{k}={status.get(k, 0)}" for k in _COUNTS]
        seen = f"{status.get('observedGeneration')}/{body['metadata']['generation']}"
        words += ["generation", seen, *counts, "rolled out" if rolled_out(body) else "rolls"]
        words += [
            f"{c['reason']} {c['lastUpdateTime']}"
            for c in status.get("conditions") or ()
            if c["type"] == "Progressing"
        ]
    else:
        said = condition(body, "Ready")
        words += [f"Ready={said.get('status')} {said.get('reason')}"]
        words += [f"{m['name']}={m.get('state')}" for m in status.get("models") or ()]
        words += ["deleted"] if "deletionTimestamp" in body["metadata"] else []
    return " ".join([*words, "(user)"] if history.is_users(version) else words)
