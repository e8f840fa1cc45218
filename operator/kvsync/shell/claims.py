"""Which objects of a namespace select the same model: each spec is read once, not once a pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kvsync.model.observed import FINALIZER, KVEventSync, Rival
from kvsync.model.spec import KVEventSyncSpec, ModelSelection, SpecError
from kvsync.model.workload import Deployment

Json = Mapping[str, Any]
Claimant = tuple[ModelSelection, Rival]


class Claims:
    """The specs of objects by uid, as last read; None for one that cannot be used."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[Json, KVEventSyncSpec | None]] = {}

    def rivals_of(self, sync: KVEventSync, others: Iterable[KVEventSync]) -> tuple[Claimant, ...]:
        """The others that may claim a model, with what each selects, the oldest first.

        One that is deleted, paused or cannot be read claims nothing.
        """
        found = [
            (spec.models, _rival(other, spec))
            for other in others
            if other.owner.uid != sync.owner.uid and not other.deleting
            if (spec := self.spec(other)) is not None and not (spec.paused or other.held_by)
        ]
        return tuple(sorted(found, key=lambda claimant: claimant[1].seniority))

    def forget(self, uid: str) -> None:
        """Forget an object that is gone."""
        self._read.pop(uid, None)

    def spec(self, sync: KVEventSync) -> KVEventSyncSpec | None:
        """The spec of an object; None where it cannot be used."""
        body: Json = sync.body.get("spec") or {}
        known = self._read.get(sync.owner.uid)
        if known is None or known[0] != body:
            known = self._read[sync.owner.uid] = (body, _parsed(body))
        return known[1]


def selecting(claimants: Sequence[Claimant], workload: Deployment) -> tuple[Rival, ...]:
    """Those of the claimants that select this workload."""
    labels = workload.body["metadata"].get("labels") or {}
    return tuple(rival for models, rival in claimants if models.selects(workload.name, labels))


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
