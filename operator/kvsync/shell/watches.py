"""All that the operator watches, and the list of objects that it begins with."""

# ruff: noqa: PLW0108 - whom to tell is known only after all is made

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import (
    DEPLOYMENTS,
    KVEVENTSYNCS,
    NETWORKPOLICIES,
    STORMSERVICES,
)
from kvsync.adapters.kube.watch import Watch
from kvsync.model.decision import Kind
from kvsync.model.errors import ApiError, NotFound, Unavailable
from kvsync.shell.handlers import watch_objects
from kvsync.shell.namespaces import NamespaceLabels
from kvsync.shell.policies import project_policy
from kvsync.shell.projection import PROJECTED_PODS, project_pod, project_workload
from kvsync.shell.settings import Settings
from kvsync.shell.storms import StormWatch

log = logging.getLogger(__name__)

Key = tuple[str, str]
Json = Mapping[str, Any]

LIST_PAUSE = 5.0
"""Seconds between tries to list the objects at the start."""


class Listener(Protocol):
    """Who is told of changes (``shell.news``). ``old`` None: it is new; ``new`` None: it is gone."""

    def known_objects(self) -> frozenset[Key]:
        """The KVEventSyncs that are taken for existing."""

    def newest_object(self) -> int:
        """The highest resource version of a KVEventSync that was told of."""

    def objects_listed(self, bodies: Sequence[Json], known: frozenset[Key]) -> None:
        """These are all KVEventSyncs; ``known`` are those that were taken for existing before."""

    def workload_listed(self, kind: str, body: Json) -> None:
        """A Deployment or StormService stands so in the cluster."""

    def object_changed(self, key: Key, body: Json | None) -> None:
        """A KVEventSync changed."""

    def deployment_changed(self, key: Key, old: Json | None, new: Json | None) -> None:
        """A Deployment changed."""

    def storm_changed(self, key: Key, old: Json | None, new: Json | None) -> None:
        """A StormService changed."""

    def pod_changed(self, key: Key, old: Json | None, new: Json | None) -> None:
        """A pod changed."""

    def policy_changed(self, key: Key, old: Json | None, new: Json | None) -> None:
        """A NetworkPolicy changed."""

    def namespace_changed(self, namespace: str) -> None:
        """A namespace got the label that lets its objects change a gateway, or lost it."""

    def look_at_all(self) -> None:
        """More is known than before."""


