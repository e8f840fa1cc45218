"""What engines say of their own traffic, and relays of theirs: a few are looked at at a time.

An engine is looked at where the wire is silent, a relay always: what the wire says is its own word."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from kvsync.core.traffic import CONVINCING, Look, weigh, weigh_canary
from kvsync.model.source import Observation, SourceKey, Target, Traffic
from kvsync.model.traffic import Completion, EngineCounters, EngineMetrics
from kvsync.shell.canaries import Canaries
from kvsync.shell.relays import RelayDesk
from kvsync.shell.timetable import Timetable

AT_ONCE = 8
"""Engines that are being asked at one moment."""

MOST_A_SECOND = 25
"""Looks that begin in one second; where more engines are silent than that allows, windows grow."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often engines are looked at, in seconds."""

    window: float = 10.0
    """Between two looks at an engine whose publisher is silent, and at a relay."""
    first: float = 2.0
    """Within which the first look at an engine begins."""
    suspect: float = 4.0
    """From the first silent window to the look that settles it."""
    publishing: float = 60.0
    """Between two looks at one that publishes."""
    settle: float = 2.0
    """After the counters were read, for events of what they count to arrive."""
    tick: float = 0.5
    """Between two searches for engines whose turn it is."""
    jitter: float = 0.1
    """By which part of it a pause may be shorter or longer."""


class Engines(Protocol):
    """What asks engines (``adapters.engine_http``); never raises."""

    async def metrics(self, host: str, port: int) -> EngineMetrics | None:
        """What an engine counted so far; None where it does not say."""

    async def complete(self, host: str, port: int, model: str, prompt: str) -> Completion:
        """Have it complete a prompt by one token."""


class Watcher(Protocol):
    """What watches sources on the wire (``adapters.probe.pool``)."""

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these."""

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of one of them."""


@dataclass(slots=True)
class _Pod:
    """The sources of one pod, which one engine feeds; behind a relay there is one."""

    targets: tuple[Target, ...]
    due: float
    looked_at: float | None = None
    task: asyncio.Task[None] | None = None
    looks: dict[SourceKey, Look] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """The pod's."""
        return self.targets[0].key.uid

    @property
    def has_relay(self) -> bool:
        """Whether its engine is heard through a relay."""
        return bool(self.targets[0].relay_port)


