"""The sources being probed: which object wants which, and what is held true of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

from kvsync.core.expiry import stands_until
from kvsync.core.judge import Policy, judge
from kvsync.core.steady import steady
from kvsync.model.source import Observation, SourceKey, Target, Traffic, Verdict
from kvsync.shell.timetable import Timetable

Key = tuple[str, str]

GATHER = 0.05
"""Seconds for which news of sources are gathered before they are judged."""
TICK = 0.5
"""Seconds between looks for verdicts that time alone has changed: at each source that is not settled
yet, and at those whose verdict stands no longer by itself. News of one source are no reason to look at
others."""
ROUND = 10.0
"""Seconds after which a source is judged anew that something is wrong with, or that has a relay: of these
a verdict hangs also on what the watcher does not call news."""
LONGEST = 60.0
"""The same of a healthy one, whatever was foreseen of its verdict."""
PAUSE = 0.2
"""Seconds between two calls for one object: thousands of sources that come up are a few passes."""


class Watcher(Protocol):
    """What watches sources (``adapters.probe.pool``)."""

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these."""

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of one of them."""


class Probes:
    """Targets by the object that asked for them, and the verdict that stands on each.

    ``on_verdict`` is called with the object's key when a verdict of one of its sources changed.
    ``traffic`` tells what an engine's own metrics say of a source.
    """

    def __init__(
        self,
        watcher: Watcher,
        on_verdict: Callable[[Key], None],
        clock: Callable[[], float],
        policy: Policy | None = None,
        traffic: Callable[[SourceKey], Traffic | None] = lambda source: None,
    ) -> None:
        self._watcher = watcher
        self._on_verdict = on_verdict
        self._clock = clock
        self._policy = policy or Policy()
        self._traffic = traffic
        self._wanted: dict[Key, Mapping[SourceKey, Target]] = {}
        self._holders: dict[SourceKey, dict[Key, Target]] = {}
        self._targets: dict[SourceKey, Target] = {}
        self._changed: set[SourceKey] = set()
        """Sources of which the watcher does not know yet what is wanted now."""
        self._standing: dict[SourceKey, Verdict] = {}
        self._told: dict[SourceKey, tuple[object, ...]] = {}
        """What ``on_verdict`` was called for last."""
        self._due: set[Key] = set()
        self._told_at: dict[Key, float] = {}
        self._unsettled: set[SourceKey] = set()
        self._news: set[SourceKey] = set()
        self._stirred = asyncio.Event()
        self._ticked_at = -TICK
        self._turns: Timetable[SourceKey] = Timetable()
        """When each is judged without news of it."""

    def assign(self, key: Key, targets: Mapping[SourceKey, Target]) -> None:
        """Probe exactly these sources for an object; none to stop.

        The watcher hears of it at the next look, of all objects at once: telling it takes a walk over
        every source.
        """
        before = self._wanted.get(key, {})
        if before == targets:
            return
        if targets:
            self._wanted[key] = dict(targets)
        else:
            self._wanted.pop(key, None)
            self._told_at.pop(key, None)
        for source in before.keys() | targets.keys():
            if before.get(source) != targets.get(source):
                self._hold(key, source, targets.get(source))
        self._stirred.set()

    def verdicts(self, key: Key) -> dict[SourceKey, Verdict]:
        """What is true now of each source of an object."""
        return {source: self._judge(source) for source in self._wanted.get(key, {})}

    def snapshot(self) -> Iterator[tuple[Target, Observation | None, Verdict]]:
        """Every source, each once: what is asked, what was seen, what stands."""
        self._pass_on()
        for source, target in self._targets.items():
            standing = self._standing.get(source) or self._judge(source)
            yield target, self._watcher.observation(source), standing

    def heard(self, source: SourceKey) -> None:
        """There is news of a source."""
        self._news.add(source)
        self._stirred.set()

    def look(self) -> None:
        """Judge what there is news of and, once a `TICK`, what time may have changed; call
        ``on_verdict`` for what did change."""
        self._pass_on()
        news, self._news = self._news, set()
        self._stirred.clear()
        changed = [source for source in news | self._by_time() if self._has_changed(source)]
        self._due |= {key for source in changed for key in self._holders.get(source, ())}
        self._tell()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), PAUSE if self._due else TICK)
            await asyncio.sleep(GATHER)
            self.look()

    def _hold(self, key: Key, source: SourceKey, target: Target | None) -> None:
        """Note what one object wants of a source; of several objects the one that came last decides."""
        holders = self._holders.setdefault(source, {})
        if target is None:
            holders.pop(key, None)
        else:
            holders[key] = target
        now = next(reversed(holders.values()), None)
        if not holders:
            del self._holders[source]
        if self._targets.get(source) == now:
            return
        # What was held of a source does not outlive its pod, nor what was asked of it.
        self._standing.pop(source, None)
        self._told.pop(source, None)
        self._unsettled.discard(source)
        if now is None:
            self._targets.pop(source, None)
            self._turns.forget(source)
        else:
            self._targets[source] = now
            self._turns.set(source, self._clock() + TICK)
        self._changed.add(source)

    def _pass_on(self) -> None:
        """Tell the watcher what is to be watched, if that has changed."""
        if self._changed:
            self._watcher.set_targets(dict(self._targets))
            self._changed.clear()

    def _tell(self) -> None:
        now = self._clock()
        rested = {k for k in self._due if now - self._told_at.get(k, -PAUSE) >= PAUSE}
        self._due = (self._due - rested) & self._wanted.keys()
        for key in rested & self._wanted.keys():
            self._told_at[key] = now
            self._on_verdict(key)

    def _by_time(self) -> set[SourceKey]:
        """The sources that are looked at whether or not there is news of them."""
        now = self._clock()
        if now - self._ticked_at < TICK:
            return set()
        self._ticked_at = now
        return {*self._unsettled, *self._turns.take_all(now)}

    def _has_changed(self, source: SourceKey) -> bool:
        if source not in self._targets:
            return False
        now = self._judge(source)
        gist = (now.reason, now.verified, now.settled, now.answers, now.layout, now.block_size)
        before, self._told[source] = self._told.get(source), gist
        return before != gist

    def _judge(self, source: SourceKey) -> Verdict:
        seen = traffic = None
        if source not in self._changed:  # else the watcher speaks of what was wanted before
            seen, traffic = self._watcher.observation(source), self._traffic(source)
        target, at = self._targets[source], self._clock()
        now = judge(target, seen, at, self._policy, traffic)
        standing = self._standing[source] = steady(self._standing.get(source), now)
        if standing.settled and now.settled:
            self._unsettled.discard(source)
            self._turns.set(source, self._next_turn(target, seen, at, traffic, now.verified))
        else:
            self._unsettled.add(source)
        return standing

    def _next_turn(
        self,
        target: Target,
        seen: Observation | None,
        now: float,
        traffic: Traffic | None,
        is_well: bool,
    ) -> float:
        """When a settled verdict is looked at without news."""
        if seen is None or not is_well or target.relay_port:
            return now + ROUND
        until = stands_until(target, seen, now, self._policy, traffic)
        return min(max(until, now + TICK), now + LONGEST)
