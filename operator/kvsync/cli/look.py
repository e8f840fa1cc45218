"""Watching one publisher, without a cluster: what ``probe`` and ``record`` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from kvsync.adapters.probe.sample import Budget
from kvsync.cli.watching import Watching
from kvsync.core.gist import gist_of
from kvsync.core.judge import Policy
from kvsync.core.tally import Tally
from kvsync.core.wire import decode_batch
from kvsync.model.source import Gist, Observation, SourceKey, Target, Verdict
from kvsync.shell.readers import READERS
from kvsync.shell.traffic import Pace

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
        readers = replace(READERS, whole=self._read, gist=self._read)
        self._watching = Watching(PACE, readers, budgets=(EVERYTHING,))

    async def __aenter__(self) -> Self:
        self._watching.set_targets({KEY: self._target})
        await self._watching.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._watching.__aexit__(kind, error, trace)

    @property
    def observation(self) -> Observation | None:
        """What was seen so far."""
        return self._watching.observation(KEY)

    def verdict(self) -> Verdict:
        """What is true of the source now."""
        return self._watching.verdict(KEY, self._target, self._policy)

    def _read(self, frames: Sequence[bytes]) -> Gist:
        batch = decode_batch(frames)
        self.tally.take(batch, time.time())
        # The judge knows one topic; any that was asked for counts as that one.
        gist = gist_of(batch)
        return replace(gist, topic=self._target.topic) if self._right_topic(gist.topic) else gist
