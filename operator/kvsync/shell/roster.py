"""`Roster`: the KVEventSync objects by key, found by their namespace and by the gateways that they name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

from kvsync.adapters.kube.by_namespace import ByNamespace, Key

Json = Mapping[str, Any]


class Roster(ByNamespace[Json], MutableMapping[Key, Json]):
    """Each change of a pod or a workload asks here whom it concerns: at a start that is once for each
    object of the cluster."""

    def __init__(self) -> None:
        super().__init__()
        self._naming: dict[Key, dict[Key, None]] = {}

    def naming(self, namespace: str, name: str) -> Collection[Key]:
        """The objects that name a Deployment as a gateway or to be configured beside it; not to be kept."""
        return self._naming.get((namespace, name), {}).keys()

    def __setitem__(self, key: Key, body: Json) -> None:
        before = self.get(key)
        if before is not None:
            self._unname(key, before)
        self.put(key, body)
        for consumer in _consumers(body):
            self._naming.setdefault(consumer, {})[key] = None

    def __delitem__(self, key: Key) -> None:
        self._unname(key, self[key])
        self.drop(key)

    def _unname(self, key: Key, body: Json) -> None:
        for consumer in _consumers(body):
            keys = self._naming[consumer]
            del keys[key]
            if not keys:
                del self._naming[consumer]


def _consumers(body: Json) -> frozenset[Key]:
    """The Deployments that an object has configured as it stands; its spec may be wrong in any way that
    the schema allows."""
    gateway = (body.get("spec") or {}).get("gateway") or {}
    namespace = gateway.get("namespace")
    names = (gateway.get("deployment"), *(gateway.get("alsoConfigure") or ()))
    return frozenset((namespace, name) for name in names if namespace and name)
