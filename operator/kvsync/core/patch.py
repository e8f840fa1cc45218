"""JSON Patch (RFC 6902): the difference of two values as guarded operations, and their application.

Every operation that changes a value is preceded by a ``test`` of what stood there, so a patch
never overwrites an edit that we have not read. ``test`` of an absent path against null holds, as
in the API server's library (evanphx/json-patch); that is how an ``add`` is guarded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment

Operation = dict[str, Any]
_ABSENT: Any = object()


class PatchConflictError(Exception):
    """A ``test`` failed or a path is missing: the object is not what the patch was made for."""


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901) from its parts."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def expect(path: str, value: Any) -> Operation:
    """An operation that fails the whole patch unless the value stands at the path."""
    return {"op": "test", "path": path, "value": value}


def guarded(
    deployment: Deployment, operations: list[Operation], container: str = ""
) -> tuple[Operation, ...]:
    """The operations behind tests that this is still the same object with the container in place."""
    tests = []
    if deployment.uid:
        tests.append(expect("/metadata/uid", deployment.uid))
    found = deployment.container(container) if container else None
    if found is not None:
        path = pointer("spec", "template", "spec", "containers", found.index, "name")
        tests.append(expect(path, container))
    if isinstance(deployment, StormService):
        tests += _places(deployment)
    return (*tests, *operations)


def _places(storm: StormService) -> list[Operation]:
    """Tests that roles and their containers stand where they were read: paths count them."""
    tests = []
    for role in storm.roles:
        at = pointer("spec", "template", "spec", "roles", role.index)
        tests.append(expect(f"{at}/name", role.role))
        for container in role.containers:
            path = at + pointer("template", "spec", "containers", container.index, "name")
            tests.append(expect(path, container.name))
    return tests


def difference(old: Any, new: Any, path: str = "") -> list[Operation]:
    """The guarded operations that turn ``old`` into ``new``; none when they are equal.

    Mappings are compared key by key, lists of one length item by item; any other list is replaced
    as a whole, which keeps the order that both sides meant.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _mapping_difference(old, new, path)
    if _is_list(old) and _is_list(new) and len(old) == len(new):
        return [
            operation
            for index, (before, after) in enumerate(zip(old, new, strict=True))
            for operation in difference(before, after, path + pointer(index))
        ]
    if old == new and type(old) is type(new):  # true is not 1
        return []
    return [expect(path, old), {"op": "replace", "path": path, "value": new}]


def _mapping_difference(
    old: Mapping[str, Any], new: Mapping[str, Any], path: str
) -> list[Operation]:
    operations: list[Operation] = []
    for key, before in old.items():
        if new.get(key, _ABSENT) is before:  # `apply` shares what it leaves as it was: nearly all
            continue
        at = path + pointer(key)
        if key not in new:
            operations += [expect(at, before), {"op": "remove", "path": at}]
        else:
            operations += difference(before, new[key], at)
    for key in new:
        if key not in old:
            at = path + pointer(key)
            operations += [expect(at, None), {"op": "add", "path": at, "value": new[key]}]
    return operations


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def apply(document: Any, operations: Sequence[Operation]) -> Any:
    """The document after the operations; the given one is left as it is.

    Knows the four operations that :func:`difference` writes.

    Raises:
        PatchConflictError: a ``test`` did not hold or a path does not exist.
    """
    for operation in operations:
        parts = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        document = _apply_one(document, parts, operation)
    return document


def _apply_one(document: Any, parts: list[str], operation: Operation) -> Any:
    if not parts:
        return _settle(document, operation)
    head, rest = parts[0], parts[1:]
    child = _child(document, head)
    if child is _ABSENT and (rest or operation["op"] in ("replace", "remove")):
        raise PatchConflictError(f"there is nothing at {operation['path']}")
    if not rest and operation["op"] == "remove":
        return _without(document, head)
    return _with(document, head, _apply_one(child, rest, operation))


def _settle(current: Any, operation: Operation) -> Any:
    if operation["op"] != "test":
        return operation["value"]
    if (None if current is _ABSENT else current) != operation["value"]:
        raise PatchConflictError(f"the value at {operation['path']} has changed")
    return current


def _child(document: Any, key: str) -> Any:
    if isinstance(document, Mapping):
        return document.get(key, _ABSENT)
    if _is_list(document) and key.isdigit() and int(key) < len(document):
        return document[int(key)]
    return _ABSENT


def _with(document: Any, key: str, value: Any) -> Any:
    if value is _ABSENT:
        return document
    if isinstance(document, Mapping):
        return {**document, key: value}
    if not key.isdigit() or int(key) >= len(document):
        raise PatchConflictError(f"there is no item {key}")
    return [*document[: int(key)], value, *document[int(key) + 1 :]]


def _without(document: Any, key: str) -> Any:
    if isinstance(document, Mapping):
        return {k: v for k, v in document.items() if k != key}
    return [item for index, item in enumerate(document) if index != int(key)]
