"""Relays in pods: what they say of themselves and their engines, and the budget that each is told."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from kvsync.core.relay_shares import share_out
from kvsync.core.relaying import RelayLook, unanswered, wants_engine, weigh_relay
from kvsync.model.relay_budget import KEPT
from kvsync.model.relaying import Relaying, RelayMetrics
from kvsync.model.source import SourceKey, Target, Traffic
from kvsync.model.traffic import EngineMetrics

log = logging.getLogger(__name__)

SHARE_AGAIN = 5.0
"""Seconds between two calculations of all shares, each some milliseconds for a thousand relays."""

AT_ONCE = 8
"""Requests that wait for an answer at one moment."""

TELL_AGAIN = KEPT / 3
"""Seconds after which a relay is told its budget once more, that it may keep it."""


class Relays(Protocol):
    """What asks relays (``adapters.relay_http``); never raises."""

    async def metrics(self, host: str, port: int) -> RelayMetrics | None:
        """What a relay counted so far; None where it does not answer."""

    async def tell_budget(self, host: str, port: int, budget: float) -> bool:
        """Have it tell so many events a second again; whether it took it."""


class Engines(Protocol):
    """What asks engines (``adapters.engine_http``); never raises."""

    async def metrics(self, host: str, port: int) -> EngineMetrics | None:
        """What an engine counted so far; None where it does not say."""


@dataclass(slots=True)
class _Relay:
    """One pod's relay."""

    target: Target
    known: Relaying | None = None
    look: RelayLook | None = None
    prefix_caching: bool | None = None
    limit: int = 0
    told: float | None = None
    told_at: float = 0.0


class RelayDesk:
    """Looks at relays when it is told to. ``budget`` is that of each gateway, in events a second; 0:
    relays are told none. ``clock`` is the observations' one."""

    def __init__(
        self,
        relays: Relays,
        engines: Engines,
        clock: Callable[[], float],
        *,
        budget: float = 0.0,
        settle: float = 2.0,
    ) -> None:
        self._relays = relays
        self._engines = engines
        self._clock = clock
        self._budget = budget
        self._settle = settle
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._pods: dict[SourceKey, _Relay] = {}
        self._shares: dict[SourceKey, float] = {}
        self._stale = False
        self._shared_at = -SHARE_AGAIN

    def set_targets(self, targets: Iterable[Target]) -> None:
        """There are exactly these; what is known of others is forgotten."""
        wanted = {target.key: target for target in targets if target.relay_port}
        if wanted == {key: pod.target for key, pod in self._pods.items()}:
            return
        self._stale = True
        kept = {key: self._pods[key] for key, t in wanted.items() if self._is_same(key, t)}
        self._pods = {key: kept.get(key) or _Relay(target) for key, target in wanted.items()}
        for key, target in wanted.items():
            self._pods[key].target = target

    async def look(self, target: Target, block_size: int | None) -> Traffic | None:
        """What is known of a source after one more look at its relay; None where it is gone meanwhile.

        ``block_size``: tokens a block as seen on the wire.
        """
        pod = self._pods.get(target.key)
        if pod is None:
            return None
        at = self._clock()
        before = await self._metrics(target)
        look = None if before is None else await self._look(pod, at, before, block_size)
        if look is None:
            pod.known = unanswered(pod.known, at)
        else:
            pod.known, pod.look = weigh_relay(pod.known, pod.look, look), look
            self._note_limit(pod, look.after.limit)
            await self._tell_budget(pod, look.after)
        return Traffic(at, pod.prefix_caching, relay=pod.known)

    async def _look(
        self, pod: _Relay, at: float, before: RelayMetrics, block_size: int | None
    ) -> RelayLook | None:
        target = pod.target
        if not target.http_port or not wants_engine(pod.look, before):
            return RelayLook(at, before, before)
        async with self._slots:
            engine = await self._engines.metrics(target.host, target.http_port)
        if engine is None:
            return RelayLook(at, before, before)
        pod.prefix_caching = engine.prefix_caching
        await asyncio.sleep(self._settle)
        after = await self._metrics(target)
        size = max((engine.block_size or 0) * target.block_factor, block_size or 0)
        return None if after is None else RelayLook(at, before, after, engine, size or None)

    async def _metrics(self, target: Target) -> RelayMetrics | None:
        async with self._slots:
            return await self._relays.metrics(target.host, target.relay_port)

    def _is_same(self, key: SourceKey, target: Target) -> bool:
        """Whether it is still the same relay of the same pod, whatever else is asked of it."""
        pod = self._pods.get(key)
        return pod is not None and replace(pod.target, gateway=target.gateway) == target

    def _note_limit(self, pod: _Relay, limit: int) -> None:
        if limit != pod.limit:
            pod.limit, self._stale = limit, True

    async def _tell_budget(self, pod: _Relay, metrics: RelayMetrics) -> None:
        """Tell it its share where it has another one, and now and then that it may keep it."""
        share, now = self._share(pod.target.key), self._clock()
        if share is None or metrics.budget is None:
            return
        if metrics.budget == share == pod.told and now - pod.told_at < TELL_AGAIN:
            return
        target = pod.target
        async with self._slots:
            taken = await self._relays.tell_budget(target.host, target.relay_port, share)
        if taken:
            if pod.told != share:
                name = f"{target.key.namespace}/{target.key.pod}"
                log.debug("%s: its relay may tell %.0f events/s again", name, share)
            pod.told, pod.told_at = share, now

    def _share(self, key: SourceKey) -> float | None:
        """What a relay may tell; None where none is to be told, or not yet."""
        now = self._clock()
        if self._budget and self._stale and now - self._shared_at >= SHARE_AGAIN:
            self._stale, self._shared_at = False, now
            self._shares = self._share_out()
        return self._shares.get(key)

    def _share_out(self) -> dict[SourceKey, float]:
        by_gateway = defaultdict[str, dict[SourceKey, int]](dict)
        for key, pod in self._pods.items():
            by_gateway[pod.target.gateway][key] = pod.limit
        shares = (share_out(limits, self._budget) for limits in by_gateway.values())
        return {key: share for each in shares for key, share in each.items()}