class Watches:
    """Made with nobody to tell: `run` says whom."""

    def __init__(self, kube: Kube, access: Access, settings: Settings) -> None:
        self._kube = kube
        self._access = access
        self._settings = settings
        self._listener: Listener | None = None
        namespaces = settings.watched
        self.deployments: Watch[Json] = Watch(
            kube,
            DEPLOYMENTS,
            project=project_workload,
            on_change=lambda *change: self._tell.deployment_changed(*change),
            namespaces=namespaces,
        )
        self.pods: Watch[Json] = Watch(
            kube,
            PROJECTED_PODS,
            project=project_pod,
            on_change=lambda *change: self._tell.pod_changed(*change),
            namespaces=namespaces,
            label_selector="pod-template-hash",
        )
        # No gateway is a StormService, so only the served namespaces matter.
        self.storms = StormWatch(
            kube,
            settings.namespaces,
            on_storm=lambda *change: self._tell.storm_changed(*change),
            on_pod=lambda *change: self._tell.pod_changed(*change),
            on_listed=lambda: self._tell.look_at_all(),
        )
        self.policies: Watch[Json] = Watch(
            kube,
            NETWORKPOLICIES,
            project=project_policy,
            on_change=lambda *change: self._tell.policy_changed(*change),
            namespaces=settings.namespaces or None,
        )
        self.labels = NamespaceLabels(
            kube,
            on_change=lambda namespace: self._tell.namespace_changed(namespace),
            on_listed=lambda: self._tell.look_at_all(),
        )

    @property
    def _tell(self) -> Listener:
        assert self._listener is not None, "nothing is watched before run"
        return self._listener

    def start(self, listener: Listener) -> list[asyncio.Task[None]]:
        """Begin to watch all but the KVEventSyncs; the tasks are to run as long as the operator."""
        self._listener = listener
        tasks = [
            asyncio.create_task(self.deployments.run(), name="watch of deployments"),
            asyncio.create_task(self.pods.run(), name="watch of pods"),
            asyncio.create_task(self.storms.run(), name="watch of stormservices"),
        ]
        if self._settings.model_network_policy:
            tasks.append(asyncio.create_task(self.policies.run(), name="watch of networkpolicies"))
        if self._settings.access.needs_labels:
            tasks.append(asyncio.create_task(self.labels.run(), name="watch of namespaces"))
        return tasks

    def start_objects(self, stop: asyncio.Event) -> asyncio.Task[None]:
        """Begin to watch the KVEventSyncs, until ``stop`` is set; ends early when kopf gives up."""
        watch = watch_objects(
            self._tell.object_changed, self._access, self._settings.namespaces, stop
        )
        return asyncio.create_task(watch, name="watch of kveventsyncs")

    async def until_whole(self, stop: asyncio.Event) -> None:
        """Wait until all is listed or ``stop`` is set: nothing is decided on half a picture."""
        stopped = asyncio.create_task(stop.wait())
        wanted = [self.deployments.synced, self.pods.synced, self.storms.settled]
        if self._settings.model_network_policy:
            wanted.append(self.policies.synced)
        if self._settings.access.needs_labels:
            wanted.append(self.labels.settled)
        for event in wanted:
            whole = asyncio.create_task(event.wait())
            await asyncio.wait({whole, stopped}, return_when=asyncio.FIRST_COMPLETED)
            whole.cancel()
        stopped.cancel()
        await self.list_objects(stop)

    def unknown(self) -> list[str]:
        """The kinds that are not listed yet."""
        watches = [self.deployments, self.pods]
        if self._settings.model_network_policy:
            watches.append(self.policies)
        unknown = [watch.resource.plural for watch in watches if not watch.synced.is_set()]
        if not self.storms.settled.is_set():
            unknown.append("stormservices")
        if self._settings.access.needs_labels and not self.labels.settled.is_set():
            unknown.append("namespaces")
        return unknown

    @property
    def followed(self) -> Mapping[str, Watch[Any]]:
        """The watches that run, by what they follow."""
        own = {"deployments": self.deployments, "pods": self.pods}
        if self._settings.model_network_policy:
            own["networkpolicies"] = self.policies
        return {**own, **self.storms.followed, **self.labels.followed}

    async def catch_up(self, stop: asyncio.Event) -> None:
        """Know what stood in the cluster at this moment: for who begins to write after another did.

        A watch may be behind, by a moment or by minutes where its connection died unnoticed, and
        what the last leader wrote last is what must not be written again.
        """
        await self._patiently(stop, "workloads", self._list_workloads)
        await self.list_objects(stop)

    async def list_objects(self, stop: asyncio.Event) -> None:
        """Know every object before anything is decided: a mark of an unknown one counts as left over.

        Repeated once in a while: kopf does not tell of one that was deleted while its watch was away.
        """
        await self._patiently(stop, "KVEventSyncs", self.hear_objects)

    async def hear_objects(self) -> None:
        """Know every object as it stands in the cluster at this moment.

        Raises:
            ApiError: they cannot be listed, or the answer is an old one.
        """
        known, newest = self._tell.known_objects(), self._tell.newest_object()
        listed: list[Json] = []
        try:
            for namespace in self._settings.namespaces or (None,):
                found = await self._kube.listing(KVEVENTSYNCS, namespace)
                if 0 < found.version < newest:
                    # Whoever is missing there would count as deleted, and the gateway be undone for it.
                    raise Unavailable(
                        f"LIST {KVEVENTSYNCS.where(namespace)}: the answer is of version {found.version}, "
                        f"and an object was seen at {newest}"
                    )
                listed += found.objects
        except NotFound:  # the kind itself: then there is no object of it, but who knows why
            return
        self._tell.objects_listed(listed, known)

    async def _list_workloads(self) -> None:
        wanted = [(Kind.DEPLOYMENT, DEPLOYMENTS, self._settings.watched)]
        if self.storms.storms.synced.is_set():
            wanted.append((Kind.STORM_SERVICE, STORMSERVICES, self._settings.namespaces or None))
        for kind, resource, namespaces in wanted:
            for namespace in (None,) if namespaces is None else namespaces:
                for body in await self._kube.list(resource, namespace):
                    self._tell.workload_listed(kind, project_workload(body))

    async def _patiently(
        self, stop: asyncio.Event, what: str, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Do it until it succeeds or ``stop`` is set."""
        while not stop.is_set():
            try:
                await work()
            except ApiError as error:
                log.warning("cannot list %s: %s; again in %.0f s", what, error, LIST_PAUSE)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LIST_PAUSE)
            else:
                return
