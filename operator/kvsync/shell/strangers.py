"""What a name stands for that is no Deployment and no StormService: asked once in a while.

Somebody who names a RayClusterFleet shall read that, and not that there is no such Deployment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from kvsync.adapters.kube.resource import Resource
from kvsync.model.errors import ApiError

Key = tuple[str, str]
"""Namespace and name."""

KINDS: Mapping[str, Resource] = MappingProxyType(
    {
        "RayClusterFleet": Resource("orchestration.aibrix.ai", "v1alpha1", "rayclusterfleets"),
        "PodSet": Resource("orchestration.aibrix.ai", "v1alpha1", "podsets"),
        "RoleSet": Resource("orchestration.aibrix.ai", "v1alpha1", "rolesets"),
        "ModelClaim": Resource("model.aibrix.ai", "v1alpha1", "modelclaims"),
        "StatefulSet": Resource("apps", "v1", "statefulsets"),
    }
)
"""Kinds that run engines and are not changed."""

AGAIN = 300.0
"""Seconds until a name is looked up again."""

AT_ONCE = 4


class Reader(Protocol):
    """What reads one object (``adapters.kube``)."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """The object. Raises ApiError."""


class Strangers:
    """The kind of each name that was found. ``on_found`` is called with who asked."""

    def __init__(
        self, reader: Reader, on_found: Callable[[Key], None], clock: Callable[[], float]
    ) -> None:
        self._reader = reader
        self._on_found = on_found
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[Key, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.kinds: dict[Key, str] = {}

    def ask(self, key: Key, names: Iterable[str]) -> None:
        """Look up names of the asking object's namespace that were not looked up lately."""
        now = self._clock()
        for name in names:
            stranger = (key[0], name)
            if now - self._asked.get(stranger, -AGAIN) >= AGAIN:
                self._asked[stranger] = now
                task = asyncio.create_task(self._look(key, stranger))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def forget(self, key: Key) -> None:
        """Drop what is known of a name that stands for a workload now."""
        self._asked.pop(key, None)
        self.kinds.pop(key, None)

    async def _look(self, key: Key, stranger: Key) -> None:
        found = ""
        for kind, resource in KINDS.items():
            async with self._slots:
                if await self._is_there(resource, stranger):
                    found = kind
                    break
        if self.kinds.get(stranger, "") != found:
            self.kinds[stranger] = found
            self._on_found(key)

    async def _is_there(self, resource: Resource, stranger: Key) -> bool:
        try:
            await self._reader.get(resource, *stranger)
        except ApiError:  # not there, not served, not permitted: then nothing better can be said
            return False
        return True

    async def close(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
