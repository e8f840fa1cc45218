"""The operator's process: what runs beside what, from start to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import EventRecorder
from kvsync.adapters.kube.resource import DEPLOYMENTS, KVEVENTSYNCS, PODS
from kvsync.adapters.kube.server_version import server_version
from kvsync.adapters.kube.watch import Watch
from kvsync.adapters.metrics import Metrics
from kvsync.adapters.templates import read_templates
from kvsync.model.errors import ApiError, NotFound, Unavailable
from kvsync.model.relay import RelayForm, form_in
from kvsync.model.storm import storm_model, storm_of
from kvsync.shell.gateway_logs import GatewayLogs
from kvsync.shell.handlers import watch_objects
from kvsync.shell.inquiries import Inquiries
from kvsync.shell.last_words import LastWordsDesk
from kvsync.shell.leftovers import Leftovers
from kvsync.shell.metering import Metering
from kvsync.shell.monitoring import Monitoring
from kvsync.shell.namespaces import NamespaceLabels
from kvsync.shell.projection import project_pod, project_workload
from kvsync.shell.queue import WorkQueue
from kvsync.shell.reconcile import Reconciler, is_race
from kvsync.shell.settings import Settings
from kvsync.shell.sources import Sources
from kvsync.shell.standings import Standings
from kvsync.shell.storms import StormWatch
from kvsync.shell.strangers import Strangers
from kvsync.shell.world import World
from kvsync.shell.writer import ClusterWriter

log = logging.getLogger(__name__)

Key = tuple[str, str]
Json = Mapping[str, Any]

RESYNC = 300.0
"""Seconds after which every object is looked at again, whatever was or was not heard."""

LIST_PAUSE = 5.0
"""Seconds between tries to list the objects at the start."""

LONG_DELAY = 5.0
"""Seconds before the next try from which on a change that raced with ours is no accident any more."""

QUICK_ACTS = 10
"""Passes in a row that may change something before the next one waits: a healthy sequence is
shorter, and one that never ends must not restart pods again and again."""


class Operator:
    """One running operator."""

    def __init__(self, settings: Settings, access: Access, kube: Kube, metrics: Metrics) -> None:
        self._settings = settings
        self._access = access
        self._kube = kube
        self._queue: WorkQueue[Key] = WorkQueue()
        self._acts: dict[Key, int] = {}
        namespaces = settings.watched
        self._deployments: Watch[Json] = Watch(
            kube,
            DEPLOYMENTS,
            project=project_workload,
            on_change=self._deployment_changed,
            namespaces=namespaces,
        )
        self._pods: Watch[Json] = Watch(
            kube,
            PODS,
            project=project_pod,
            on_change=self._pod_changed,
            namespaces=namespaces,
            label_selector="pod-template-hash",
        )
        # No gateway is a StormService, so only the served namespaces matter.
        self._storms = StormWatch(
            kube,
            settings.namespaces,
            on_storm=self._storm_changed,
            on_pod=self._pod_changed,
            on_listed=self._look_at_all,
        )
        self._labels = NamespaceLabels(
            kube, on_change=self._namespace_changed, on_listed=self._look_at_all
        )
        self._world = World(
            settings,
            self._deployments.store,
            self._pods.store,
            self._storms.storms.store,
            self._storms.pods.store,
            self._labels.of,
        )
        self._recorder = EventRecorder(kube)
        self._sources = Sources(settings, self._queue.add)
        self._strangers = Strangers(kube, self._queue.add, time.monotonic)
        self._standings = Standings(self._queue.add, time.monotonic)
        self._last_words = LastWordsDesk(kube, self._queue.add)
        self._gateway_logs = GatewayLogs(
            kube,
            self._world.pods,
            self._queue.add,
            time.monotonic,
            time.time,
            silence=settings.gateway_silence,
        )
        writer = ClusterWriter(kube, self._recorder, self._world)
        self._leftovers = Leftovers(self._world, writer)
        self._reconciler = Reconciler(
            self._world,
            self._sources.probes,
            Inquiries(
                self._sources.interviews,
                self._strangers,
                self._last_words,
                self._gateway_logs,
                self._sources.tokenizers,
            ),
            self._standings,
            writer,
            read_templates(settings.templates),
            time.time,
        )
        self._watching = False
        self._monitoring = Monitoring(
            metrics,
            Metering(self._sources.probes.snapshot, self._world.objects, time.monotonic),
            queued=lambda: len(self._queue),
            workers=self._sources.workers,
            unready=self._unready,
            clock=time.monotonic,
        )

    async def run(self, stop: asyncio.Event, on_watching: Callable[[], None]) -> None:
        """Serve until ``stop`` is set; ``on_watching`` is called once everything is watched.

        Raises:
            KvsyncError: the address for metrics cannot be listened on.
            RuntimeError: the watch of KVEventSync objects ended by itself.
        """
        followers = [
            asyncio.create_task(self._deployments.run(), name="watch of deployments"),
            asyncio.create_task(self._pods.run(), name="watch of pods"),
            asyncio.create_task(self._storms.run(), name="watch of stormservices"),
        ]
        if self._settings.access.needs_labels:
            watch = self._labels.run()
            followers.append(asyncio.create_task(watch, name="watch of namespaces"))
        objects = asyncio.create_task(
            watch_objects(self._object_changed, self._access, self._settings.namespaces, stop)
        )
        try:
            if self._settings.metrics_address is not None:
                await self._monitoring.start(self._settings.metrics_address)
            await self._await_synced(stop)
            await self._list_objects(stop)
            self._world.relays = replace(self._world.relays, form=await self._relay_form())
            self._watching = True
            on_watching()
            followers += [
                asyncio.create_task(self._work(), name=f"worker {number}")
                for number in range(self._settings.workers)
            ]
            followers += self._sources.start()
            followers.append(asyncio.create_task(self._gateway_logs.run(), name="gateway logs"))
            followers.append(asyncio.create_task(self._resync(), name="resync"))
            followers.append(asyncio.create_task(self._leftovers.run(), name="leftovers"))
            followers.append(asyncio.create_task(self._monitoring.run(), name="metering"))
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

    async def _await_synced(self, stop: asyncio.Event) -> None:
        """Nothing is decided on half a picture."""
        stopped = asyncio.create_task(stop.wait())
        wanted = [self._deployments.synced, self._pods.synced, self._storms.settled]
        if self._settings.access.needs_labels:
            wanted.append(self._labels.settled)
        for event in wanted:
            whole = asyncio.create_task(event.wait())
            await asyncio.wait({whole, stopped}, return_when=asyncio.FIRST_COMPLETED)
            whole.cancel()
        stopped.cancel()

    async def _list_objects(self, stop: asyncio.Event) -> None:
        """Know every object before anything is decided: a mark of an unknown one counts as left over."""
        while not stop.is_set():
            try:
                for namespace in self._settings.namespaces or (None,):
                    for body in await self._kube.list(KVEVENTSYNCS, namespace):
                        self._world.note_listed(body)
                        metadata = body["metadata"]
                        self._standings.expect((metadata["namespace"], metadata["name"]))
                self._leftovers.look()
            except NotFound:  # the kind itself: then there is no object of it
                return
            except ApiError as error:
                log.warning("cannot list KVEventSyncs: %s; again in %.0f s", error, LIST_PAUSE)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LIST_PAUSE)
            else:
                return

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
        watches = (self._deployments, self._pods)
        unknown = [watch.resource.plural for watch in watches if not watch.synced.is_set()]
        if not self._storms.settled.is_set():
            unknown.append("stormservices")
        if self._settings.access.needs_labels and not self._labels.settled.is_set():
            unknown.append("namespaces")
        return f"Not listed yet: {', '.join(unknown or ['kveventsyncs'])}; the log says why."

    async def _close(self) -> None:
        await self._monitoring.close()
        await self._strangers.close()
        await self._gateway_logs.close()
        await self._last_words.close()
        await self._sources.close()
        await self._recorder.close()

    def _object_changed(self, key: Key, body: Json | None) -> None:
        if body is None:
            self._world.sync_gone(key)
            self._standings.forget(key)
            self._leftovers.look()
            # Others may share its gateway or its models.
            for other in self._world.syncs:
                self._queue.add(other)
        elif self._world.note_object(key, body):
            for sibling in self._world.siblings(key[0]):
                self._queue.add((sibling.namespace, sibling.name))
        self._queue.add(key)

    def _deployment_changed(self, key: Key, _: Json | None, new: Json | None) -> None:
        self._workload_changed(key[0], key[1], gone=new is None)

    def _storm_changed(self, key: Key, _: Json | None, new: Json | None) -> None:
        self._workload_changed(key[0], storm_model(key[1]), gone=new is None)

    def _workload_changed(self, namespace: str, model: str, *, gone: bool) -> None:
        if gone:
            self._world.workload_gone(namespace, model)
        self._strangers.forget((namespace, storm_of(model) or model))
        self._concern(namespace, model)

    def _pod_changed(self, key: Key, old: Json | None, new: Json | None) -> None:
        if new is None and old is not None:
            self._sources.interviews.forget(old["metadata"]["uid"])
            self._last_words.forget(old["metadata"]["uid"])
        model = self._world.pod_changed(key, new)
        if model:
            self._concern(key[0], model)

    def _concern(self, namespace: str, model: str) -> None:
        for sync in list(self._world.concerned(namespace, model)):
            self._queue.add(sync)

    def _namespace_changed(self, namespace: str) -> None:
        for key in list(self._world.syncs):
            if key[0] == namespace:
                self._queue.add(key)

    def _look_at_all(self) -> None:
        for key in list(self._world.syncs):
            self._queue.add(key)

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC)
            self._leftovers.look()
            self._look_at_all()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                with self._monitoring.one_pass():
                    await self._pass(key)
            finally:
                self._queue.done(key)

    async def _pass(self, key: Key) -> None:
        try:
            outcome = await self._reconciler.reconcile(key)
        except ApiError as error:
            self._monitoring.note_error()
            delay = self._queue.retry(key)
            passing = is_race(error) and delay < LONG_DELAY
            level = logging.DEBUG if passing else logging.WARNING
            log.log(level, "%s/%s: %s; again in %.1f s", *key, error, delay)
            if isinstance(error, Unavailable):
                log.info("%s/%s: the API server did not answer; nothing is lost", *key)
        except Exception:  # one object's bug must not stop the others
            self._monitoring.note_error()
            self._standings.note_failed(key, "/".join(key))
            delay = self._queue.retry(key)
            log.exception("%s/%s: a pass failed; again in %.1f s", *key, delay)
        else:
            self._come_again(key, acted=outcome.acted, look_again=outcome.look_again)

    def _come_again(self, key: Key, *, acted: bool, look_again: float | None) -> None:
        if not acted:
            self._acts.pop(key, None)
            self._queue.succeeded(key)
            if look_again is not None:
                self._queue.add_after(key, look_again)
            return
        self._acts[key] = self._acts.get(key, 0) + 1
        if self._acts[key] <= QUICK_ACTS:
            self._queue.add(key)
        else:
            self._queue.retry(key)


async def serve(settings: Settings) -> None:
    """Run an operator until SIGINT or SIGTERM.

    Raises:
        AccessError: there is no way to an API server.
        KvsyncError: the address for metrics cannot be listened on.
        RuntimeError: the watch of KVEventSync objects ended by itself.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

    heed_signals()
    access = await Access.find(settings.kubeconfig, settings.context)
    own = settings.operator_namespace or access.pod_namespace
    settings = replace(settings, operator_namespace=own)
    metrics = Metrics()
    kube = Kube(access, on_answer=metrics.note_request)
    try:
        await Operator(settings, access, kube, metrics).run(
            stop, heed_signals
        )  # kopf puts its own in their place
    finally:
        await kube.close()
