"""Watching one publisher, without a cluster: what ``probe`` and ``record`` have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from kvsync.adapters.engine_http.client import EngineHTTP
from kvsync.adapters.probe.sample import Budget
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.adapters.relay_http import RelayHTTP
from kvsync.core.gist import gist_of
from kvsync.core.judge import Policy, judge
from kvsync.core.tally import Tally
from kvsync.core.wire import decode_batch
from kvsync.model.source import Gist, Observation, SourceKey, Target, Verdict
from kvsync.shell.readers import READERS
from kvsync.shell.relays import RelayDesk
from kvsync.shell.traffic import Pace, TrafficWatch

KEY = SourceKey("", "", "")
"""There is one source, and it is no pod."""

INTERVAL = 1.5
"""Seconds between samples, and between replay requests: a look is short."""

PACE = Pace(window=0.5, first=0.1)
"""Of looks at its relay, where it has one."""

EVERYTHING = Budget(messages=64, octets=4 << 20, seconds=1.0, read=64)
"""One source can be heard for longer than one of thousands."""


class Look:
    """One source that is watched while this context manager is open.

    ``right_topic`` tells whether a topic is one that was asked for.
    """

    def __init__(self, target: Target, policy: Policy, right_topic: Callable[[str], bool]) -> None:
        self.tally = Tally()
        self._target = replace(target, interval=INTERVAL)
        self._policy = policy
        self._right_topic = right_topic
        self._subscriber = Subscriber(
            replace(READERS, whole=self._read, gist=self._read), budgets=(EVERYTHING,)
        )

        self._engines, self._relays = EngineHTTP(), RelayHTTP()
        desk = RelayDesk(self._relays, self._engines, time.monotonic)
        self._traffic = TrafficWatch(
            self._subscriber, self._engines, time.monotonic, relays=desk, pace=PACE
        )
        self._looks: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._traffic.set_targets({KEY: self._target})
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
        await self._engines.close()
        await self._relays.close()

    @property
    def observation(self) -> Observation | None:
        """What was seen so far."""
        return self._subscriber.observation(KEY)

    def verdict(self) -> Verdict:
        """What is true of the source now."""
        now, said = time.monotonic(), self._traffic.traffic(KEY)
        return judge(self._target, self.observation, now, self._policy, said)

    def _read(self, frames: Sequence[bytes]) -> Gist:
        batch = decode_batch(frames)
        self.tally.take(batch, time.time())
        # The judge knows one topic; any that was asked for counts as that one.
        gist = gist_of(batch)
        return replace(gist, topic=self._target.topic) if self._right_topic(gist.topic) else gist
