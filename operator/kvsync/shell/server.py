"""The operator's HTTP server: ``/metrics``, ``/healthz`` and ``/readyz``, for anybody who can reach it.

Nothing is asked of who connects, so nothing may be taken: connections are few and short, the
oldest gives way, one request is answered on each, and its headers are small.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError

log = logging.getLogger(__name__)

CONNECTIONS = 16
"""At once; one more closes the oldest, so that nobody can keep the kubelet's probes out."""
PATIENCE = 10.0
"""Seconds that a connection may last, whoever is the slower one."""
HEADER = 2048
"""Bytes of a request line, and of one header."""
HEADERS = 32

# aiohttp writes a trace for each request that is none: whoever sends them would fill the log.
_silent = logging.getLogger(f"{__name__}.requests")
_silent.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Page]]
"""What answers a path; called in the event loop for each request."""


def health_page(problem: str, well: str = "ok") -> Page:
    """200 and ``well`` where there is no problem, else 503 with the sentence that says which."""
    return Page(f"{problem or well}\n".encode(), 503 if problem else 200)


class HttpServer:
    """Serves pages from :meth:`start` to :meth:`close`."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._server: asyncio.Server | None = None
        self._connections: _Connections | None = None

    async def start(self, address: Address) -> Address:
        """Listen; port 0 takes a free one. Returns where it listens.

        Raises:
            KvsyncError: the address cannot be listened on; the message says the way out.
        """
        self._connections = _Connections(self._answer)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connections, address.host, address.port)
        except OSError as error:
            raise KvsyncError(
                f"cannot listen on {address.host}:{address.port} for metrics and health checks: "
                f"{error.strerror or error}. Give --metrics-address another HOST:PORT, or 'off' "
                "to go without"
            ) from error
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None and self._connections is not None:
            self._server.close()
            self._connections.end()
            await self._connections.shutdown(1.0)
            await self._server.wait_closed()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        page = self._page(request)
        response = web.Response(
            body=page.body, status=page.status, headers={"Content-Type": page.content_type}
        )
        response.force_close()
        return response

    def _page(self, request: web.BaseRequest) -> Page:
        make = self._pages.get(request.path)
        if make is None:
            return Page(f"Not here; there are {', '.join(self._pages)}.\n".encode(), 404)
        if request.method not in {"GET", "HEAD"}:
            return Page(b"Only GET and HEAD are answered.\n", 405)
        try:
            return make()
        except Exception:  # a bug in one page must not end the others
            log.exception("%s failed", request.path)
            return Page(b"This failed; the operator's log says how.\n", 500)


class _Connections(web.Server):
    """aiohttp's server, with a bound on how many connections there are and how long each lasts."""

    def __init__(self, answer: Callable[[web.BaseRequest], object]) -> None:
        super().__init__(
            answer,  # type: ignore[arg-type]
            access_log=None,
            logger=_silent,
            keepalive_timeout=PATIENCE,
            lingering_time=0.0,
            max_line_size=HEADER,
            max_field_size=HEADER,
            max_headers=HEADERS,
        )
        self._open: dict[RequestHandler, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """One more; the oldest gives way where there are too many."""
        super().connection_made(handler, transport)
        while len(self._open) >= CONNECTIONS:
            oldest, timer = self._open.pop(next(iter(self._open)))
            timer.cancel()
            oldest.abort()
        timer = asyncio.get_running_loop().call_later(PATIENCE, transport.abort)
        self._open[handler] = (transport, timer)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """One less."""
        super().connection_lost(handler, exc)
        _, timer = self._open.pop(handler, (None, None))
        if timer is not None:
            timer.cancel()

    def end(self) -> None:
        """End all."""
        for transport, timer in self._open.values():
            timer.cancel()
            transport.abort()
