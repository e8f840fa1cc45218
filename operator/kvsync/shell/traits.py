"""What is derived of a workload again and again although it did not change: kept until it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsync.core.handback import plan_handback
from kvsync.core.revert import marked_uid
from kvsync.model.decision import Kind, kind_of
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trait:
    """Of one workload: its name, its own labels, the uid of the object whose mark it carries (empty without
    one), and whether fields of it are still to be given back."""

    body: Json
    name: str
    labels: Mapping[str, str]
    owner_uid: str
    owed: bool

    def is_selected(self, spec: KVEventSyncSpec) -> bool:
        """Whether the object selects it."""
        return spec.models.selects(self.name, self.labels)

    def is_meant(self, uid: str, spec: KVEventSyncSpec) -> bool:
        """Whether it is a model of the object of that uid, or was one and is not free of it yet."""
        return (
            self.owed or (self.owner_uid != "" and self.owner_uid == uid) or self.is_selected(spec)
        )


class Traits:
    """Of all workloads that a pass went through. A body is never changed in place, so that one that is
    the same was not changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[Kind, str, str], Trait] = {}

    def of(self, workload: Deployment) -> Trait:
        """What is known of a workload as it is now."""
        key = (kind_of(workload), workload.namespace, workload.name)
        known = self._known.get(key)
        if known is None or known.body is not workload.body:
            known = self._known[key] = trait_of(workload)
        return known

    def forget(self, kind: Kind, namespace: str, name: str) -> None:
        """It is gone."""
        self._known.pop((kind, namespace, name), None)


def trait_of(workload: Deployment) -> Trait:
    """Derived anew."""
    return Trait(
        workload.body,
        workload.name,
        workload.body["metadata"].get("labels") or {},
        marked_uid(workload),
        bool(plan_handback(workload)),
    )
