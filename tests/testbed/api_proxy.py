"""A door between a client and an API server: it passes everything on, and may look at it.

Plain HTTP on loopback: what comes with a token is sent on with it. A client certificate ends here.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HOP_BY_HOP = frozenset(
    {"transfer-encoding", "content-length", "content-encoding", "connection", "host"}
)
_LARGEST = 64 * 1024 * 1024


class ApiProxy:
    """Made with the kubeconfig of whoever is to come through it; :meth:`handle` is what it does."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config = yaml.safe_load(kubeconfig.read_text())
        self._server: str = self._config["clusters"][0]["cluster"]["server"]
        self._tls = ssl._create_unverified_context()
        self.port = 0

    def write_kubeconfig(self, path: Path) -> Path:
        """The kubeconfig that leads through it, once it listens; written to ``path``."""
        self._config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.port}"}
        path.write_text(yaml.safe_dump(self._config))
        return path

    async def start(self) -> None:
        """Listen, in the running loop."""
        self._session = aiohttp.ClientSession(
            auto_decompress=True,
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=0),
        )
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", self.handle)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and let go of both sides."""
        await self._runner.cleanup()
        await self._session.close()

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._runner.server.connections) if self._runner.server else 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on and its answer back."""
        async with self.asked(request, await request.read()) as answer:
            return await self.passed_on(request, answer)

    @asynccontextmanager
    async def asked(
        self, request: web.Request, body: bytes, target: str = ""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The API server's answer to a request; ``target``: another path and query than it names."""
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        headers.pop("Accept-Encoding", None)
        async with self._session.request(
            request.method,
            self._server + (target or request.raw_path),
            data=body or None,
            headers=headers,
            ssl=self._tls,
        ) as answer:
            yield answer

    async def passed_on(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        """The answer as it comes, to whoever asked, as far as that one stays."""
        response = response_to(answer)
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return response


def response_to(answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """The beginning of the same answer."""
    kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
    return web.StreamResponse(status=answer.status, headers=kept)


async def end_all_tasks() -> None:
    """Cancel every other task of this loop and wait for them: for a loop of one's own that ends."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
