"""The part of all KVEventSyncs that one operator serves, where several share them."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.observed import KVEventSync
from kvsync.model.selector import LabelSelector


@dataclass(frozen=True, slots=True)
class Shard:
    """``name`` is that of its Lease, as ``namespace/name``: no two shards have the same. It is empty where
    there is no Lease, and ``selector`` None where all objects are served."""

    name: str = ""
    selector: LabelSelector | None = None

    def selects(self, sync: KVEventSync) -> bool:
        """Whether an object's labels make it one of this shard."""
        labels = sync.body["metadata"].get("labels") or {}
        return self.selector is None or self.selector.matches(labels)

    @property
    def is_part(self) -> bool:
        """Whether it is a part of the objects only: then others are to be told of it."""
        return self.selector is not None
