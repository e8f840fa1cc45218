"""Carrying out: the only place from which the operator writes to the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import EventRecorder, ObjectReference
from kvsync.adapters.kube.resource import (
    DEPLOYMENTS,
    KVEVENTSYNCS,
    NETWORKPOLICIES,
    PODS,
    STORMSERVICES,
)
from kvsync.adapters.metrics import Metrics
from kvsync.core.patch import expect
from kvsync.core.shards import FIELD, server_of
from kvsync.model.decision import Action, Announcement, Kind, kind_of
from kvsync.model.observed import KVEventSync
from kvsync.shell.world import World

_RESOURCES = {
    Kind.DEPLOYMENT: DEPLOYMENTS,
    Kind.STORM_SERVICE: STORMSERVICES,
    Kind.POD: PODS,
    Kind.SYNC: KVEVENTSYNCS,
    Kind.NETWORK_POLICY: NETWORKPOLICIES,
}


class ClusterWriter:
    """Writes through the API server, shows the world what came of it, and counts it."""

    def __init__(self, kube: Kube, recorder: EventRecorder, world: World, metrics: Metrics) -> None:
        self._kube = kube
        self._recorder = recorder
        self._world = world
        self._metrics = metrics

    async def patch(self, action: Action) -> None:
        """Apply one action. Raises ApiError."""
        resource, place = _RESOURCES[action.kind], (action.namespace, action.name)
        if action.removes:
            await self._kube.delete(resource, *place, uid=action.removes)
            assert self._world.policies is not None  # only such are removed
            self._world.policies.note_removed(place, action.removes)
        elif action.evicts:
            await self._kube.evict(*place, uid=action.evicts)
        else:
            if action.body is not None:
                body = await self._kube.create(resource, action.namespace, action.body)
            else:
                body = await self._kube.json_patch(resource, *place, list(action.operations))
            self._world.note_written(action.kind, body)
        self._metrics.note_patch(action)

    async def write_status(
        self, sync: KVEventSync, status: Mapping[str, Any], *, unchanged: bool = False
    ) -> None:
        """Replace the status as a whole; ``unchanged``: only where nothing of the object changed since.

        Never where another operator has taken the object meanwhile. Raises ApiError.
        """
        server, version = server_of(sync), sync.body["metadata"].get("resourceVersion")
        operations = [
            expect("/metadata/uid", sync.owner.uid),
            *([expect(f"/status/{FIELD}/name", server)] if server else ()),
            *([expect("/metadata/resourceVersion", version)] if unchanged else ()),
            {"op": "add", "path": "/status", "value": dict(status)},
        ]
        body = await self._kube.json_patch(
            KVEVENTSYNCS, sync.namespace, sync.name, operations, subresource="status"
        )
        self._world.note_written(Kind.SYNC, body)
        self._metrics.note_status(Kind.SYNC)

    def announce(self, sync: KVEventSync, announcement: Announcement) -> None:
        """Record a Kubernetes Event on the object and, where it concerns one, on the workload, which
        is told whose doing it is."""
        self._record(_reference(sync.body, Kind.SYNC), announcement, announcement.note)
        namespace = announcement.namespace or sync.namespace
        self._tell(namespace, announcement, f"KVEventSync {sync.namespace}/{sync.name}")

    def announce_alone(self, action: Action) -> None:
        """Record what was done to a workload on it alone: the object that it was done for is gone."""
        announcement = Announcement(action.warning, action.reason, action.note, action.model)
        self._tell(action.namespace, announcement, "The kvsync operator")

    def _tell(self, namespace: str, announcement: Announcement, who: str) -> None:
        workload = self._world.workload(namespace, announcement.model)
        if workload is not None:
            reference = _reference(workload.body, kind_of(workload))
            self._record(reference, announcement, f"{who}: {announcement.note}")

    def _record(self, regarding: ObjectReference, announcement: Announcement, note: str) -> None:
        severity = "Warning" if announcement.warning else "Normal"
        self._recorder.record(regarding, severity, announcement.reason, "Reconcile", note)


def _reference(body: Mapping[str, Any], kind: Kind) -> ObjectReference:
    # Lists leave kind and apiVersion out of their items, so they are named here.
    metadata = body["metadata"]
    return ObjectReference(
        api_version=_RESOURCES[kind].api_version,
        kind=kind.value,
        namespace=str(metadata["namespace"]),
        name=str(metadata["name"]),
        uid=str(metadata.get("uid", "")),
    )
