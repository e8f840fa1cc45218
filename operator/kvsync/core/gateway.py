"""The gateway's environment: what it shall be, the one patch that gets it there, and the way back."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kvsync.core.annotations import LARGEST_ANNOTATIONS, beyond_limit
from kvsync.core.environment import is_referenced, reads
from kvsync.core.patch import Operation, difference, guarded
from kvsync.core.releases import gateway_release
from kvsync.core.revert import readable, record_of
from kvsync.model.image import parse_image
from kvsync.model.reasons import ConditionReason
from kvsync.model.record import (
    RECORD_ANNOTATION,
    REPAIRS_ANNOTATION,
    Record,
    ValueChange,
    dump_record,
)
from kvsync.model.repairs import Repairs, dump_repairs
from kvsync.model.spec import GatewayEnvironment
from kvsync.model.version import Version
from kvsync.model.workload import Container, Deployment

OWNERS_ANNOTATION = "kvsync.aibrix.ai/owners"
"""The KVEventSyncs that need the gateway's settings, as ``namespace/name``, comma-separated."""

_WORD = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_MARK = re.compile(rf"(?=[^/]{{1,63}}/.{{1,253}}$){_WORD}/{_WORD}(\.{_WORD})*")


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """What to do with the gateway. ``refusal`` explains why nothing is done although something is wanted."""

    patch: tuple[Operation, ...] = ()
    restarts: bool = False
    """Whether the patch restarts its pods."""
    refusal: tuple[ConditionReason, str] | None = None


def gateway_version(deployment: Deployment, container: str) -> Version | None:
    """The gateway's release, as far as its image tag names one."""
    found = deployment.container(container)
    return parse_image(found.image).version if found else None


def variable_names(environment: GatewayEnvironment, version: Version | None) -> tuple[str, ...]:
    """Which sets of names to write. The old ones are inert where unread, so Auto always has them."""
    if environment is not GatewayEnvironment.AUTO:
        return (environment.value,)
    if version is not None and not gateway_release(version).new_names:
        return (GatewayEnvironment.V0_4.value,)
    return (GatewayEnvironment.V0_4.value, GatewayEnvironment.V0_5.value)


def owners_of(deployment: Deployment) -> tuple[str, ...]:
    """The KVEventSyncs that a gateway is configured for. What can be no object's mark holds nothing:
    whoever may write the gateway may write the annotation too."""
    return _marks(deployment.annotations.get(OWNERS_ANNOTATION, ""))


@lru_cache(maxsize=64)
def _marks(text: str) -> tuple[str, ...]:
    # A pass asks for the same few texts many times, and there may be a thousand marks in one.
    return tuple(mark for mark in text.split(",") if _MARK.fullmatch(mark))


def configured_variables(deployment: Deployment) -> Mapping[str, str]:
    """What we have set on a gateway, by its record; empty where there is none.

    Raises:
        RecordError: the record cannot be read.
    """
    record = record_of(deployment)
    return {name: change.after["value"] for name, change in record.env.items()} if record else {}


def plan_gateway(
    deployment: Deployment,
    container: str,
    wanted: Mapping[str, str],
    owner: str,
    at: int,
    *,
    heard: Collection[str] = (),
    gone: Collection[str] = (),
    repairs: Repairs | None = None,
) -> GatewayPlan:
    """The patch that gives the gateway its environment and notes who needs it; empty when it has both.

    ``heard`` are the objects whose wishes ``wanted`` is made of, ``gone`` those that do not exist any
    more: their marks are taken off. What any other owner was given is not changed. ``repairs`` are noted
    on a gateway that is set again after someone set it back.
    """
    found = deployment.container(container)
    if found is None:
        return GatewayPlan(refusal=_no_container(deployment, container))
    told = {owner, *heard, *gone}
    silent = [mark for mark in owners_of(deployment) if mark not in told]
    refusal = _refusal(deployment, found, wanted, silent)
    if refusal is not None:
        return GatewayPlan(refusal=refusal)
    owners = tuple(sorted({*owners_of(deployment), owner} - set(gone)))
    target = _configured(strip_gateway(deployment), found.index, wanted, at)
    leftover = set() if silent else configured_variables(deployment).keys() - wanted.keys()
    if _effective(found, wanted) and not leftover:
        # What the gateway reads is right: whatever else differs is not worth its restart.
        target = deployment
    restarts = target.template != deployment.template
    if restarts and repairs is not None:
        noted = {**target.annotations, REPAIRS_ANNOTATION: dump_repairs(repairs)}
        target = target.with_annotations(noted)
    target = with_owners(target, owners)
    patch = _patch(deployment, target, container)
    if patch and (size := beyond_limit(target)):
        return GatewayPlan(refusal=_too_large(deployment, size))
    return GatewayPlan(patch, restarts)


