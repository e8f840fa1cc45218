"""The operator's parts, and what runs beside what from start to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import EventRecorder
from kvsync.adapters.kube.server_version import server_version
from kvsync.adapters.metrics import Metrics
from kvsync.adapters.templates import read_templates
from kvsync.model.errors import ApiError
from kvsync.model.relay import RelayForm, form_in
from kvsync.shell.gateway_logs import GatewayLogs
from kvsync.shell.inquiries import Inquiries
from kvsync.shell.last_words import LastWordsDesk
from kvsync.shell.leftovers import Leftovers
from kvsync.shell.metering import Metering
from kvsync.shell.monitoring import Monitoring
from kvsync.shell.news import News
from kvsync.shell.passes import Passes
from kvsync.shell.queue import WorkQueue
from kvsync.shell.reconcile import Reconciler
from kvsync.shell.settings import Settings
from kvsync.shell.sources import Sources
from kvsync.shell.standings import Standings
from kvsync.shell.strangers import Strangers
from kvsync.shell.vitals import vitals_of
from kvsync.shell.watches import Watches
from kvsync.shell.world import World
from kvsync.shell.writer import ClusterWriter

log = logging.getLogger(__name__)

Key = tuple[str, str]

RESYNC = 300.0
"""Seconds after which every object is looked at again, whatever was or was not heard."""


class Operator:
    """One running operator."""

    def __init__(self, settings: Settings, access: Access, kube: Kube, metrics: Metrics) -> None:
        self._settings = settings
        self._kube = kube
        queue: WorkQueue[Key] = WorkQueue()
        self._watches = watches = Watches(kube, access, settings)
        self._world = World(
            settings,
            watches.deployments.store,
            watches.pods.store,
            watches.storms.storms.store,
            watches.storms.pods.store,
            watches.labels.of,
        )
        self._recorder = EventRecorder(kube)
        self._sources = Sources(settings, queue.add)
        standings = Standings(queue.add, time.monotonic)
        self._inquiries = self._make_inquiries(queue)
        writer = ClusterWriter(kube, self._recorder, self._world, metrics)
        self._leftovers = Leftovers(self._world, writer)
        self._news = News(self._world, self._inquiries, standings, self._leftovers, queue.add)
        self._watching = False
        self._monitoring = Monitoring(
            metrics,
            Metering(self._sources.probes.snapshot, self._world.objects, time.monotonic),
            vitals=lambda: vitals_of(queue, self._recorder, watches.followed),
            workers=self._sources.workers,
            unready=self._unready,
            clock=time.monotonic,
        )
        reconciler = Reconciler(
            self._world,
            self._sources.probes,
            self._inquiries,
            standings,
            writer,
            read_templates(settings.templates),
            time.time,
        )
        self._passes = Passes(queue, reconciler, standings, self._monitoring)

    def _make_inquiries(self, queue: WorkQueue[Key]) -> Inquiries:
        return Inquiries(
            self._sources.interviews,
            Strangers(self._kube, queue.add, time.monotonic),
            LastWordsDesk(self._kube, queue.add),
            GatewayLogs(
                self._kube,
                self._world.pods,
                queue.add,
                time.monotonic,
                time.time,
                silence=self._settings.gateway_silence,
            ),
            self._sources.tokenizers,
        )

    async def run(self, stop: asyncio.Event, on_watching: Callable[[], None]) -> None:
        """Serve until ``stop`` is set; ``on_watching`` is called once everything is watched.

        Raises:
            KvsyncError: the address for metrics cannot be listened on.
            RuntimeError: the watch of KVEventSync objects ended by itself.
        """
        followers = self._watches.start(self._news)
        objects = self._watches.start_objects(stop)
        try:
            if self._settings.metrics_address is not None:
                await self._monitoring.start(self._settings.metrics_address)
            await self._watches.until_whole(stop)
            self._world.relays = replace(self._world.relays, form=await self._relay_form())
            self._watching = True
            on_watching()
            followers += self._begin()
            self._monitoring.watch_over(followers)
            log.info("watching %s", ", ".join(self._settings.namespaces) or "all namespaces")
            await objects
            if not stop.is_set():
                raise RuntimeError("the watch of KVEventSync objects ended; see the lines above")
        finally:
            stop.set()
            for task in (*followers, objects):
                task.cancel()
            await asyncio.gather(*followers, objects, return_exceptions=True)
            await self._close()

    def _begin(self) -> list[asyncio.Task[None]]:
        """Look at everything, and go on doing so."""
        self._leftovers.look()
        return [
            *self._passes.start(self._settings.workers),
            *self._sources.start(),
            asyncio.create_task(self._inquiries.gateway_logs.run(), name="gateway logs"),
            asyncio.create_task(self._resync(), name="resync"),
            asyncio.create_task(self._leftovers.run(), name="leftovers"),
            asyncio.create_task(self._monitoring.run(), name="metering"),
        ]

    async def _relay_form(self) -> RelayForm:
        """How sidecars are written here. Asked once: a cluster that is upgraded restarts no model."""
        try:
            return form_in(await server_version(self._kube))
        except ApiError as error:
            log.warning("cannot ask which Kubernetes this is: %s; taken for a new one", error)
            return form_in(None)

    def _unready(self) -> str:
        """What is not known yet; empty once all of it was."""
        if self._watching:
            return ""
        unknown = self._watches.unknown() or ["kveventsyncs"]
        return f"Not listed yet: {', '.join(unknown)}; the log says why."

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC)
            self._leftovers.look()
            self._news.look_at_all()

    async def _close(self) -> None:
        await self._monitoring.close()
        await self._inquiries.strangers.close()
        await self._inquiries.gateway_logs.close()
        await self._inquiries.last_words.close()
        await self._sources.close()
        await self._recorder.close()
