"""`Mirror`: the last known state of objects, projected, and a call for each change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Set
from typing import Generic, TypeVar

from kvsync.adapters.kube.answer import Json
from kvsync.adapters.kube.by_namespace import ByNamespace, Key, within
from kvsync.model.errors import ServerError

log = logging.getLogger(__name__)

Projected = TypeVar("Projected")
OnChange = Callable[[Key, Projected | None, Projected | None], None]


class Mirror(Generic[Projected]):
    """``objects`` is what is known now; ``project`` and ``on_change`` are described at `Watch`."""

    def __init__(
        self, project: Callable[[Json], Projected], on_change: OnChange[Projected]
    ) -> None:
        self._objects: ByNamespace[Projected] = ByNamespace()
        self.objects: Mapping[Key, Projected] = self._objects
        self._project = project
        self._on_change = on_change

    def put(self, item: Json) -> Key:
        """An object as it is now, new or not."""
        key = key_of(item)
        try:
            new = self._project(item)
        except Exception:
            log.exception("%s/%s cannot be read; its last known state is kept", *key)
            return key
        known, old = key in self._objects, self._objects.get(key)
        self._objects.put(key, new)
        if not known or old != new:
            self._tell(key, old, new)
        return key

    def drop(self, key: Key) -> None:
        """An object is gone."""
        if key in self._objects:
            old = self._objects[key]
            self._objects.drop(key)
            self._tell(key, old, None)

    def keep_only(self, namespace: str | None, seen: Set[Key]) -> None:
        """What a complete list of ``namespace`` (None: all) did not show is gone."""
        here = self._objects if namespace is None else within(self._objects, namespace)
        gone = [key for key in here if key not in seen]
        for key in gone:
            self.drop(key)

    def _tell(self, key: Key, old: Projected | None, new: Projected | None) -> None:
        try:
            self._on_change(key, old, new)
        except Exception:
            log.exception("the change of %s/%s was not taken", *key)


def key_of(item: Json) -> Key:
    """An object's namespace and name.

    Raises:
        ServerError: it has no name: this is no object of a Kubernetes API server.
    """
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not metadata or not name:
        raise ServerError("an object came without a name", reason="NotKubernetes")
    return metadata.get("namespace") or "", name
