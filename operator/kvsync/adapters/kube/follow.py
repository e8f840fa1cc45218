"""`Follow`: one list, then watches that each go on where the last one ended, for one namespace.

The protocol is that of client-go's reflector (tools/cache/reflector.go) and of the API concepts
page "Efficient detection of changes".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from kvsync.adapters.kube.answer import Json, from_status
from kvsync.adapters.kube.by_namespace import Key
from kvsync.adapters.kube.client import PAGE, Kube, items
from kvsync.adapters.kube.mirror import Mirror, key_of
from kvsync.adapters.kube.pace import Timing
from kvsync.adapters.kube.resource import Resource
from kvsync.adapters.kube.transport import Query
from kvsync.model.errors import ApiError, ConnectionLost, Gone, ServerError, Timeout

SHORTEST_WATCH = 300
"""Seconds; a watch is ended by the server after this to twice this, so that load re-balances."""

QUIET = 150.0
"""Seconds without a byte after which a watch is opened again: bookmarks come every minute or so,
and a peer that vanished without closing would otherwise be believed for minutes."""

LIST_AGAIN = 1800.0
"""Seconds after which what is followed is listed anew when its watch ends next. A watch that lost an
event says nothing of it: what would have come after it never comes, and is waited for until then."""

_LINE_LIMIT = 8 * 1024 * 1024  # etcd's limit for one object is 1.5 MiB
_SETBACKS_BEFORE_LIST = 3


class Listener(Protocol):
    """Who is told how a `Follow` fares."""

    def listed(self, follow: Follow) -> None:
        """A complete list is in the mirror."""

    def opened(self, follow: Follow) -> None:
        """The server accepted a watch."""


@dataclass(slots=True)
class Follow:
    """Keeps ``mirror`` true for one resource in one namespace, or in all of them (None)."""

    kube: Kube
    resource: Resource
    namespace: str | None
    query: Query
    mirror: Mirror[Any]
    listener: Listener
    timing: Timing
    heard_at: float = field(init=False)
    tried_at: float = field(init=False)
    version: str = field(default="", init=False)
    _listed_at: float = field(default=0.0, init=False)
    _setbacks: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.heard_at = self.tried_at = self.timing.clock()

    @property
    def stirred_at(self) -> float:
        """When it last heard something or began to try."""
        return max(self.heard_at, self.tried_at)

    async def step(self) -> bool:
        """List if that is needed or long ago, then watch until the watch ends; whether events came.

        The end of a watch is normal, also a broken one: the next step goes on from there, or
        lists again when that place is forgotten.

        Raises:
            ApiError: no list, no watch, or an error inside of one.
        """
        try:
            if not self.version or self.timing.clock() - self._listed_at >= LIST_AGAIN:
                await self._list()
            heard = await self._watch()
        except Gone:
            self.version = ""
            return False
        except ApiError as error:
            self._count(error)
            raise
        self._setbacks = 0
        return heard

    async def _list(self) -> None:
        try:
            await self._list_pages(PAGE)
        except Gone:  # a page token aged out; one page cannot
            await self._list_pages(0)
        self._listed_at = self.timing.clock()
        self.listener.listed(self)

    async def _list_pages(self, limit: int) -> None:
        seen: set[Key] = set()
        version = ""
        async for page in self.kube.pages(self.resource, self.namespace, self.query, limit):
            self.heard_at = self.timing.clock()
            seen.update(self.mirror.put(item) for item in items(page))
            version = (page.get("metadata") or {}).get("resourceVersion") or ""
        self.mirror.keep_only(self.namespace, seen)
        self.version = version

    async def _watch(self) -> bool:
        seconds = SHORTEST_WATCH + int(SHORTEST_WATCH * self.timing.jitter())
        query = {
            **self.query,
            "resourceVersion": self.version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": seconds,
        }
        limits = aiohttp.ClientTimeout(total=seconds + 60, sock_connect=5, sock_read=QUIET)
        opened = heard = False
        doing = f"WATCH {self.resource.where(self.namespace)}"
        try:
            async with self.kube.stream(self.resource, self.namespace, query, limits) as content:
                opened = True
                self.heard_at = self.timing.clock()
                self.listener.opened(self)
                async for line in lines(content):
                    self.heard_at = self.timing.clock()
                    self._take(self.resource.shape.event(line, doing))
                    heard = True
        except (Timeout, ConnectionLost) as error:
            if not opened or error.status:
                raise
        return heard

    def _take(self, event: Json) -> None:
        said = event.get("object")
        item: Json = said if isinstance(said, dict) else {}
        match event.get("type"):
            case "ADDED" | "MODIFIED":
                self.mirror.put(item)
            case "DELETED":
                self.mirror.drop(key_of(item))
            case "ERROR":
                raise from_status(item, f"WATCH {self.resource.where(self.namespace)}")
        self.version = (item.get("metadata") or {}).get("resourceVersion") or self.version

    def _count(self, error: ApiError) -> None:
        # An answer that says the place we go on from is at fault, though it does not say 410, as
        # "Too large resource version" (504) after etcd was restored. An outage says nothing of it.
        if error.status in (400, 404, 422, 504) or error.reason == "NotKubernetes":
            self._setbacks += 1
        if self._setbacks >= _SETBACKS_BEFORE_LIST:
            self._setbacks = 0
            self.version = ""


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The complete lines of a stream; what a broken stream left of one is dropped.

    aiohttp's own ``readline`` has a limit below the largest possible event, and is slower.

    Raises:
        ServerError: a line longer than any event can be.
    """
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
        if len(rest) > _LINE_LIMIT:
            raise ServerError(
                f"a watch sent {len(rest)} bytes without an end of line", reason="NotKubernetes"
            )
