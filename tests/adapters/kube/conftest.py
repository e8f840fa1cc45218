"""What the tests of the API door share: time that does not pass, and clients of given servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from kubernetes.aio.client import Configuration

from kvsync.adapters.kube.access import Access, Loaded
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.pace import Timing


class Clock:
    """Time that a test moves; pauses pass at once and are remembered."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def timing(self) -> Timing:
        return Timing(self, self.sleep, lambda: 1.0)


Connect = Callable[[str], Awaitable[Kube]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def connect(clock: Clock) -> AsyncIterator[Connect]:
    """Clients of servers by URL, with the test's clock; closed at the end."""
    async with AsyncExitStack() as stack:

        async def to(url: str) -> Kube:
            loaded = Loaded(Configuration(host=url), "default")

            async def again() -> Loaded:
                return loaded

            return await stack.enter_async_context(Kube(Access(loaded, again), clock.timing))

        yield to


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - conditions here have no event
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work beside the test, which it must not end before."""
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