def _too_large(deployment: Deployment, size: int) -> tuple[ConditionReason, str]:
    return (
        ConditionReason.RECORD_TOO_LARGE,
        f"The annotations of Deployment {deployment.namespace}/{deployment.name} would come to {size} "
        f"bytes with the record of its variables and the marks of those who need them, and the API server "
        f"takes {LARGEST_ANNOTATIONS} at most. Take long annotations off it.",
    )


def _no_container(deployment: Deployment, container: str) -> tuple[ConditionReason, str]:
    names = ", ".join(c.name for c in deployment.containers)
    return (
        ConditionReason.GATEWAY_CONTAINER_NOT_FOUND,
        f"Deployment {deployment.namespace}/{deployment.name} has no container "
        f"{container!r}. Set spec.gateway.container to one of: {names}.",
    )


def plan_release(deployment: Deployment, *leaving: str) -> tuple[Operation, ...]:
    """The patch that lets go: the last one out restores the environment, the others only their mark.

    Raises:
        RecordError: the record cannot be read.
    """
    owners = owners_of(deployment)
    rest = tuple(owner for owner in owners if owner not in leaving)
    if rest == owners:
        return ()
    target = with_owners(deployment, rest) if rest else strip_gateway(deployment)
    record = record_of(deployment)
    return _patch(deployment, target, record.container if record else "")


def plan_retain(deployment: Deployment, owner: str) -> tuple[Operation, ...]:
    """The patch that takes our mark off and leaves environment and record as they are."""
    owners = owners_of(deployment)
    if owner not in owners:
        return ()
    rest = tuple(other for other in owners if other != owner)
    return _patch(deployment, with_owners(deployment, rest), "")


def _patch(old: Deployment, new: Deployment, container: str) -> tuple[Operation, ...]:
    operations = difference(old.body, new.body)
    return guarded(old, operations, container) if operations else ()


def _refusal(
    deployment: Deployment, container: Container, wanted: Mapping[str, str], silent: Sequence[str]
) -> tuple[ConditionReason, str] | None:
    if not readable(deployment):
        return (
            ConditionReason.RECORD_UNREADABLE,
            f"The annotation {RECORD_ANNOTATION} of Deployment {deployment.namespace}/"
            f"{deployment.name} was edited and cannot be read. Restore it from the Deployment's "
            "history, or remove it.",
        )
    if silent and not _effective(container, wanted):
        differing = sorted(n for n, value in wanted.items() if not _is_right(container, n, value))
        return (
            ConditionReason.CONFLICT,
            f"The gateway is shared with {', '.join(silent[:5])}, which needs other values of "
            f"{', '.join(differing)}. Give all of them the same spec.gateway; nothing was changed.",
        )
    referenced = next((name for name in wanted if is_referenced(container, name)), None)
    if referenced is not None:
        return (
            ConditionReason.GATEWAY_VARIABLE_REFERENCED,
            f"Variable {referenced} of Deployment {deployment.namespace}/{deployment.name} comes "
            "from a reference (valueFrom), which is never replaced. Make it a plain value, or set "
            "what it refers to yourself and spec.gateway.manage to false.",
        )
    return None


