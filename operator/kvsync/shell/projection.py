"""What the watches keep of an object: what is looked at, not what is only carried along."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from kvsync.model.record import INJECTION_ANNOTATION
from kvsync.model.relay import RELAY_CONTAINER

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
# What the gateway reads of a pod beside its labels (AIBrix ``pkg/constants``, ``tokenizer_pool.go``), and
# what the pod asks for at admission.
_ANNOTATIONS = ("model.aibrix.ai/name", "model.aibrix.ai/engine", INJECTION_ANNOTATION)
_ENGINE_VARIABLE = "INFERENCE_ENGINE"
_CONTAINER = ("name", "image", "command", "args")
_EVENT_WORD = "kv-events"
_CONTAINER_STATUS = ("name", "restartCount", "state", "lastState")
_MAX_MESSAGE = 2048
_NOTHING: Json = {}


def project_workload(body: Json) -> Json:
    """A Deployment or StormService with the least of its ``managedFields``, the bulk of most objects."""
    metadata = dict(body["metadata"])
    if "managedFields" in metadata:
        metadata["managedFields"] = [_project_manager(e) for e in metadata["managedFields"]]
    return {**body, "metadata": metadata}


def _project_manager(entry: Json) -> Json:
    """Who it is, and what it holds of the fields that we may write (core.ownership, core.handback)."""
    fields = entry.get("fieldsV1") or {}
    kept = _only(entry, ("manager", "operation", "time"))
    return kept | {"fieldsV1": _only_written(fields, _WRITTEN)} if "f:spec" in fields else kept


_Shape = Mapping[str, Any]
_ITEM = "k:"
_CONTAINER_FIELDS: _Shape = {"f:args": {}, "f:command": {}, "f:env": {_ITEM: {}}}
_TEMPLATE: _Shape = {
    "f:metadata": {"f:labels": {"f:": {}}},
    "f:spec": {
        "f:containers": {_ITEM: _CONTAINER_FIELDS},
        # Whether such a list is held as one thing: then ours goes with its owner's next change.
        "f:initContainers": {_ITEM: {}},
        "f:volumes": {_ITEM: {}},
    },
}
_ROLE: _Shape = {"f:template": _TEMPLATE}
_WRITTEN: _Shape = {
    "f:spec": {
        "f:template": {
            **_TEMPLATE,
            "f:spec": {**_TEMPLATE["f:spec"], "f:roles": {_ITEM: _ROLE}},
        }
    }
}
"""The paths that are kept; ``k:`` stands for any item of a list, ``f:`` for any field of a map."""

_SELF: _Shape = {".": {}}
"""Stands where something was held that is not kept: an empty place would mean all of it."""


def _only_written(fields: Json, shape: _Shape) -> Json:
    """The part of a ``fieldsV1`` that a shape covers. Keys recur on every object: each is kept once."""
    kept = {
        sys.intern(key): _only_written(value, below) if below else _NOTHING
        for key, value in fields.items()
        if (below := shape.get(key, shape.get(key[:2]))) is not None
    }
    return kept or (_SELF if fields else _NOTHING)


def project_pod(body: Json) -> Json:
    """The parts of a pod that decide anything; volumes are not among them."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    annotations = _only(body["metadata"].get("annotations") or {}, _ANNOTATIONS)
    return {
        "metadata": _only(body["metadata"], _POD_METADATA)
        | ({"annotations": _bounded(annotations)} if annotations else {}),
        "spec": {
            "containers": [_project_container(c) for c in spec.get("containers") or ()],
            **_of_relay("initContainers", spec, _CONTAINER),
        },
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
            **_of_relay("initContainerStatuses", status, _CONTAINER_STATUS),
        },
    }


def _of_relay(key: str, body: Json, kept: tuple[str, ...]) -> Json:
    """Of init containers only our own sidecar is looked at."""
    found = [each for each in body.get(key) or () if each.get("name") == RELAY_CONTAINER]
    return {key: [_bounded(_only(each, kept)) for each in found]} if found else {}


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
