"""The sources being probed: which object wants which, and what is held true of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from kvsync.core.judge import Policy, judge
from kvsync.model.source import Observation, SourceKey, Target, Verdict

Key = tuple[str, str]

TICK = 1.0
"""Seconds between looks for verdicts that time alone has changed."""


class Watcher(Protocol):
    """What watches sources (``adapters.subscriber``)."""

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these."""

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of one of them."""


class Probes:
    """Targets by the object that asked for them, judged when they are looked at.

    ``on_verdict`` is called with the object's key when a verdict of one of its sources changed.
    """

    def __init__(
        self,
        watcher: Watcher,
        on_verdict: Callable[[Key], None],
        clock: Callable[[], float],
        policy: Policy | None = None,
    ) -> None:
        self._watcher = watcher
        self._on_verdict = on_verdict
        self._clock = clock
        self._policy = policy or Policy()
        self._wanted: dict[Key, Mapping[SourceKey, Target]] = {}
        self._last: dict[SourceKey, tuple[object, ...]] = {}

    def assign(self, key: Key, targets: Mapping[SourceKey, Target]) -> None:
        """Probe exactly these sources for an object; none to stop."""
        if self._wanted.get(key, {}) == targets:
            return
        if targets:
            self._wanted[key] = dict(targets)
        else:
            self._wanted.pop(key, None)
        union = {k: t for wanted in self._wanted.values() for k, t in wanted.items()}
        self._last = {k: v for k, v in self._last.items() if k in union}
        self._watcher.set_targets(union)

    def verdicts(self, key: Key) -> dict[SourceKey, Verdict]:
        """What is true now of each source of an object."""
        now = self._clock()
        return {
            source: judge(target, self._watcher.observation(source), now, self._policy)
            for source, target in self._wanted.get(key, {}).items()
        }

    def look(self) -> None:
        """Call ``on_verdict`` for every object with a verdict that changed since the last look."""
        for key in list(self._wanted):
            changed = False
            for source, verdict in self.verdicts(key).items():
                gist = (verdict.reason, verdict.verified, verdict.settled)
                changed |= self._last.get(source) != gist
                self._last[source] = gist
            if changed:
                self._on_verdict(key)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self.look()
