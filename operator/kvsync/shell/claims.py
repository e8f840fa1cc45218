"""Which objects of a namespace select the same model: each is read when it changes, not once a pass, and
found by what it selects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvsync.adapters.kube.by_namespace import Key, within
from kvsync.model.observed import FINALIZER, KVEventSync, Rival
from kvsync.model.selector import Demand
from kvsync.model.spec import KVEventSyncSpec, ModelSelection, SpecError
from kvsync.shell.changes import Changes
from kvsync.shell.traits import Trait

Json = Mapping[str, Any]
Place = tuple[str, ...]
"""Where a claim stands in the index: under a name, under a label with its value or with any, or anywhere."""

_ANYWHERE: Place = ("anywhere",)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an object selects, what it is to the others, and whether it makes use of that: one that is
    deleted, paused or cannot be read does not."""

    models: ModelSelection
    rival: Rival
    stands: bool


class Claims:
    """``syncs`` are the objects; ``find`` gives one as last heard of or written."""

    def __init__(
        self, syncs: Mapping[Key, Json], find: Callable[[Key], KVEventSync | None]
    ) -> None:
        self._syncs = syncs
        self._find = find
        self._changes = Changes(syncs)
        self._desks: dict[str, _Desk] = {}
        self._read: dict[str, tuple[Json, KVEventSyncSpec | None]] = {}

    def note(self, key: Key) -> None:
        """An object is another than its watch told, for we wrote it."""
        self._changes.note(key)

    def forget(self, uid: str) -> None:
        """Forget an object that is gone."""
        self._read.pop(uid, None)

    def forget_all(self, namespace: str) -> None:
        """No object is left there."""
        self._desks.pop(namespace, None)
        self._changes.forget(namespace)

    def rivals(self, sync: KVEventSync, model: Trait) -> tuple[Rival, ...]:
        """The others that claim a model, the oldest first.

        One that is deleted, paused or cannot be read claims nothing.
        """
        claims = self._desk(sync.namespace).selecting(model)
        found = (
            claim.rival
            for _, claim in claims
            if claim.stands and claim.rival.owner.uid != sync.owner.uid
        )
        return tuple(sorted(found, key=lambda rival: rival.seniority))

    def selecting(self, namespace: str, model: Trait) -> list[Key]:
        """The objects that select a model, whether or not they claim it."""
        return [key for key, _ in self._desk(namespace).selecting(model)]

    def key_of(self, namespace: str, uid: str) -> Key | None:
        """The object of that uid; None where there is none."""
        return self._desk(namespace).by_uid.get(uid)

    def spec(self, sync: KVEventSync) -> KVEventSyncSpec | None:
        """The spec of an object; None where it cannot be used."""
        body: Json = sync.body.get("spec") or {}
        known = self._read.get(sync.owner.uid)
        if known is None or known[0] != body:
            known = self._read[sync.owner.uid] = (body, _parsed(body))
        return known[1]

    def _desk(self, namespace: str) -> _Desk:
        desk = self._desks.get(namespace)
        if desk is None:
            desk = self._desks[namespace] = _Desk()
        changed: Collection[Key] | None = self._changes.since(namespace)
        if changed is None:
            changed = {*within(self._syncs, namespace), *desk.keys()}
        for key in changed:
            sync = self._find(key)
            desk.put(key, self._claim(sync) if sync is not None else None)
        return desk

    def _claim(self, sync: KVEventSync) -> Claim:
        spec = self.spec(sync)
        usable = spec or KVEventSyncSpec(models=ModelSelection())
        stands = not (spec is None or spec.paused or sync.deleting or sync.held_by)
        return Claim(usable.models, _rival(sync, usable), stands)


class _Desk:
    """The claims of one namespace, each in the places where a workload that it selects is looked up."""

    def __init__(self) -> None:
        self.by_uid: dict[str, Key] = {}
        self._claims: dict[Key, Claim] = {}
        self._places_of: dict[Key, tuple[Place, ...]] = {}
        self._at: dict[Place, dict[Key, None]] = {}

    def keys(self) -> Collection[Key]:
        return self._claims.keys()

    def selecting(self, model: Trait) -> Iterator[tuple[Key, Claim]]:
        found: dict[Key, None] = {}
        for place in _places_of(model):
            found |= self._at.get(place, {})
        for key in found:
            claim = self._claims[key]
            if claim.models.selects(model.name, model.labels):
                yield key, claim

    def put(self, key: Key, claim: Claim | None) -> None:
        """The claim of an object as it is now; None: it is gone."""
        before = self._claims.pop(key, None)
        if before is not None:
            self._take_off(key, before)
        if claim is not None:
            self._claims[key] = claim
            self.by_uid[claim.rival.owner.uid] = key
            self._places_of[key] = places = tuple(self._places_for(claim.models))
            for place in places:
                self._at.setdefault(place, {})[key] = None

    def _take_off(self, key: Key, claim: Claim) -> None:
        self.by_uid.pop(claim.rival.owner.uid, None)
        for place in self._places_of.pop(key):
            keys = self._at[place]
            del keys[key]
            if not keys:
                del self._at[place]

    def _places_for(self, models: ModelSelection) -> Iterator[Place]:
        yield from {("name", name) for name in models.names}
        if models.selector is not None:
            choices = [_places_of_demand(demand) for demand in models.selector.demands]
            # One is enough: the one that tells it best from the others, such as not the one of a team.
            yield from min(choices, key=self._crowd, default={_ANYWHERE})

    def _crowd(self, places: Collection[Place]) -> int:
        return sum(len(self._at.get(place, ())) for place in places)


def _places_of(model: Trait) -> Iterator[Place]:
    """Where the claims stand that may select a model."""
    yield ("name", model.name)
    for key, value in model.labels.items():
        yield ("label", key, value)
        yield ("label", key)
    yield _ANYWHERE


def _places_of_demand(demand: Demand) -> frozenset[Place]:
    key, values = demand
    return frozenset(("label", key, value) for value in values) or frozenset({("label", key)})


def _parsed(body: Json) -> KVEventSyncSpec | None:
    try:
        return KVEventSyncSpec.from_manifest(body)
    except SpecError:
        return None


def _rival(sync: KVEventSync, spec: KVEventSyncSpec) -> Rival:
    gateway = spec.gateway
    return Rival(
        sync.owner,
        sync.created,
        held=FINALIZER in sync.finalizers,
        gateways=frozenset(gateway.consumers if gateway.manage else ()),
    )
