"""The queue of keys to reconcile: each key once, never in two workers, failures ever later."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FIRST_RETRY = 0.25
LONGEST_RETRY = 60.0


class WorkQueue(Generic[Key]):
    """A de-duplicating queue, as in client-go: a key added while it is being worked on comes again.

    Must be used from one event loop.
    """

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """How many keys wait for a worker."""
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Have a key worked on soon; nothing happens when it waits already."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

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
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """Give a key back."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
