"""Who manages a field of a workload, by its ``managedFields``.

A path is one of ``fieldsV1``: ``f:args`` is a field, ``k:{"name":"vllm"}`` an item of a list that is
merged by name. ``args`` and ``command`` are atomic: who wrote one word owns the whole list. Where a
kind does not say how its lists are merged, as a StormService of its roles, whoever owns the list
owns everything in it.

Source: Kubernetes, "Server-Side Apply" (field management); structured-merge-diff, ``fieldpath``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kvsync.core.slot import SLOT_VARIABLE
from kvsync.model.record import FIELD_MANAGER, Place
from kvsync.model.relay import RELAY_CONTAINER, RELAY_VOLUME
from kvsync.model.storm import Role, StormService
from kvsync.model.workload import Deployment

Path = tuple[str, ...]

_TEMPLATE: Path = ("f:spec", "f:template")
_CONTAINERS: Path = (*_TEMPLATE, "f:spec", "f:containers")
_LISTS: Mapping[str, Path] = {
    name: (*_TEMPLATE, "f:spec", f"f:{name}")
    for name in ("initContainers", "containers", "volumes")
}
_LABELS: Path = (*_TEMPLATE, "f:metadata", "f:labels")


@dataclass(frozen=True, slots=True)
class Holder:
    """A manager that owns a field. ``time``: when what it manages last changed, RFC 3339."""

    manager: str
    operation: str
    time: str = ""
    whole: bool = False
    """Whether it owns the field with the whole list that the pod template stands in."""

    @property
    def applies(self) -> bool:
        """Whether it applies server-side: then it holds its fields against every other manager."""
        return self.operation == "Apply"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that we write: where it stands, and what it is called in sentences.

    ``place`` is what kind of field it is; None for a label. Without ``path`` nobody can be told to
    own it, since owners' own items stand beside ours. ``item``: an item of ours in the list at the
    path, which belongs to another manager only where that one holds the list as one thing.
    """

    title: str
    path: Path = ()
    place: Place | None = None
    item: bool = False

    @property
    def is_slot(self) -> bool:
        """Whether it is the variable that its owner leaves to us."""
        return self.place is Place.ENV and self.path[-1:] == (_key(SLOT_VARIABLE),)


@dataclass(frozen=True, slots=True)
class Claim:
    """A field that we write and that another manager owns."""

    field: Field
    holder: Holder

    @property
    def title(self) -> str:
        """What is owned, as far as its owner sees it."""
        if self.holder.whole and not self.field.item:
            return "whole list of roles"
        return self.field.title


def written_fields(live: Deployment, target: Deployment) -> tuple[Field, ...]:
    """The fields of the pod template in which the target differs: the command line first."""
    return (*_of_containers(live, target), *_of_lists(live, target), *_of_labels(live, target))


def _of_containers(live: Deployment, target: Deployment) -> Iterator[Field]:
    for before in live.containers:
        after = target.container(before.name)
        if after is None:
            continue
        at = (*_CONTAINERS, _key(before.name))
        for place in (Place.ARGS, Place.COMMAND):
            if before.body.get(place.value) != after.body.get(place.value):
                title = f"{place.value} of container {before.name}"
                yield Field(title, (*at, f"f:{place.value}"), place)
        for name in _differing(_variables(before.body), _variables(after.body)):
            yield variable_field(before.name, name)
        if before.body.get("ports") != after.body.get("ports"):
            yield Field(f"ports of container {before.name}")


def _of_lists(live: Deployment, target: Deployment) -> Iterator[Field]:
    """Containers and volumes that come, go or change as a whole: those of the relay."""
    specs = [each.template.get("spec") or {} for each in (live, target)]
    for name, path in _LISTS.items():
        before, after = ({str(i.get("name")): i for i in s.get(name) or ()} for s in specs)
        for key in _differing(before, after):
            if key in (RELAY_CONTAINER, RELAY_VOLUME):
                kind = "volume" if name == "volumes" else "container"
                yield Field(f"{kind} {key}", path, item=True)


def variable_field(container: str, name: str) -> Field:
    """The field of an environment variable, as of a gateway whose variables someone set back."""
    title = f"variable {name} of container {container}"
    return Field(title, (*_CONTAINERS, _key(container), "f:env", _key(name)), Place.ENV)


def _of_labels(live: Deployment, target: Deployment) -> Iterator[Field]:
    for name in _differing(live.template_labels, target.template_labels):
        yield Field(f"pod label {name}", (*_LABELS, f"f:{name}"))


def _variables(body: Mapping[str, Any]) -> dict[str, Any]:
    return {str(item.get("name")): item for item in body.get("env") or ()}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def _key(name: str) -> str:
    """An item's key as ``fieldsV1`` writes it: compact JSON."""
    return f"k:{json.dumps({'name': name}, separators=(',', ':'), ensure_ascii=False)}"


def claims_on(workload: Deployment, fields: Sequence[Field]) -> tuple[Claim, ...]:
    """Whose the fields are; of a field without an owner nothing."""
    return tuple(Claim(field, holder) for field in fields for holder in holders(workload, field))


def holders(workload: Deployment, field: Field) -> tuple[Holder, ...]:
    """The managers but us that own a field, in the order of ``managedFields``."""
    if not field.path:
        return ()
    found = []
    for holder, fields in _others(workload):
        whole = _owns_template(fields)
        whole = whole or (field.item and _holds_whole(workload, fields, field.path))
        if whole or (not field.item and _owns(fields, field.path)):
            found.append(replace(holder, whole=whole))
    return tuple(found)


def last_writer(workload: Deployment) -> Holder | None:
    """The manager but us that changed the template last, for fields that nobody owns any more."""
    return newest(
        [holder for holder, fields in _others(workload) if "f:template" in fields.get("f:spec", ())]
    )


def newest(found: Sequence[Holder]) -> Holder | None:
    """The one that wrote last. Times of one form, RFC 3339 in UTC, are ordered as texts."""
    return max(found, key=lambda holder: holder.time, default=None)


def _others(workload: Deployment) -> Iterator[tuple[Holder, Mapping[str, Any]]]:
    for entry in workload.body["metadata"].get("managedFields") or ():
        manager = str(entry.get("manager") or "")
        if manager != FIELD_MANAGER:
            operation, time = str(entry.get("operation") or ""), str(entry.get("time") or "")
            yield Holder(manager, operation, time), entry.get("fieldsV1") or {}


def _owns_template(fields: Mapping[str, Any]) -> bool:
    """Whether the template is held as one thing, as an item of a list that is not merged."""
    spec = fields.get("f:spec") or {}
    return "f:template" in spec and not spec["f:template"]


def _holds_whole(workload: Deployment, fields: Mapping[str, Any], path: Path) -> bool:
    """Whether a list is held as one thing, which those of Kubernetes' own kinds never are."""
    if not isinstance(workload, Role | StormService):
        return False
    node: Any = fields
    for step in path:
        node = node.get(step) if isinstance(node, Mapping) else None
    return isinstance(node, Mapping) and not node


def _owns(fields: Mapping[str, Any], path: Path) -> bool:
    node: Any = fields
    for step in path:
        if not isinstance(node, Mapping) or step not in node:
            return False
        node = node[step]
    return True
