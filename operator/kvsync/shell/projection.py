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
# What the gateway reads of a pod beside its labels (AIBrix ``pkg/constants``, ``tokenizer_pool.go``).
_ANNOTATIONS = ("model.aibrix.ai/name", "model.aibrix.ai/engine")
_ENGINE_VARIABLE = "INFERENCE_ENGINE"
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
    annotations = _only(body["metadata"].get("annotations") or {}, _ANNOTATIONS)
    return {
        "metadata": _only(body["metadata"], _POD_METADATA)
        | ({"annotations": _bounded(annotations)} if annotations else {}),
        "spec": {"containers": [_project_container(c) for c in spec.get("containers") or ()]},
        "status": {
            **_only(status, ("phase", "podIP")),
            "conditions": [
                _only(c, ("type", "status", "reason", "message", "lastTransitionTime"))
                for c in status.get("conditions") or ()
                if c.get("type") in ("Ready", "PodScheduled")
            ],
            "containerStatuses": [
                _bounded(_only(c, _CONTAINER_STATUS)) for c in status.get("containerStatuses") or ()
            ],
        },
    }


def _project_container(body: Json) -> Json:
    """Of the environment only what carries event arguments, for it tells which template a pod is of,
    and what names the engine to the gateway; of ports only the numbers."""
    kept = _only(body, _CONTAINER)
    env = [item for item in body.get("env") or () if _is_read(item)]
    ports = [_only(port, ("containerPort",)) for port in body.get("ports") or ()]
    return kept | ({"env": env} if env else {}) | ({"ports": ports} if ports else {})


def _is_read(item: Json) -> bool:
    return item.get("name") == _ENGINE_VARIABLE or _EVENT_WORD in str(item.get("value"))


def _only(body: Json, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body}


def _bounded(value: Any) -> Any:
    """The same value with long texts cut: a container's last words are its author's."""
    if isinstance(value, str):
        return value[-_MAX_MESSAGE:]
    if isinstance(value, Mapping):
        return {key: _bounded(item) for key, item in value.items()}
    return value
