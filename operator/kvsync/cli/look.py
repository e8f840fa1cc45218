"""Watching one publisher, without a cluster: what ``probe`` and ``record`` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from kvsync.adapters.probe.sample import Budget
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.core.gist import gist_of
from kvsync.core.judge import Policy, judge
from kvsync.core.tally import Tally
from kvsync.core.wire import decode_batch
from kvsync.model.source import Gist, Observation, SourceKey, Target, Verdict
from kvsync.shell.readers import READERS

KEY = SourceKey("", "", "")
"""There is one source, and it is no pod."""

INTERVAL = 1.5
"""Seconds between samples, and between replay requests: a look is short."""

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

    async def __aenter__(self) -> Self:
        self._subscriber.set_targets({KEY: self._target})
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._subscriber.close()

    @property
    def observation(self) -> Observation | None:
        """What was seen so far."""
        return self._subscriber.observation(KEY)

    def verdict(self) -> Verdict:
        """What is true of the source now."""
        return judge(self._target, self.observation, time.monotonic(), self._policy)

    def _read(self, frames: Sequence[bytes]) -> Gist:
        batch = decode_batch(frames)
        self.tally.take(batch, time.time())
        # The judge knows one topic; any that was asked for counts as that one.
        gist = gist_of(batch)
        return replace(gist, topic=self._target.topic) if self._right_topic(gist.topic) else gist
