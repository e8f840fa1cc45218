"""What is derived of a workload again and again although it did not change: kept until it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvsync.core.handback import plan_handback
from kvsync.core.revert import marked_uid
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment


@dataclass(frozen=True, slots=True)
class Trait:
    """Of one workload: its name, its own labels, the uid of the object whose mark it carries (empty without
    one), and whether fields of it are still to be given back."""

    workload: Deployment
    name: str
    labels: Mapping[str, str]
    owner_uid: str
    owed: bool

    def is_selected(self, spec: KVEventSyncSpec) -> bool:
        """Whether the object selects it."""
        return spec.models.selects(self.name, self.labels)


def trait_of(workload: Deployment) -> Trait:
    """Derived anew."""
    return Trait(
        workload,
        workload.name,
        workload.body["metadata"].get("labels") or {},
        marked_uid(workload),
        bool(plan_handback(workload)),
    )
