"""What the watches keep of an object: what is looked at, not what is only carried along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_POD_METADATA = (
    "name",
    "namespace",
    "uid",
    "labels",
    "ownerReferences",
    "deletionTimestamp",
)
_CONTAINER = ("name", "image", "command", "args")
_CONTAINER_STATUS = ("name", "restartCount", "state", "lastState")
_MAX_MESSAGE = 2048


def project_deployment(body: Json) -> Json:
    """A Deployment without ``managedFields``, the bulk of most objects."""
    metadata = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    return {**body, "metadata": metadata}


def project_pod(body: Json) -> Json:
    """The parts of a pod that decide anything; environment and volumes are not among them."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return {
        "metadata": _only(body["metadata"], _POD_METADATA),
        "spec": {"containers": [_only(c, _CONTAINER) for c in spec.get("containers") or ()]},
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


def _only(body: Json, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body}


def _bounded(value: Any) -> Any:
    """The same value with long texts cut: a container's last words are its author's."""
    if isinstance(value, str):
        return value[-_MAX_MESSAGE:]
    if isinstance(value, Mapping):
        return {key: _bounded(item) for key, item in value.items()}
    return value