def _effective(container: Container, wanted: Mapping[str, str]) -> bool:
    return all(_is_right(container, name, value) for name, value in wanted.items())


def _is_right(container: Container, name: str, value: str) -> bool:
    """Whether a variable says what is wanted, or comes to it."""
    return container.env(name) == value or reads(container, name, value)


def _configured(base: Deployment, index: int, wanted: Mapping[str, str], at: int) -> Deployment:
    body = base.containers[index].body
    env, changes = merge_env(body.get("env") or (), wanted)
    record = Record(
        container=str(body["name"]),
        at=at,
        env=changes,
        env_absent=body.get("env") is None,
        annotations_absent=base.body["metadata"].get("annotations") is None,
    )
    annotations = {**base.annotations, RECORD_ANNOTATION: dump_record(record)}
    return _with_env(base.with_annotations(annotations), index, env)


def merge_env(
    env: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]
) -> tuple[list[Mapping[str, Any]], dict[str, ValueChange]]:
    """The variables with ours in place, and what stood there before.

    A name that stands more than once is changed in its last place, the one that counts. A text of
    somebody's that comes to the wanted value, such as ``$(MODE)``, stays.
    """
    merged = list(env)
    changes: dict[str, ValueChange] = {}
    # One that refers to another is right or wrong only when that one has its value.
    while wrong := _wrong(merged, wanted):
        for name in wrong:
            places = [i for i, item in enumerate(merged) if item.get("name") == name]
            item = {"name": name, "value": wanted[name]}
            if places:
                changes[name] = ValueChange(dict(merged[places[-1]]), item)
                merged[places[-1]] = item
            else:
                changes[name] = ValueChange(None, item)
                merged.append(item)
    return merged, {name: changes[name] for name in wanted if name in changes}


def _wrong(env: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]) -> list[str]:
    container = Container(0, {"env": env})
    return [name for name, value in wanted.items() if not _is_right(container, name, value)]


def strip_gateway(deployment: Deployment) -> Deployment:
    """The gateway without anything of ours; a variable that someone changed since stays.

    Raises:
        RecordError: the record cannot be read.
    """
    record = record_of(deployment)
    annotations = {
        key: value
        for key, value in deployment.annotations.items()
        if key not in (RECORD_ANNOTATION, OWNERS_ANNOTATION, REPAIRS_ANNOTATION)
    }
    stripped = deployment
    if deployment.body["metadata"].get("annotations") is not None:
        absent = bool(record and record.annotations_absent) and not annotations
        stripped = deployment.with_annotations(None if absent else annotations)
    container = deployment.container(record.container) if record else None
    if record is None or container is None or container.body.get("env") is None:
        return stripped
    env = _undo_env(container.body["env"], record)
    return _with_env(stripped, container.index, None if record.env_absent and not env else env)


def _undo_env(env: Sequence[Mapping[str, Any]], record: Record) -> list[Mapping[str, Any]]:
    result: list[Mapping[str, Any]] = []
    open_changes = dict(record.env)
    for item in reversed(env):
        # Of a name that stands twice only the last place was changed.
        change = open_changes.pop(str(item.get("name")), None)
        if change is None or dict(item) != change.after:
            result.append(item)
        elif change.before is not None:
            result.append(change.before)
    return result[::-1]


def _with_env(
    deployment: Deployment, index: int, env: Sequence[Mapping[str, Any]] | None
) -> Deployment:
    body = {k: v for k, v in deployment.containers[index].body.items() if k != "env"}
    return deployment.with_container(index, body if env is None else {**body, "env": list(env)})


def with_owners(deployment: Deployment, owners: Sequence[str]) -> Deployment:
    """The gateway with these as the objects that need it."""
    annotations = {k: v for k, v in deployment.annotations.items() if k != OWNERS_ANNOTATION}
    if owners:
        annotations[OWNERS_ANNOTATION] = ",".join(owners)
    return deployment.with_annotations(annotations)
