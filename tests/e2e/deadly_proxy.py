"""A door between an operator and the API server that kills the operator after each of its writes.

The write reaches the API server and its answer is lost: the worst moment to die. So every life
of the operator has exactly one write, and the next one must find its way from what it sees.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HOP_BY_HOP = frozenset(
    {"transfer-encoding", "content-length", "content-encoding", "connection", "host"}
)


class DeadlyProxy:
    """Listens on loopback; ``kubeconfig`` leads through it. ``kill`` is called after each write."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._server: str = cluster["server"]
        self._tls = ssl._create_unverified_context()
        self.kill: Callable[[], None] = lambda: None
        self.writes: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._port = 0
        threading.Thread(target=self._serve, daemon=True).start()
        self._started.wait(10)
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self._port}"}
        self.kubeconfig = directory / "through-the-door.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._started.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=True, timeout=aiohttp.ClientTimeout(total=None)
        )
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        headers.pop("Accept-Encoding", None)
        async with self._session.request(
            request.method,
            self._server + request.raw_path,
            data=body or None,
            headers=headers,
            ssl=self._tls,
        ) as answer:
            if request.method in WRITES:
                await answer.read()
                self.writes.append(f"{request.method} {request.path} {answer.status}")
                self.kill()
            return await self._pass_on(request, answer)

    async def _pass_on(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=kept)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return response

    def close(self) -> None:
        """Stop listening and let go of both sides."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _end(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
