"""Where pods come from: list and watch on the API server, with the pod's own ServiceAccount."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from testbed.gateway.klog import Klog
from testbed.gateway.pods import Pod, pod_of

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_WATCH_SECONDS = 300
_RETRY_SECONDS = 0.5


class Kind(Enum):
    """What a piece of pod news says."""

    CHANGED = "changed"
    DELETED = "deleted"
    SYNCED = "synced"
    """All pods that existed at start have been told."""


@dataclass(frozen=True)
class News:
    """One piece of pod news; `pod` is None for SYNCED alone."""

    kind: Kind
    pod: Pod | None = None


class PodSource(Protocol):
    """Tells all pods, then SYNCED once, then every change, for ever."""

    def follow(self) -> AsyncGenerator[News]:
        """The stream of news."""
        ...


class GoneError(Exception):
    """The watch cannot go on from its resource version: list again."""


class ApiPods:
    """Pods of all namespaces from the API server of the cluster this process runs in."""

    def __init__(
        self, log: Klog, env: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT
    ) -> None:
        host, port = env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"]
        host = f"[{host}]" if ":" in host else host
        self._url = f"https://{host}:{port}/api/v1/pods"
        self._tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
        self._account = account
        self._log = log
        self._known: dict[str, Pod] = {}

    async def follow(self) -> AsyncGenerator[News]:
        """List, SYNCED, watch; lists again and tells the difference when the watch breaks."""
        synced = False
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_WATCH_SECONDS + 30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                try:
                    async for news in self._list(session):
                        yield news
                    if not synced:
                        synced = True
                        yield News(Kind.SYNCED)
                    async for news in self._watch(session):
                        yield news
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
                    self._log.error("reflector.go:158", f"Failed to watch *v1.Pod: {problem}")
                    await asyncio.sleep(_RETRY_SECONDS)
                except GoneError:
                    continue

    async def _list(self, session: aiohttp.ClientSession) -> AsyncIterator[News]:
        async with self._get(session, {}) as response:
            response.raise_for_status()
            body = await response.json()
        self._version = body["metadata"]["resourceVersion"]
        listed = {pod.key: pod for pod in map(pod_of, body["items"])}
        for key in self._known.keys() - listed.keys():
            yield News(Kind.DELETED, self._known.pop(key))
        for pod in listed.values():
            self._known[pod.key] = pod
            yield News(Kind.CHANGED, pod)

    async def _watch(self, session: aiohttp.ClientSession) -> AsyncIterator[News]:
        while True:
            parameters = {
                "watch": "1",
                "allowWatchBookmarks": "true",
                "resourceVersion": self._version,
                "timeoutSeconds": str(_WATCH_SECONDS),
            }
            async with self._get(session, parameters) as response:
                if response.status == 410:
                    raise GoneError
                response.raise_for_status()
                async for event in _lines(response):
                    news = self._news(event)
                    if news is not None:
                        yield news

    def _get(
        self, session: aiohttp.ClientSession, parameters: dict[str, str]
    ) -> aiohttp.client._RequestContextManager:
        # The token is read each time because the kubelet replaces it before it expires.
        token = (self._account / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        return session.get(self._url, params=parameters, headers=headers, ssl=self._tls)

    def _news(self, event: dict[str, Any]) -> News | None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise GoneError
        self._version = item["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return None
        pod = pod_of(item)
        if kind == "DELETED":
            self._known.pop(pod.key, None)
            return News(Kind.DELETED, pod)
        self._known[pod.key] = pod
        return News(Kind.CHANGED, pod)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The JSON lines of a watch; cut by hand because a pod can exceed a reader's line limit."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield json.loads(line)
