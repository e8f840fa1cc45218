"""What the watches keep of an object: what is looked at, not what is only carried along."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypedDict

import msgspec

from kvsync.adapters.kube.resource import PODS
from kvsync.adapters.kube.shape import Shape
from kvsync.model.record import INJECTION_ANNOTATION
from kvsync.model.relay import RELAY_CONTAINER

Json = Mapping[str, Any]

# What is kept of a pod, and so read of it: an API server's types need no second look here.


class _Metadata(TypedDict, total=False):
    name: Any
    namespace: Any
    uid: Any
    labels: Any
    creationTimestamp: Any
    ownerReferences: Any
    deletionTimestamp: Any


class _ReadMetadata(_Metadata, total=False):
    annotations: Any
    resourceVersion: Any
    """Only for the watch, which goes on from there."""


class _Container(TypedDict, total=False):
    name: Any
    image: Any
    command: Any
    args: Any


class _ReadContainer(_Container, total=False):
    env: Any
    ports: Any


class _Condition(TypedDict, total=False):
    type: Any
    status: Any
    reason: Any
    message: Any
    lastTransitionTime: Any


class _ContainerStatus(TypedDict, total=False):
    name: Any
    restartCount: Any
    state: Any
    lastState: Any


class _Spec(TypedDict, total=False):
    containers: list[_ReadContainer] | None
    initContainers: list[_ReadContainer] | None


class _Status(TypedDict, total=False):
    phase: Any
    podIP: Any
    conditions: list[_Condition] | None
    containerStatuses: list[_ContainerStatus] | None
    initContainerStatuses: list[_ContainerStatus] | None


class _Pod(TypedDict, total=False):
    metadata: _ReadMetadata
    spec: _Spec | None
    status: _Status | None


PROJECTED_PODS = PODS.read_as(Shape(_Pod))
"""Pods, with what ``project_pod`` looks at."""

# What the gateway reads of a pod beside its labels (AIBrix ``pkg/constants``, ``tokenizer_pool.go``), and
# what the pod asks for at admission.
_ANNOTATIONS = ("model.aibrix.ai/name", "model.aibrix.ai/engine", INJECTION_ANNOTATION)
_OF_TEMPLATE = ("labels", "ownerReferences")
_ENGINE_VARIABLE = "INFERENCE_ENGINE"
_EVENT_WORD = "kv-events"
_WORDS = frozenset({"namespace", "type", "status", "phase"})
"""Fields whose few values stand on every pod."""
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
    return {
        "metadata": _project_pod_metadata(body["metadata"]),
        "spec": _one_for_all(
            {
                "containers": [_project_container(c) for c in spec.get("containers") or ()],
                **_of_relay("initContainers", spec, _Container.__annotations__),
            }
        ),
        "status": {
            **_interned(_only(status, ("phase", "podIP"))),
            "conditions": [
                _interned(_only(c, _Condition.__annotations__))
                for c in status.get("conditions") or ()
                if _is_judged(c)
            ],
            "containerStatuses": [
                _bounded(_only(c, _ContainerStatus.__annotations__))
                for c in status.get("containerStatuses") or ()
            ],
            **_of_relay("initContainerStatuses", status, _ContainerStatus.__annotations__),
        },
    }


def _is_judged(condition: Json) -> bool:
    """Whether it is ready, and why it is not scheduled; that it is tells nothing more."""
    kind, status = condition.get("type"), condition.get("status")
    return kind == "Ready" or (kind == "PodScheduled" and status == "False")


def _interned(body: dict[str, Any]) -> dict[str, Any]:
    return {
        key: sys.intern(value) if key in _WORDS and type(value) is str else value
        for key, value in body.items()
    }


def _project_pod_metadata(body: Json) -> Json:
    kept = _interned(_only(body, _Metadata.__annotations__))
    kept |= {key: _one_for_all(kept[key]) for key in _OF_TEMPLATE if key in kept}
    annotations = _only(body.get("annotations") or {}, _ANNOTATIONS)
    return kept | ({"annotations": _one_for_all(_bounded(annotations))} if annotations else {})


def _one_for_all(value: Json) -> Any:
    """The same value; equal ones of late are one: the pods of a template differ in little, and that is
    half of what they take. What is kept is never changed in place (``model.workload``)."""
    return _made_of(msgspec.json.encode(value))


@lru_cache(maxsize=1024)  # a list is sorted by name, so the pods of one template come together
def _made_of(text: bytes) -> Any:
    return msgspec.json.decode(text)


def _of_relay(key: str, body: Json, kept: Iterable[str]) -> Json:
    """Of init containers only our own sidecar is looked at."""
    found = [each for each in body.get(key) or () if each.get("name") == RELAY_CONTAINER]
    return {key: [_bounded(_only(each, kept)) for each in found]} if found else {}


def _project_container(body: Json) -> Json:
    """Of the environment only what carries event arguments, for it tells which template a pod is of,
    and what names the engine to the gateway; of ports only the numbers."""
    kept = _only(body, _Container.__annotations__)
    env = [item for item in body.get("env") or () if _is_read(item)]
    ports = [_only(port, ("containerPort",)) for port in body.get("ports") or ()]
    return kept | ({"env": env} if env else {}) | ({"ports": ports} if ports else {})


def _is_read(item: Json) -> bool:
    return item.get("name") == _ENGINE_VARIABLE or _EVENT_WORD in str(item.get("value"))


def _only(body: Json, names: Iterable[str]) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body}


def _bounded(value: Any) -> Any:
    """The same value with long texts cut: a container's last words are its author's."""
    if isinstance(value, str):
        return value[-_MAX_MESSAGE:]
    if isinstance(value, Mapping):
        return {key: _bounded(item) for key, item in value.items()} if value else _NOTHING
    return value
