"""The processes that watch sources for the operator, kept running, and what they tell."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kvsync.adapters.probe.keeper import Keeper
from kvsync.adapters.probe.news import is_news
from kvsync.adapters.probe.strikes import Strikes
from kvsync.model.metering import Worker
from kvsync.model.source import Observation, SourceKey, Target

log = logging.getLogger(__name__)


class Pool:
    """Watches sources in processes of their own; like ``Subscriber`` from outside.

    ``command`` starts one, given the descriptor of its mark as the last argument. ``changed`` is
    called with a source's key whenever there is news of it (:mod:`~kvsync.adapters.probe.news`).
    """

    def __init__(
        self,
        command: Sequence[str],
        workers: int,
        changed: Callable[[SourceKey], None] = lambda key: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._changed = changed
        self._clock = clock
        self._targets: dict[SourceKey, tuple[int, Target]] = {}
        self._keys: dict[int, SourceKey] = {}
        self._seen: dict[SourceKey, Observation] = {}
        self._numbers = 0
        self._strikes = Strikes(clock)
        rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._keepers = [Keeper(command, index, self, rng) for index in range(workers)]
        self._tasks: list[asyncio.Task[None]] = []

    def workers(self) -> list[Worker]:
        """The processes, for metrics."""
        return [Worker(str(k.index), k.pid, k.restarts) for k in self._keepers]

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these: drops the others, starts new ones, begins anew where one changed."""
        if targets and not self._tasks:
            self._tasks = [asyncio.create_task(keeper.run()) for keeper in self._keepers]
        for key in [k for k, (_, t) in self._targets.items() if targets.get(k) != t]:
            self._drop(key)
        fresh: dict[Keeper, dict[int, Target]] = {}
        for key, target in targets.items():
            if key not in self._targets:
                number = self._enter(key, target)
                fresh.setdefault(self._keeper_of(key), {})[number] = target
        for keeper, added in fresh.items():
            keeper.watch(added)

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of a source; None for one that is not watched or not heard of yet."""
        return self._seen.get(key)

    async def close(self) -> None:
        """End the processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _enter(self, key: SourceKey, target: Target) -> int:
        self._numbers += 1
        self._targets[key] = self._numbers, target
        self._keys[self._numbers] = key
        return self._numbers

    def _drop(self, key: SourceKey) -> None:
        number, _ = self._targets.pop(key)
        del self._keys[number]
        self._seen.pop(key, None)
        self._strikes.forget(number)
        self._keeper_of(key).drop(number)

    def _keeper_of(self, key: SourceKey) -> Keeper:
        spread = zlib.crc32(f"{key.uid}/{key.rank}".encode())
        return self._keepers[spread % len(self._keepers)]

    # What the keepers tell (keeper.Owner)

    def told(self, observations: Mapping[int, Observation]) -> None:
        """Keep what a process saw."""
        for number, observation in observations.items():
            key = self._keys.get(number)
            if key is not None:
                before, self._seen[key] = self._seen.get(key), observation
                if is_news(before, observation, self._targets[key][1].interval):
                    self._changed(key)

    def ended(self, numbers: Sequence[int], suspect: int) -> dict[int, float]:
        """Note that a process ended that watched these, while it read ``suspect`` (0: none).

        Returns the sources that it is better not given at once, with the seconds to wait.
        """
        now = self._clock()
        for number in numbers:
            key = self._keys[number]
            before = self._seen.get(key) or Observation(since=now)
            self._seen[key] = replace(before, interrupted_at=now)
            self._changed(key)
        return self._sentence(suspect, now) if suspect in self._keys else {}

    def _sentence(self, suspect: int, now: float) -> dict[int, float]:
        wait = self._strikes.strike(suspect)
        if not wait:
            return {}
        key = self._keys[suspect]
        log.warning(
            "what %s/%s sends ended the process that watches it, again and again; it is left alone "
            "for %.0f s",
            *(key.namespace, key.pod, wait),
        )
        text = "it ended the operator's own watching process more than once"
        self._seen[key] = Observation(
            since=now, handshake_at=now, undecodable=text, undecoded=1, undecodable_streak=2
        )
        self._changed(key)
        return {suspect: wait}
