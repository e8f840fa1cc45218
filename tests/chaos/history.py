"""What the API server held, version by version: the only thing that the oracle judges by.

All kinds share one etcd, whose revision is the resourceVersion of each object: sorted by it, versions
of different kinds stand in the order in which they were written (kubernetes.io, API concepts).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.api import Object

Key = tuple[str, str, str]
"""Plural of the kind, namespace, name."""

DEPLOYMENTS, SYNCS = "deployments", "kveventsyncs"

Change = Callable[[Object], None]
"""What a user does to an object, in place. Done twice it does nothing more."""


@dataclass(frozen=True, slots=True)
class Version:
    """An object from this revision on; ``body`` None: it is gone."""

    key: Key
    revision: int
    body: Object | None


@dataclass(frozen=True, slots=True)
class Edit:
    """A user's change, and the revision that it is seen from."""

    key: Key
    revision: int
    change: Change


@dataclass(frozen=True, slots=True)
class Moment:
    """A version, what its object was before it, and all objects as of it."""

    version: Version
    before: Object | None
    state: Mapping[Key, Object]

    @property
    def body(self) -> Object | None:
        """The object as of this version."""
        return self.version.body


@dataclass(frozen=True)
class History:
    """Versions in the order of their revisions, those from before the first change included."""

    versions: tuple[Version, ...]
    edits: tuple[Edit, ...] = ()
    _own: frozenset[tuple[Key, int]] = field(init=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.versions, key=lambda version: version.revision))
        object.__setattr__(self, "versions", ordered)
        own = frozenset((edit.key, edit.revision) for edit in self.edits)
        object.__setattr__(self, "_own", own)

    def moments(self) -> Iterator[Moment]:
        """All of it again, one version after the other. ``state`` is the same mapping at each."""
        state: dict[Key, Object] = {}
        for version in self.versions:
            before = state.pop(version.key, None)
            if version.body is not None:
                state[version.key] = version.body
            yield Moment(version, before, state)

    def end(self) -> dict[Key, Object]:
        """The objects that are there at last."""
        last = {version.key: version.body for version in self.versions}
        return {key: body for key, body in last.items() if body is not None}

    def of(self, key: Key) -> list[Version]:
        """The versions of one object."""
        return [version for version in self.versions if version.key == key]

    def keys(self, kind: str) -> list[Key]:
        """The objects of a kind that ever were."""
        return sorted({version.key for version in self.versions if version.key[0] == kind})

    def is_users(self, version: Version) -> bool:
        """Whether a user wrote this version."""
        return (version.key, version.revision) in self._own

    def wanted(self, key: Key) -> Object | None:
        """What stands there had nobody but its users written it; None where it is gone."""
        versions = self.of(key)
        if versions[0].body is None or versions[-1].body is None:
            return None
        return with_changes(versions[0].body, (e.change for e in self.edits if e.key == key))


def with_changes(body: Object, changes: Iterable[Change]) -> Object:
    """A copy of an object with changes made to it, in order."""
    changed = copy.deepcopy(body)
    for change in changes:
        change(changed)
    return changed


def revision_of(body: Object) -> int:
    """The revision that wrote a version."""
    return int(body["metadata"]["resourceVersion"])


def template_of(body: Object | None) -> Any:
    """The pod template of a Deployment."""
    return None if body is None else body["spec"]["template"]


def annotated(key: str, value: str) -> Change:
    """A user sets an annotation of the object."""

    def change(body: Object) -> None:
        body["metadata"].setdefault("annotations", {})[key] = value

    return change


def labelled(key: str, value: str) -> Change:
    """A user sets a label of the object."""

    def change(body: Object) -> None:
        body["metadata"].setdefault("labels", {})[key] = value

    return change


def scaled(replicas: int) -> Change:
    """A user sets the number of pods."""

    def change(body: Object) -> None:
        body["spec"]["replicas"] = replicas

    return change


def with_variable(name: str, value: str) -> Change:
    """A user sets a variable of the first container: a rollout of his own."""

    def change(body: Object) -> None:
        env = body["spec"]["template"]["spec"]["containers"][0].setdefault("env", [])
        found = next((item for item in env if item["name"] == name), None)
        if found is None:
            env.append({"name": name, "value": value})
        else:
            found["value"] = value

    return change


def with_argument(word: str) -> Change:
    """A user adds a word to the first container's arguments: a rollout of his own."""

    def change(body: Object) -> None:
        args = body["spec"]["template"]["spec"]["containers"][0].setdefault("args", [])
        if word not in args:
            args.append(word)

    return change
