"""What an owner's own tool is to change in a manifest: a JSON patch (RFC 6902) without tests.

A list is changed where it differs and not as a whole, so that the patch fits a manifest whose owner
changes the rest of it. ``/-`` is the end of a list; a field that is absent is made with its content.

Source: kustomize, "patches" (JSON6902), which applies it by evanphx/json-patch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvsync.core.patch import Operation, pointer
from kvsync.model.workload import JSON

_TEMPLATE = "/spec/template"


def owner_patch(before: JSON, after: JSON) -> tuple[Operation, ...]:
    """The operations that give a workload's manifest the pod template of another one; with a
    StormService those of its roles."""
    old, new = before["spec"].get("template"), after["spec"].get("template")
    return tuple(_changes(old, new, _TEMPLATE))


def as_text(operations: Sequence[Operation]) -> str:
    """The operations as one line of JSON."""
    return json.dumps(list(operations), separators=(",", ":"), ensure_ascii=False)


def _changes(old: Any, new: Any, path: str) -> Iterator[Operation]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _mapping_changes(old, new, path)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        yield from _list_changes(old, new, path)
    elif not _same(old, new):
        yield {"op": "replace", "path": path, "value": new}


def _mapping_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], path: str
) -> Iterator[Operation]:
    for key, before in old.items():
        at = path + pointer(key)
        if key in new:
            yield from _changes(before, new[key], at)
        else:
            yield {"op": "remove", "path": at}
    for key, after in new.items():
        if key not in old:
            yield {"op": "add", "path": path + pointer(key), "value": after}


def _list_changes(old: Sequence[Any], new: Sequence[Any], path: str) -> Iterator[Operation]:
    head = _common(old, new)
    tail = _common([*reversed(old[head:])], [*reversed(new[head:])])
    gone, come = old[head : len(old) - tail], new[head : len(new) - tail]
    both = min(len(gone), len(come))
    for index in range(both):
        yield from _changes(gone[index], come[index], path + pointer(head + index))
    for index in reversed(range(both, len(gone))):
        yield {"op": "remove", "path": path + pointer(head + index)}
    for index in range(both, len(come)):
        place = pointer(head + index) if tail else "/-"
        yield {"op": "add", "path": path + place, "value": come[index]}


def _common(old: Sequence[Any], new: Sequence[Any]) -> int:
    """How many items two lists begin with alike."""
    count = 0
    for before, after in zip(old, new, strict=False):
        if not _same(before, after):
            break
        count += 1
    return count


def _same(old: Any, new: Any) -> bool:
    # true is not 1, however deep it stands.
    return bool(old == new) and _canonical(old) == _canonical(new)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
