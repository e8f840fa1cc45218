"""The gateway process put together: start, initialise, serve, follow pod news, end.

The order is AIBrix's: pods are known, KV event sync initialises, and only then the serving ports
open; afterwards pod news is handled strictly one after the other, so that one silent engine delays
all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import aiohttp
from aiohttp import web

from testbed.gateway.klog import Klog
from testbed.gateway.manager import InitialisationTimeoutError, Manager
from testbed.gateway.metrics import GatewayMetrics
from testbed.gateway.pod_source import Kind, News, PodSource
from testbed.gateway.pods import Pod
from testbed.gateway.prefix_index import PrefixIndex
from testbed.gateway.routing import Front, Router
from testbed.gateway.settings import Settings, Verdict, judge
from testbed.gateway.timings import Ports, Timings
from testbed.gateway.tokenizers import Characters, Remote


class Gateway:
    """One gateway; `run` returns only when cancelled."""

    def __init__(
        self,
        settings: Settings,
        source: PodSource,
        log: Klog,
        ports: Ports | None = None,
        timings: Timings | None = None,
    ) -> None:
        self.settings = settings
        self.serving = asyncio.Event()
        self.bound: dict[str, int] = {}
        """The ports really bound, by name (metrics, grpc, http), once each is open."""
        self._source = source
        self._log = log
        self._ports = ports or Ports()
        self._timings = timings or Timings()
        self._pods: dict[str, Pod] = {}
        self._metrics = GatewayMetrics(settings)
        self._index = PrefixIndex(settings.block_size)
        """Filled by events; the router's own as well where a release shares it."""
        shared = settings.sync and settings.release.shared_index
        self._router_index = self._index if shared else PrefixIndex(settings.block_size)
        self._manager: Manager | None = None
        self._verdict, self._words = judge(settings)
        self._failure = self._words

    async def run(self) -> None:
        """Runs until cancelled, then closes everything."""
        async with AsyncExitStack() as stack:
            await self._open_metrics(stack)
            news = await stack.enter_async_context(aclosing(self._source.follow()))
            await self._first_pods(news)
            stack.push_async_callback(self._close_sync)
            await self._initialise()
            await self._open_serving(stack)
            evictor = asyncio.create_task(self._evict())
            stack.callback(evictor.cancel)
            self.serving.set()
            async for one in news:
                await self._take(one)

    async def _first_pods(self, news: AsyncIterator[News]) -> None:
        async for one in news:
            if one.kind is Kind.SYNCED:
                return
            assert one.pod is not None
            self._pods[one.pod.key] = one.pod

    async def _initialise(self) -> None:
        if self._verdict is Verdict.NO_TOKENIZER:
            self._log.warning("prefix_cache.go:254", self._words)
        if self._verdict in (Verdict.OFF, Verdict.NO_TOKENIZER):
            return
        self._log.info("cache_init.go:462", "Initializing KV event synchronization")
        if self._verdict is Verdict.MISCONFIGURED:
            self._log.info("cache_init.go:507", "Cleaning up KV event sync resources")
            self._log.error("cache_init.go:313", self._words)
            return
        await self._start_sync()

    async def _start_sync(self) -> None:
        self._manager = Manager(
            self.settings.release, self._index, self._log, self._metrics, self._timings
        )
        try:
            await self._manager.start(list(self._pods.values()))
        except InitialisationTimeoutError as problem:
            await self._close_sync()
            self._failure = f"Failed to initialize KV event sync: {problem}"
            self._log.error("cache_init.go:313", self._failure)
            return
        self._log.info("cache_init.go:500", "KV event synchronization initialized successfully")

    async def _close_sync(self) -> None:
        if self._manager is None:
            return
        self._log.info("cache_init.go:507", "Cleaning up KV event sync resources")
        manager, self._manager = self._manager, None
        await manager.stop()

    async def _take(self, news: News) -> None:
        pod = news.pod
        if pod is None:
            return
        old = self._pods.get(pod.key)
        if old is not None and old.uid != pod.uid:
            await self._forget(old)
            old = None
        if news.kind is Kind.DELETED:
            await self._forget(pod)
            return
        if old is not None and old.model and pod.model:
            # A live pod keeps the model name under which the gateway first met it.
            pod = dataclasses.replace(pod, model=old.model)
        self._pods[pod.key] = pod
        if self._manager is not None:
            await self._manager.changed(old, pod)

    async def _forget(self, pod: Pod) -> None:
        self._pods.pop(pod.key, None)
        if self._manager is not None:
            await self._manager.deleted(pod)

    async def _evict(self) -> None:
        while True:
            await asyncio.sleep(self._timings.evict)
            for index in (self._index, self._router_index):
                index.evict(time.monotonic())

    def _pods_of(self, model: str) -> list[Pod]:
        return [pod for pod in self._pods.values() if pod.model == model]

    async def _open_metrics(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/debug/state", self._show_state)
        await self._listen(stack, app, "metrics", self._ports.metrics)

    async def _open_serving(self, stack: AsyncExitStack) -> None:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=5))
        )
        front = Front(self._router(session), self._pods_of, session, self.settings.routing)
        app = web.Application(client_max_size=16 * 1024 * 1024)
        for path in ("/v1/completions", "/v1/chat/completions"):
            app.router.add_post(path, front.handle)
        # For tests and demonstrations only, as the next: the real gateway has neither.
        app.router.add_post("/debug/match", front.look_up)
        app.router.add_get("/debug/state", self._show_state)
        await self._listen(stack, app, "http", self._ports.http)
        server = await asyncio.start_server(_hang_up, self._ports.host, self._ports.grpc)
        stack.callback(server.close)
        self.bound["grpc"] = server.sockets[0].getsockname()[1]
        self._log.info("main.go:187", f"starting gateway server on port :{self.bound['grpc']}")

    def _router(self, session: aiohttp.ClientSession) -> Router:
        if not self.settings.router_tokenizes_remotely:
            return Router(self._router_index, Characters(), self._metrics)
        remote = Remote(session, self.settings.tokenizer_template, self._metrics)
        return Router(self._router_index, remote, self._metrics)

    async def _listen(
        self, stack: AsyncExitStack, app: web.Application, name: str, port: int
    ) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, self._ports.host, port)
        await site.start()
        self.bound[name] = runner.addresses[0][1]

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), content_type="text/plain")

    async def _show_state(self, _request: web.Request) -> web.Response:
        """For tests and the demo only: the real gateway has no such page."""
        return web.json_response(self._state())

    def _state(self) -> dict[str, Any]:
        subscriptions = self._manager.subscriptions if self._manager is not None else {}
        initialised = self._manager is not None and self.serving.is_set()
        return {
            "version": self.settings.release.name,
            "serving": self.serving.is_set(),
            "verdict": self._verdict.value,
            "initialised": initialised,
            "reason": self._failure,
            "pods": len(self._pods),
            "index": len(self._index),
            "subscriptions": {
                key: {"ip": one.ip, **dataclasses.asdict(one.counts)}
                for key, one in sorted(subscriptions.items())
            },
        }


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The gRPC port's stand-in: accepts, so that a tcpSocket probe succeeds, and says nothing."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
