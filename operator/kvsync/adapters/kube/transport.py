"""Sends one request to an API server and gives its answer, or the error of the tree it means.

The ``kubernetes`` library's configuration, TLS and aiohttp session carry it; its
``ApiClient.call_api`` does not: the models behind it drop fields they do not know and cost six
times the CPU. Bodies are never logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import ApiClient
from yarl import URL

from kvsync.adapters.kube.access import Access
from kvsync.adapters.kube.answer import refusal
from kvsync.adapters.kube.pace import Backoff, Timing
from kvsync.model.errors import (
    ApiError,
    ConnectionLost,
    NotLeading,
    Timeout,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)

Query = Mapping[str, str | int | bool | None]
"""Query parameters; those that are None or empty are left out."""

OnAnswer = Callable[[str, int, float], None]
"""Told of each request that was sent: its verb (as in ``Request.doing``), the HTTP status of the
answer, or 0 where none came, and the seconds until its answer began, or failed to."""

MayWrite = Callable[[], bool]
"""Whether this process may write now."""

READS = frozenset({"GET", "HEAD"})

PROGRAM = "kvsync-operator"
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)

_ATTEMPTS = 4
_LONGEST_RETRY_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``doing`` names it in messages, as ``PATCH deployments.apps ns/name``."""

    method: str
    path: str
    doing: str
    query: Query = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    timeout: aiohttp.ClientTimeout | None = None
    """None for REQUEST_TIMEOUT."""

    @property
    def verb(self) -> str:
        """What it does, as GET, LIST, WATCH, CREATE, UPDATE, PATCH, DELETE, EVICT or LOG."""
        return self.doing.partition(" ")[0]


class Transport:
    """The connections to one API server."""

    def __init__(
        self,
        access: Access,
        timing: Timing,
        on_answer: OnAnswer | None = None,
        *,
        may_write: MayWrite | None = None,
        instance: str = "",
    ) -> None:
        self._may_write = may_write or _always
        self._access = access
        self._timing = timing
        self._on_answer = on_answer or _ignore
        # Otherwise aiohttp reads ~/.netrc and the proxy variables in a thread for every request:
        # twice the CPU, and an error when .netrc knows the host and we send a token.
        access.configuration.client_session_kwargs = {"trust_env": False}
        self._api = ApiClient(access.configuration)
        # The library makes its session at its own first request, which is never sent.
        self._session = self._api.rest_client._create_pool_manager()
        self._api.rest_client.pool_manager = self._session
        self._settings = _settings(self._api)
        self._headers: tuple[tuple[str, str], ...] = (
            ("User-Agent", user_agent(instance)),
            ("Accept", "application/json"),
            *access.impersonation.headers,
        )

    @property
    def host(self) -> str:
        """The API server's address, with a path where a proxy gives it one."""
        return str(self._access.configuration.host).rstrip("/")

    async def close(self) -> None:
        """Close all connections; running requests fail."""
        await self._api.rest_client.close()

    async def answer(self, request: Request) -> bytes:
        """The whole answer, after bounded repeats.

        Repeated are reads when the server is unavailable, and anything it answers 429 to. Writes
        are otherwise sent once: whoever wrote decides, after reading again.
        """
        backoff = Backoff(0.2, 5.0, self._timing.jitter)
        left = _ATTEMPTS
        while True:
            try:
                async with self.open(request) as response:
                    return await response.read()
            except (TooManyRequests, Unavailable) as error:
                left -= 1
                pause = pause_before_repeat(error, request.method, backoff)
                if not left or pause is None:
                    raise
            await self._timing.sleep(pause)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once; once more with new credentials when the first got a 401.

        What breaks while the caller reads the response is turned into the error tree as well.

        Raises:
            NotLeading: it is a write, and this process may not write now. Nothing was sent.
        """
        while True:
            authorization = await self._access.authorization()
            if request.method not in READS and not self._may_write():
                raise NotLeading(
                    f"{request.doing}: not sent, this process does not hold the Lease any more"
                )
            try:
                async with self._send_counted(request, authorization) as response:
                    if response.status < 300:
                        yield response
                        return
                    said = await response.read()
                    error = refusal(response.status, response.headers, said, request.doing)
            except TimeoutError as late:
                message = f"{self.host} gave no complete answer in time"
                raise Timeout(message, doing=request.doing) from late
            except (aiohttp.ClientError, OSError) as broken:
                message = f"the connection to {self.host} failed: {broken!r}"
                raise ConnectionLost(message, doing=request.doing) from broken
            if not isinstance(error, Unauthorized) or not await self._access.renew(authorization):
                raise error

    @asynccontextmanager
    async def _send_counted(
        self, request: Request, authorization: str | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        status, sent = 0, self._timing.clock()
        try:
            async with self._send(request, authorization) as response:
                status = response.status
                self._on_answer(request.verb, status, self._timing.clock() - sent)
                yield response
        except (aiohttp.ClientError, OSError):
            if not status:
                self._on_answer(request.verb, 0, self._timing.clock() - sent)
            raise

    def _send(
        self, request: Request, authorization: str | None
    ) -> aiohttp.client._RequestContextManager:
        headers: list[tuple[str, str]] = [*self._headers]
        if request.body is not None:
            headers.append(("Content-Type", request.content_type))
        if authorization:
            headers.append(("Authorization", authorization))
        return self._session.request(
            request.method,
            # Paths are quoted already; quoting twice or normalizing would change what is asked.
            URL(f"{self.host}{request.path}{encode_query(request.query)}", encoded=True),
            headers=headers,
            data=request.body,
            timeout=request.timeout or REQUEST_TIMEOUT,
            allow_redirects=False,  # an API server sends none, and a token must not follow one
            **self._settings,
        )


def _ignore(_verb: str, _status: int, _seconds: float) -> None:
    """Nobody counts."""


def _always() -> bool:
    """Nobody else writes."""
    return True


def pause_before_repeat(error: ApiError, method: str, backoff: Backoff) -> float | None:
    """Seconds until sending again makes sense, or None when it does not."""
    pause = backoff.pause()
    if isinstance(error, TooManyRequests):
        wanted = max(error.retry_after, pause)
        return wanted if wanted <= _LONGEST_RETRY_AFTER else None
    return pause if method == "GET" else None


def encode_query(query: Query) -> str:
    """The query string with its question mark; empty without parameters."""
    said = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in query.items()
        if value is not None and value != ""
    }
    return f"?{urlencode(said)}" if said else ""


def user_agent(instance: str = "") -> str:
    """``kvsync-operator/<version> (<instance>)``, as it stands in the API server's audit log."""
    try:
        program = f"{PROGRAM}/{version(PROGRAM)}"
    except PackageNotFoundError:
        program = f"{PROGRAM}/unknown"
    return f"{program} ({instance})" if instance else program


def environment_proxy(host: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a server's address."""
    address = urlsplit(host)
    if proxy_bypass(address.netloc):
        return None
    return getproxies().get(address.scheme)


def _settings(api: ApiClient) -> dict[str, Any]:
    # What the library's RESTClientObject passes with each request besides the session.
    settings = {
        "server_hostname": api.configuration.tls_server_name,
        "proxy": api.rest_client.proxy or environment_proxy(str(api.configuration.host)),
        "proxy_headers": api.rest_client.proxy_headers,
    }
    return {key: value for key, value in settings.items() if value}
