"""What the watches keep of an object: what is looked at, not what is only carried along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsync.model.record import FIELD_MANAGER

Json = Mapping[str, Any]

_POD_METADATA = (
    "name",
    "namespace",
    "uid",
    "labels",
    "creationTimestamp",
    "ownerReferences",
    "deletionTimestamp",
)
_CONTAINER = ("name", "image", "command", "args")
_EVENT_WORD = "kv-events"
_CONTAINER_STATUS = ("name", "restartCount", "state", "lastState")
_MAX_MESSAGE = 2048


def project_workload(body: Json) -> Json:
    """A Deployment or StormService with the least of its ``managedFields``, the bulk of most objects."""
    metadata = dict(body["metadata"])
    if "managedFields" in metadata:
        metadata["managedFields"] = [_project_manager(e) for e in metadata["managedFields"]]
    return {**body, "metadata": metadata}


def _project_manager(entry: Json) -> Json:
    """Who it is, and of our own entry whether it holds anything of the spec (core.handback)."""
    kept = _only(entry, ("manager", "operation"))
    if entry.get("manager") == FIELD_MANAGER:
        kept["fieldsV1"] = {key: {} for key in entry.get("fieldsV1") or {} if key == "f:spec"}
    return kept


def project_pod(body: Json) -> Json:
    """The parts of a pod that decide anything; volumes are not among them."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return {
        "metadata": _only(body["metadata"], _POD_METADATA),
        "spec": {"containers": [_project_container(c) for c in spec.get("containers") or ()]},
        "status": {
            **_only(status, ("phase", "podIP")),
            "conditions": [
                _only(c, ("type", "status", "reason", "message"))
                for c in status.get("conditions") or ()
                if c.get("type") in ("Ready", "PodScheduled")
            ],
            "containerStatuses": [
                _bounded(_only(c, _CONTAINER_STATUS)) for c in status.get("containerStatuses") or ()
            ],
        },
    }


def _project_container(body: Json) -> Json:
    """Of the environment only what carries event arguments: it tells which template a pod is of."""
    kept = _only(body, _CONTAINER)
    env = [item for item in body.get("env") or () if _EVENT_WORD in str(item.get("value"))]
    return {**kept, "env": env} if env else kept


def _only(body: Json, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body}


def _bounded(value: Any) -> Any:
    """The same value with long texts cut: a container's last words are its author's."""
    if isinstance(value, str):
        return value[-_MAX_MESSAGE:]
    if isinstance(value, Mapping):
        return {key: _bounded(item) for key, item in value.items()}
    return value
