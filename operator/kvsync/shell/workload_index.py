"""`WorkloadIndex`: the workloads of a namespace that an object means, found without looking at each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from kvsync.adapters.kube.by_namespace import Key, within
from kvsync.model.decision import Kind
from kvsync.model.spec import ModelSelection
from kvsync.model.workload import Deployment
from kvsync.shell.changes import Changes
from kvsync.shell.label_index import LabelIndex
from kvsync.shell.traits import Trait, trait_of

Named = tuple[Kind, str]
"""A workload of the namespace: its kind and its name."""
Find = Callable[[str, str], Deployment | None]


class WorkloadIndex:
    """``stores``: for each kind what is watched, and what gives one of them as last watched or written.

    A namespace is indexed when it is first asked for; later what changed in it is. A body is never
    changed in place, so that one that is the same was not changed.
    """

    def __init__(self, stores: Mapping[Kind, tuple[Mapping[Key, Any], Find]]) -> None:
        self._stores = stores
        self._changes = {kind: Changes(store) for kind, (store, _) in stores.items()}
        self._shelves: dict[str, _Shelf] = {}

    def note(self, kind: Kind, key: Key) -> None:
        """One is another than its watch told, for we wrote it."""
        self._changes[kind].note(key)

    def forget(self, namespace: str) -> None:
        """No object is left there."""
        self._shelves.pop(namespace, None)
        for changes in self._changes.values():
            changes.forget(namespace)

    def meant(self, namespace: str, uid: str, models: ModelSelection) -> list[Trait]:
        """Those that an object of that uid selects, carry its mark, or are not given back yet."""
        return list(self._shelf(namespace).meant(uid, models))

    def trait(self, namespace: str, kind: Kind, name: str) -> Trait | None:
        """What is known of one; None where it is not there."""
        return self._shelf(namespace).traits.get((kind, name))

    def _shelf(self, namespace: str) -> _Shelf:
        shelf = self._shelves.get(namespace)
        if shelf is None:
            shelf = self._shelves[namespace] = _Shelf()
        for kind, (store, find) in self._stores.items():
            changed: Collection[Key] | None = self._changes[kind].since(namespace)
            if changed is None:
                changed = {*within(store, namespace), *shelf.keys(kind, namespace)}
            for key in changed:
                shelf.put((kind, key[1]), find(*key))
        return shelf


class _Shelf:
    """The workloads of one namespace."""

    def __init__(self) -> None:
        self.traits: dict[Named, Trait] = {}
        self._labels: LabelIndex[Named] = LabelIndex()
        self._owned: dict[str, dict[Named, None]] = {}
        self._owed: dict[Named, None] = {}

    def keys(self, kind: Kind, namespace: str) -> Iterator[Key]:
        return ((namespace, name) for each, name in self.traits if each is kind)

    def meant(self, uid: str, models: ModelSelection) -> Iterator[Trait]:
        held = {**self._owed, **(self._owned.get(uid, {}) if uid else {})}
        maybe: dict[Named, None] = {(kind, name): None for kind in _KINDS for name in models.names}
        if models.selector is not None:
            maybe |= dict.fromkeys(self._labels.candidates(models.selector))
        for named in {**held, **maybe}:
            trait = self.traits.get(named)
            if trait is not None and (named in held or models.selects(trait.name, trait.labels)):
                yield trait

    def put(self, named: Named, workload: Deployment | None) -> None:
        """One as it is now; None: it is gone."""
        known = self.traits.get(named)
        if known is not None:
            if workload is not None and known.workload.body is workload.body:
                return
            self._take_off(named, known)
        if workload is not None:
            self._add(named, trait_of(workload))

    def _take_off(self, named: Named, trait: Trait) -> None:
        del self.traits[named]
        self._labels.drop(named)
        self._owed.pop(named, None)
        if trait.owner_uid:
            owned = self._owned[trait.owner_uid]
            del owned[named]
            if not owned:
                del self._owned[trait.owner_uid]

    def _add(self, named: Named, trait: Trait) -> None:
        self.traits[named] = trait
        self._labels.put(named, trait.labels)
        if trait.owed:
            self._owed[named] = None
        if trait.owner_uid:
            self._owned.setdefault(trait.owner_uid, {})[named] = None


_KINDS = (Kind.DEPLOYMENT, Kind.STORM_SERVICE)
