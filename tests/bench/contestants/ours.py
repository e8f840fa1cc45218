"""The operator's probe: ``Probes`` over a ``Pool`` with one process that watches, and their metering."""

import asyncio
import time
from collections import Counter

from bench.contestants.seat import ORDERS, Address, read_addresses, say
from kvsync.adapters.probe.pool import Pool
from kvsync.model.source import SourceKey, Target
from kvsync.shell.metering import Metering
from kvsync.shell.probe_worker import command
from kvsync.shell.probes import Key, Probes
from testbed.watching import MEMORY

OBJECT: Key = ("bench", "all")


def target(number: int, address: Address) -> Target:
    key = SourceKey("bench", f"pod-{number}", f"bench-{number}")
    return Target(key, address.host, address.port, address.replay_port, "")


class Ours:
    """All publishers as the sources of one object."""

    def __init__(self) -> None:
        self._pool = Pool(command(MEMORY), 1, self._heard)
        self._probes = Probes(self._pool, lambda key: None, time.monotonic)
        self._metering = Metering(self._probes.snapshot, tuple, time.monotonic)
        self._over = asyncio.Event()

    async def run(self) -> None:
        tasks = [asyncio.create_task(each.run()) for each in (self._probes, self._metering)]
        say(ready=True)
        wanted = [target(number, address) for number, address in enumerate(read_addresses())]
        self._probes.assign(OBJECT, {each.key: each for each in wanted})
        asyncio.get_running_loop().add_reader(ORDERS.fileno(), self._asked)
        await self._over.wait()
        for task in tasks:
            task.cancel()
        await self._pool.close()

    def _heard(self, source: SourceKey) -> None:
        self._probes.heard(source)

    def _asked(self) -> None:
        if not ORDERS.readline():
            self._over.set()
            return
        seen = [self._pool.observation(target.key) for target, *_ in self._probes.snapshot()]
        verdicts = self._probes.verdicts(OBJECT).values()
        say(
            sources=sum(each is not None and each.messages > 0 for each in seen),
            messages=sum(each.messages for each in seen if each is not None),
            failing=Counter(each.failure for each in seen if each is not None and each.failure),
            verified=sum(each.verified and each.settled for each in verdicts),
            worker=self._pool.workers()[0].pid,
            restarts=self._pool.workers()[0].restarts,
        )


if __name__ == "__main__":
    asyncio.run(Ours().run())
