"""`LeaseDoor`: the one Lease object that leadership stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsync.adapters.kube.answer import Json
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import LEASES
from kvsync.model.errors import NotFound
from kvsync.model.lease import Lease, read_lease


class LeaseDoor:
    """Reads and writes a Lease by get, create and update; needs no right to watch or list.

    ``kube`` is to have no gate: what says who may write is itself written by whoever may not yet.
    """

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name

    def __str__(self) -> str:
        return LEASES.where(self._namespace, self._name)

    async def read(self) -> Json | None:
        """The object, or None where there is none. Raises ApiError."""
        try:
            return await self._kube.get(LEASES, self._namespace, self._name)
        except NotFound:
            return None

    async def create(self, spec: Mapping[str, Any]) -> Json:
        """Make it. Raises Conflict where it is there already, else ApiError."""
        body = {
            "apiVersion": LEASES.api_version,
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": dict(spec),
        }
        return await self._kube.create(LEASES, self._namespace, body)

    async def replace(self, body: Mapping[str, Any]) -> Json:
        """Write what was read and changed. Raises Conflict where another wrote meanwhile, else ApiError."""
        return await self._kube.replace(LEASES, self._namespace, self._name, body)


async def find_lease(kube: Kube, namespace: str, name: str) -> Lease | None:
    """Somebody's Lease as it stands now, or None where there is none. Raises ApiError."""
    try:
        return read_lease(await kube.get(LEASES, namespace, name))
    except NotFound:
        return None
