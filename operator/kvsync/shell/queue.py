"""The queue of keys to reconcile: each key once, never in two workers, failures ever later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_RETRY = 0.25
LONGEST_RETRY = 60.0


class WorkQueue(Generic[Key]):
    """A de-duplicating queue, as in client-go: a key added while it is being worked on comes again.

    Must be used from one event loop. ``clock`` is a monotonic one, in seconds. ``adds`` and
    ``retries`` count what was put into the queue, and what was put off to be tried again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.adds = 0
        self.retries = 0
        self._clock = clock
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: dict[Key, float] = {}
        """Since when each waits, in the order in which they came."""
        self._working: set[Key] = set()
        """Those that a worker has, and those that rest after it."""
        self._again: set[Key] = set()
        self._rests: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        """Since when each rests, by the loop's clock, and what ends that."""
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """How many keys wait for a worker."""
        return len(self._waiting)

    def news(self) -> set[Key]:
        """The keys that there is news of: those that wait for a worker, and those that come again."""
        return {*self._waiting, *self._again}

    def oldest(self) -> float:
        """Seconds that the key has waited for a worker that waits longest; 0.0 where none waits."""
        now = self._clock()
        return now - next(iter(self._waiting.values()), now)

    def add(self, key: Key) -> None:
        """Have a key worked on soon; nothing happens when it waits already."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self.adds += 1
            self._waiting[key] = self._clock()
            self._ready.put_nowait(key)

    def wake(self, key: Key, least: float = 0.0) -> None:
        """Have a key worked on soon; one that rests once it did so for ``least`` seconds."""
        self.add(key)
        if key in self._rests:
            since, timer = self._rests[key]
            if since + least < timer.when():
                timer.cancel()
                self._rest(key, since, least)

    def add_after(self, key: Key, delay: float) -> None:
        """Have a key worked on in ``delay`` seconds; an earlier timer of the same key stays."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        timer = self._timers.get(key)
        if timer is not None and not timer.cancelled() and loop.time() < timer.when() <= due:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def retry(self, key: Key) -> float:
        """Have a key that failed worked on again, each time after twice as long. Returns seconds."""
        self.retries += 1
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = float(min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(failures, 20)))
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        """Forget a key's failures."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key; it is this worker's until :meth:`done`."""
        key = await self._ready.get()
        self._waiting.pop(key, None)
        self._working.add(key)
        return key

    def done(self, key: Key, rest: float = 0.0) -> None:
        """Give a key back. What is added within ``rest`` seconds comes after them, and once."""
        if rest:
            self._rest(key, asyncio.get_running_loop().time(), rest)
        else:
            self._give_back(key)

    def _rest(self, key: Key, since: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._rests[key] = since, loop.call_at(since + seconds, self._give_back, key)

    def _give_back(self, key: Key) -> None:
        self._rests.pop(key, None)
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
