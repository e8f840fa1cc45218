"""The part of all KVEventSyncs that one operator serves, where several share them."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.observed import KVEventSync
from kvsync.model.selector import LabelSelector


@dataclass(frozen=True, slots=True)
class Shard:
    """``name`` is that of its Lease, as ``namespace/name``: no two shards have the same."""

    name: str
    selector: LabelSelector

    def selects(self, sync: KVEventSync) -> bool:
        """Whether an object's labels make it one of this shard."""
        return self.selector.matches(sync.body["metadata"].get("labels") or {})
