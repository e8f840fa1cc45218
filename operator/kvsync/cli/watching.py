"""Sources that are watched from the process of a command: what each look at some of them stands on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from kvsync.adapters.engine_http.client import EngineHTTP
from kvsync.adapters.probe.reading import Readers
from kvsync.adapters.probe.sample import EACH_SOURCE, Budget
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.adapters.relay_http import RelayHTTP
from kvsync.core.judge import Policy, judge
from kvsync.model.source import Observation, SourceKey, Target, Traffic, Verdict
from kvsync.shell.readers import READERS
from kvsync.shell.relays import RelayDesk
from kvsync.shell.traffic import Pace, TrafficWatch


class Watching:
    """Watches sources, and asks their engines and relays, while this context manager is open."""

    def __init__(
        self, pace: Pace, readers: Readers = READERS, budgets: Sequence[Budget] = EACH_SOURCE
    ) -> None:
        self._subscriber = Subscriber(readers, budgets=budgets)
        self.engines = EngineHTTP()
        self._relays = RelayHTTP()
        desk = RelayDesk(self._relays, self.engines, time.monotonic)
        self._traffic = TrafficWatch(
            self._subscriber, self.engines, time.monotonic, relays=desk, pace=pace
        )
        self._looks: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._looks = asyncio.create_task(self._traffic.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._looks is not None:
            self._looks.cancel()
            await asyncio.gather(self._looks, return_exceptions=True)
        await self._traffic.close()
        await self._subscriber.close()
        await self.engines.close()
        await self._relays.close()

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these."""
        self._traffic.set_targets(targets)

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of a source so far."""
        return self._subscriber.observation(key)

    def traffic(self, key: SourceKey) -> Traffic | None:
        """What a source's engine has told of itself; None while it has not."""
        return self._traffic.traffic(key)

    def verdict(self, key: SourceKey, target: Target, policy: Policy) -> Verdict:
        """What is true of a source now."""
        now = time.monotonic()
        return judge(target, self.observation(key), now, policy, self.traffic(key))
