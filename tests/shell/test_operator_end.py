"""The end of an operator: the Lease is given back whatever kopf ends meanwhile."""

import asyncio
from typing import Any, cast

from kvsync.adapters.metrics import Metrics
from kvsync.shell.operator import Operator
from kvsync.shell.settings import Settings


class Lease:
    """Released by a request that first looks a name up in a task of its own, as aiohttp does."""

    released = False

    async def release(self) -> None:
        await asyncio.shield(asyncio.create_task(asyncio.sleep(0)))
        self.released = True


async def kopf_until_cancelled(others: set[asyncio.Task[Any]]) -> None:
    """Ends as kopf does, in several rounds: with every task that it did not find when it began."""
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(20):
            for task in asyncio.all_tasks() - others - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)


async def test_the_lease_is_released_before_kopf_ends_all_tasks() -> None:
    lease, none = Lease(), cast("Any", None)
    operator = Operator(Settings(), none, none, Metrics(), cast("Any", lease))
    began = asyncio.all_tasks()
    objects = asyncio.create_task(kopf_until_cancelled(began))
    follower = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await operator._end([cast("Any", follower)], cast("Any", objects))
    assert lease.released
    assert follower.cancelled()
    assert objects.cancelled()