class TrafficWatch:
    """Stands before the watcher of the wire: the same targets, and beside what is seen of each what
    its engine and its relay say (:meth:`traffic`). ``changed`` is called with a source's key when that
    speaks for or against it. ``relays`` asks relays; without it none is."""

    def __init__(
        self,
        watcher: Watcher,
        engines: Engines,
        clock: Callable[[], float],
        *,
        relays: RelayDesk | None = None,
        changed: Callable[[SourceKey], None] = lambda key: None,
        pace: Pace | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._watcher = watcher
        self._engines = engines
        self._clock = clock
        self._changed = changed
        self._pace = pace or Pace()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._relays = relays
        self._canaries = Canaries(engines, clock)
        self._pods: dict[str, _Pod] = {}
        self._traffic: dict[SourceKey, Traffic] = {}
        self._waiting: Timetable[str] = Timetable()
        """When to see whether it is a pod's turn."""
        self._suspects: Timetable[str] = Timetable()
        self._others: Timetable[str] = Timetable()
        """Pods whose turn it is, since when."""

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        """Watch exactly these; what is known of pods that are gone is forgotten."""
        self._watcher.set_targets(targets)
        if self._relays is not None:
            self._relays.set_targets(targets.values())
        by_pod: dict[str, list[Target]] = {}
        for target in targets.values():
            if target.http_port or target.relay_port:
                by_pod.setdefault(target.key.uid, []).append(target)
        for uid in self._pods.keys() - by_pod.keys():
            self._forget(uid)
        for uid, found in by_pod.items():
            self._keep(uid, tuple(sorted(found, key=lambda target: target.key)))

    def observation(self, key: SourceKey) -> Observation | None:
        """What was seen of a source on the wire."""
        return self._watcher.observation(key)

    def traffic(self, key: SourceKey) -> Traffic | None:
        """What the engine of a source says; None until it was asked."""
        return self._traffic.get(key)

    async def run(self) -> None:
        """Look at engines whose turn it is, until cancelled."""
        most = max(1, int(MOST_A_SECOND * self._pace.tick))
        while True:
            await asyncio.sleep(self._pace.tick)
            for pod in self._due(most):
                pod.task = asyncio.create_task(self._look(pod))
                pod.task.add_done_callback(partial(self._looked, pod))

    async def close(self) -> None:
        """Stop looking."""
        tasks = [pod.task for pod in self._pods.values() if pod.task is not None]
        for uid in list(self._pods):
            self._forget(uid)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep(self, uid: str, targets: tuple[Target, ...]) -> None:
        known = self._pods.get(uid)
        if known is not None and known.targets == targets:
            return
        if known is not None:
            self._stop(known)
        soon = self._rng.random() * min(self._pace.first, self._pace.window)
        self._pods[uid] = _Pod(targets, self._clock() + soon)
        self._waiting.set(uid, self._pods[uid].due)

    def _looked(self, pod: _Pod, _: asyncio.Task[None]) -> None:
        """A look is over; the next one comes unless the pod is gone, or another thing is asked of it."""
        if self._pods.get(pod.uid) is pod:
            self._waiting.set(pod.uid, pod.due)

    def _forget(self, uid: str) -> None:
        self._stop(self._pods.pop(uid))
        self._canaries.forget(uid)

    def _stop(self, pod: _Pod) -> None:
        if pod.task is not None:
            pod.task.cancel()
        for turns in (self._waiting, self._suspects, self._others):
            turns.forget(pod.uid)
        for target in pod.targets:
            self._traffic.pop(target.key, None)

    def _due(self, most: int) -> list[_Pod]:
        """The pods to look at now: suspects, then those whose turn came first."""
        now, found = self._clock(), list[_Pod]()
        for uid in self._waiting.take_all(now):
            pod = self._pods[uid]
            if not self._put_off(pod, now):
                (self._suspects if self._is_suspect(pod) else self._others).set(uid, pod.due)
        while len(found) < most:
            first = self._suspects.take(now) or self._others.take(now)
            if first is None:
                break
            if not self._put_off(self._pods[first], now):
                found.append(self._pods[first])
        return found

    def _put_off(self, pod: _Pod, now: float) -> bool:
        """Whether it is not its turn; then it waits until that may change."""
        turn = self._turn(pod)
        if now >= turn and self._wants_look(pod):
            return False
        self._waiting.set(pod.uid, max(turn, now + self._pace.tick))
        return True

    def _is_suspect(self, pod: _Pod) -> bool:
        """Whether a silent window speaks against one of its sources: that is settled first."""
        known = (self._traffic.get(target.key) for target in pod.targets)
        return any(one is not None and _suspicion(one) > 0 for one in known)

    def _turn(self, pod: _Pod) -> float:
        """When its turn is: one that fell silent does not wait for the end of the long pause."""
        if pod.looked_at is None or pod.has_relay:
            return pod.due
        longest = pod.due + self._pace.publishing - self._pace.window
        return max(pod.due, min(longest, self._silent_from(pod)))

    def _silent_from(self, pod: _Pod) -> float:
        """When it counts as silent if nothing more is heard of it."""
        seen = (self.observation(target.key) for target in pod.targets)
        last = [-math.inf if s.last_batch_at is None else s.last_batch_at for s in seen if s]
        # Two windows: a busy source is not subscribed between its samples.
        return min(last, default=math.inf) + 2 * self._pace.window

    def _wants_look(self, pod: _Pod) -> bool:
        """A relay that is not reached on the wire is asked all the same: it may not run."""
        return self._relays is not None if pod.has_relay else self._connected(pod)

    def _connected(self, pod: _Pod) -> bool:
        seen = (self.observation(target.key) for target in pod.targets)
        return any(s is not None and s.handshake_at is not None and s.failure is None for s in seen)

    def _begin_look(self, pod: _Pod) -> float:
        at = self._clock()
        spread = 1.0 + self._pace.jitter * (2 * self._rng.random() - 1)
        pod.looked_at, pod.due = at, at + self._pace.window * spread
        return at

    async def _look(self, pod: _Pod) -> None:
        if self._relays is not None and pod.has_relay:
            self._begin_look(pod)
            await self._look_at_relay(pod, self._relays)
        else:
            await self._look_at_engine(pod)

    async def _look_at_engine(self, pod: _Pod) -> None:
        first = pod.targets[0]
        async with self._slots:
            before = {t.key: self.observation(t.key) for t in pod.targets}
            at = self._begin_look(pod)
            metrics = await self._engines.metrics(first.host, first.http_port)
        if metrics is None:
            return
        await asyncio.sleep(self._pace.settle)
        for target in pod.targets:
            seen, after = before[target.key], self.observation(target.key)
            if seen is not None and after is not None:
                alone = len(pod.targets) == 1
                look = _look_of(target, at, metrics, (seen, after), alone=alone)
                await self._take(pod, target, look)

    async def _look_at_relay(self, pod: _Pod, relays: RelayDesk) -> None:
        target = pod.targets[0]
        wire = self.observation(target.key)
        known = await relays.look(target, wire.block_size if wire is not None else None)
        if known is not None:
            self._traffic[target.key] = known
            self._changed(target.key)
            if 0 < _suspicion(known) < CONVINCING:
                pod.due = min(pod.due, known.looked_at + self._pace.suspect)

    async def _take(self, pod: _Pod, target: Target, look: Look) -> None:
        key = target.key
        earlier = pod.looks.get(key)
        pod.looks[key] = look
        known = weigh(self._traffic.get(key), earlier, look)
        canary = self._canaries.of(key.uid, earlier, look)
        if canary is not None:
            known = weigh_canary(known, canary, look, self._pace.window)
        before, self._traffic[key] = self._traffic.get(key), known
        if _speaks(before) != _speaks(known):
            self._changed(key)
        if 0 < known.silent_windows < CONVINCING:
            pod.due = min(pod.due, look.at + self._pace.suspect)
        if target.canary and earlier is not None:
            await self._canaries.send(target, earlier, look, look.after)


def _suspicion(known: Traffic) -> int:
    """How many looks in a row spoke against a source."""
    relay = known.relay
    if relay is None:
        return known.silent_windows
    answered = relay.answered_at == relay.looked_at
    return max(relay.missing_looks, 0, *relay.silent.values()) if answered else 0


def _speaks(known: Traffic | None) -> tuple[bool, bool | None]:
    """What of it a verdict hangs on."""
    if known is None:
        return False, None
    return known.silent_windows >= CONVINCING, known.prefix_caching


def _look_of(
    target: Target,
    at: float,
    metrics: EngineMetrics,
    seen: tuple[Observation, Observation],
    *,
    alone: bool,
) -> Look:
    counters = metrics.whole if alone else metrics.ranks.get(target.key.rank, EngineCounters())
    before, after = seen
    size = max((metrics.block_size or 0) * target.block_factor, after.block_size or 0)
    return Look(at, counters, before, after, size or None, metrics.prefix_caching)
