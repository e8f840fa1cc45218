"""A door between an operator and the API server that kills the operator after each of its writes.

The write reaches the API server and its answer is lost: the worst moment to die. So every life
of the operator has exactly one write, and the next one must find its way from what it sees.
"""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from testbed.api_proxy import WRITES, ApiProxy, end_all_tasks


class DeadlyProxy(ApiProxy):
    """Listens in a thread of its own. ``kubeconfig`` leads through it; ``kill`` comes after each write."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        super().__init__(kubeconfig)
        self.kill: Callable[[], None] = lambda: None
        self.writes: list[str] = []
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._serve, args=[started], daemon=True).start()
        started.wait(10)
        self.kubeconfig = self.write_kubeconfig(directory / "through-the-door.kubeconfig")

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.start())
        started.set()
        self._loop.run_forever()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on; a write's answer is not passed back before ``kill`` was called."""
        async with self.asked(request, await request.read()) as answer:
            if request.method in WRITES:
                await answer.read()
                self.writes.append(f"{request.method} {request.path} {answer.status}")
                self.kill()
            return await self.passed_on(request, answer)

    def stop(self) -> None:
        """Stop listening, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _end(self) -> None:
        await self.close()
        await end_all_tasks()
