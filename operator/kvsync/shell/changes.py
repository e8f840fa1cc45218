"""`Changes`: which objects of a namespace changed since somebody last asked, for what is derived of them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from kvsync.adapters.kube.by_namespace import ByNamespace, Key


class Changes:
    """Of one store, for one who asks. Only namespaces that were asked for are kept."""

    def __init__(self, store: Mapping[Key, Any]) -> None:
        self._tells = isinstance(store, ByNamespace)
        self._changed: dict[str, set[Key]] = {}
        if isinstance(store, ByNamespace):
            store.listen(self.note)

    def note(self, key: Key) -> None:
        """An object came, changed or went."""
        changed = self._changed.get(key[0])
        if changed is not None:
            changed.add(key)

    def since(self, namespace: str) -> Set[Key] | None:
        """What changed since this was last asked; None: all may have, for it is the first time, or the
        store does not tell."""
        if not self._tells:
            return None
        changed = self._changed.get(namespace)
        if changed is None or changed:
            self._changed[namespace] = set()
        return changed

    def forget(self, namespace: str) -> None:
        """Nobody asks for that namespace any more."""
        self._changed.pop(namespace, None)
