"""The operator's parts, and what runs beside what from start to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import EventRecorder
from kvsync.adapters.kube.lease import find_lease
from kvsync.adapters.kube.server_version import server_version
from kvsync.adapters.metrics import Metrics
from kvsync.adapters.templates import read_templates
from kvsync.core.leadership import Terms
from kvsync.model.errors import ApiError
from kvsync.model.observed import KVEventSync
from kvsync.model.relay import RelayForm, form_in
from kvsync.shell.admission import renewed
from kvsync.shell.gateway_logs import GatewayLogs
from kvsync.shell.inquiries import Inquiries
from kvsync.shell.last_words import LastWordsDesk
from kvsync.shell.leadership import LEADERSHIP, Leadership, boot_clock
from kvsync.shell.leftovers import Leftovers
from kvsync.shell.metering import Metering
from kvsync.shell.monitoring import Monitoring
from kvsync.shell.news import News
from kvsync.shell.passes import REST, Passes
from kvsync.shell.policies import Policies
from kvsync.shell.queue import WorkQueue
from kvsync.shell.reconcile import Reconciler
from kvsync.shell.settings import Settings
from kvsync.shell.shards import OtherLeases, Shards
from kvsync.shell.sources import Sources
from kvsync.shell.standings import Standings
from kvsync.shell.strangers import Strangers
from kvsync.shell.vitals import vitals_of
from kvsync.shell.wall_clock import WallClock
from kvsync.shell.watches import Watches
from kvsync.shell.world import World
from kvsync.shell.writer import ClusterWriter

log = logging.getLogger(__name__)

Key = tuple[str, str]

RESYNC = 300.0
"""Seconds after which every object is looked at again, whatever was or was not heard."""


LAST_EVENTS = 0.5
"""Seconds at the end for Events that wait: the next leader waits as long."""


class Operator:
    """One running operator. Without ``leadership`` it is the only one, and leads from the start."""

    def __init__(
        self,
        settings: Settings,
        access: Access,
        kube: Kube,
        metrics: Metrics,
        leadership: Leadership | None = None,
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._leadership = leadership
        self._leads = False
        self._queue: WorkQueue[Key] = WorkQueue()
        queue = self._queue
        self._watches = watches = Watches(kube, access, settings)
        self._world = World(
            settings,
            watches.deployments.store,
            watches.pods.store,
            watches.storms.storms.store,
            watches.storms.pods.store,
            watches.labels.of,
            Policies(settings, watches.policies.store) if settings.model_network_policy else None,
        )
        self._recorder = EventRecorder(kube, shard=settings.shard_name)
        self._sources = Sources(settings, queue.add)
        standings = Standings(queue.add, time.monotonic)
        self._inquiries = self._make_inquiries(queue)
        writer = ClusterWriter(kube, self._recorder, self._world, metrics)
        self._shards = Shards(
            settings.shard,
            self._world,
            standings,
            writer,
            watches.hear_objects,
            OtherLeases(partial(find_lease, kube), Terms(settings.lease_duration), boot_clock),
            boot_clock,
        )
        self._leftovers = Leftovers(self._world, writer)
        self._news = News(
            self._world, self._inquiries, standings, self._leftovers, self._enqueue, self._wake
        )
        self._watching = False
        self._monitoring = Monitoring(
            metrics,
            Metering(self._sources.probes.snapshot, self._own_objects, time.monotonic),
            vitals=lambda: vitals_of(queue, self._recorder, watches.followed, leadership),
            workers=self._sources.workers,
            unready=self._unready,
            role=self._role,
            clock=time.monotonic,
        )
        reconciler = Reconciler(
            self._world,
            self._sources.probes,
            self._inquiries,
            standings,
            writer,
            read_templates(settings.templates),
            WallClock(),
            self._shards,
        )
        self._passes = Passes(queue, reconciler, standings, self._monitoring)

    def _own_objects(self) -> tuple[KVEventSync, ...]:
        return tuple(sync for sync in self._world.objects() if self._shards.is_ours(sync))

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
        followers.append(asyncio.create_task(self._monitoring.run(), name="metering"))
        self._monitoring.watch_over(followers)
        try:
            if self._settings.metrics_address is not None:
                await self._monitoring.start(self._settings.metrics_address)
            await self._watches.until_whole(stop)
            self._world.relays = replace(self._world.relays, form=await self._relay_form())
            await self._look_at_admission()
            self._watching = True
            on_watching()
            log.info("watching %s", self._settings.scope)
            if self._leadership is not None:
                # Not before: a leader that sees nothing would keep one out that does.
                followers.append(self._leadership.start())
                await _first(self._leadership.acquired.wait(), stop.wait(), objects)
                await self._watches.catch_up(stop)
            if not stop.is_set() and not objects.done():
                followers += self._begin(stop)
                await _first(stop.wait(), objects)
            if not stop.is_set():
                raise RuntimeError("the watch of KVEventSync objects ended; see the lines above")
        finally:
            stop.set()
            await self._end(followers, objects)

    def _begin(self, stop: asyncio.Event) -> list[asyncio.Task[None]]:
        """Look at everything, and go on doing so."""
        self._leads = True
        self._leftovers.look()
        self._news.look_at_all()
        return [
            *self._passes.start(self._settings.workers),
            *self._sources.start(),
            asyncio.create_task(self._inquiries.gateway_logs.run(), name="gateway logs"),
            asyncio.create_task(self._resync(stop), name="resync"),
            asyncio.create_task(self._leftovers.run(), name="leftovers"),
        ]

    async def _end(self, followers: list[asyncio.Task[None]], objects: asyncio.Task[None]) -> None:
        """Stop what writes, let the next one lead, then tidy up."""
        tasks = [task for task in followers if task.get_name() != LEADERSHIP]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._recorder.close(LAST_EVENTS)
        if self._leadership is not None:
            await self._leadership.release()
        # Not before: kopf ends with all tasks that began after it, such as a lookup of the API server's
        # name for a last request (kopf, ``reactor/running.py``, stop of hung tasks).
        objects.cancel()
        await asyncio.gather(objects, return_exceptions=True)
        await self._monitoring.close()
        await self._inquiries.strangers.close()
        await self._inquiries.gateway_logs.close()
        await self._inquiries.last_words.close()
        await self._sources.close()

    def _enqueue(self, key: Key) -> None:
        """Have an object looked at. A standby has all of them looked at when it leads, not before."""
        if self._leads:
            self._queue.add(key)

    def _wake(self, key: Key) -> None:
        """Have an object looked at whose user spoke of it. No sooner than in half a second again: he may do
        so as often as he likes."""
        if self._leads:
            self._queue.wake(key, REST)

    async def _relay_form(self) -> RelayForm:
        """How sidecars are written here. Asked once: a cluster that is upgraded restarts no model."""
        try:
            return form_in(await server_version(self._kube))
        except ApiError as error:
            log.warning("cannot ask which Kubernetes this is: %s; taken for a new one", error)
            return form_in(None)

    async def _look_at_admission(self) -> None:
        """Whether mode Admission can work here. Not asked once only: a cluster is upgraded."""
        self._world.admission = await renewed(self._kube, self._world.admission)

    def _unready(self) -> str:
        """What is not known yet; empty once all of it was."""
        if self._watching:
            return ""
        unknown = self._watches.unknown() or ["kveventsyncs"]
        return f"Not listed yet: {', '.join(unknown)}; the log says why."

    def _role(self) -> str:
        """What this process is to the others, for whoever asks whether it is ready."""
        if self._leadership is None:
            return "ok"
        if self._leadership.holds():
            return "ok; this one leads"
        return f"standby; leader is {self._leadership.leader or 'not known'}"

    async def _resync(self, stop: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(RESYNC)
            await self._watches.list_objects(stop)
            await self._look_at_admission()
            self._leftovers.look()
            self._news.look_at_all()


async def _first(*those: Coroutine[Any, Any, object] | asyncio.Task[None]) -> None:
    """Wait until one of them is over; tasks go on, the rest does not."""
    made = [asyncio.ensure_future(each) for each in those]
    try:
        await asyncio.wait(made, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task, each in zip(made, those, strict=True):
            if task is not each:
                task.cancel()
