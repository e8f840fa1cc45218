"""`ByNamespace`: objects by key that are also found by their namespace."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

Key = tuple[str, str]
"""Namespace (empty for a cluster-scoped object) and name."""

Kept = TypeVar("Kept")


class ByNamespace(Mapping[Key, Kept]):
    """Objects, with the keys of each namespace beside them from the first question for one on: of pods,
    which are found otherwise, nobody asks."""

    def __init__(self) -> None:
        self._objects: dict[Key, Kept] = {}
        self._of: dict[str, dict[Key, None]] | None = None
        self._listeners: list[Callable[[Key], None]] = []

    def within(self, namespace: str) -> Collection[Key]:
        """The keys of a namespace, in the order in which they came; not to be kept."""
        if self._of is None:
            self._of = {}
            for key in self._objects:
                self._of.setdefault(key[0], {})[key] = None
        return self._of.get(namespace, {}).keys()

    def listen(self, tell: Callable[[Key], None]) -> None:
        """Have the key of each object told that comes, changes or goes from now on, after it did."""
        self._listeners.append(tell)

    def __getitem__(self, key: Key) -> Kept:
        return self._objects[key]

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def __iter__(self) -> Iterator[Key]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, key: Key, value: Kept) -> None:
        """An object, new or not."""
        self._objects[key] = value
        if self._of is not None:
            self._of.setdefault(key[0], {})[key] = None
        self._tell(key)

    def drop(self, key: Key) -> None:
        """It is gone. Raises KeyError where it was not there."""
        del self._objects[key]
        if self._of is not None:
            keys = self._of[key[0]]
            del keys[key]
            if not keys:
                del self._of[key[0]]
        self._tell(key)

    def _tell(self, key: Key) -> None:
        for tell in self._listeners:
            tell(key)


def within(objects: Mapping[Key, Any], namespace: str) -> Collection[Key]:
    """The keys of a namespace: looked up where that is kept, else gone through."""
    if isinstance(objects, ByNamespace):
        return objects.within(namespace)
    return [key for key in objects if key[0] == namespace]
