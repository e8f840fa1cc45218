"""What a relay and its engine say, made short."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kvsync.core.relaying import RelayLook, weigh_relay
from kvsync.model.relaying import Relaying, RelayMetrics, RelayRank
from kvsync.model.traffic import EngineCounters, EngineMetrics

STARTED = 1_700_000_000


def rank(batches: int = 0, *, connected: bool = True, **more: Any) -> RelayRank:
    return RelayRank(connected=connected, batches=batches, **more)


def relay(*ranks: RelayRank, **more: Any) -> RelayMetrics:
    return RelayMetrics(ranks=dict(enumerate(ranks)), **{"started": STARTED, **more})


def engine(*prompts: int) -> EngineMetrics:
    """An engine whose ranks computed so many prompts of 1,000 tokens each."""
    ranks = {n: EngineCounters(1000 * count, 0, None, count) for n, count in enumerate(prompts)}
    total = sum(prompts)
    return EngineMetrics(ranks, EngineCounters(1000 * total, 0, None, total), 16, True)


def look(
    at: float,
    before: RelayMetrics,
    after: RelayMetrics | None = None,
    asked: EngineMetrics | None = None,
) -> RelayLook:
    return RelayLook(at, before, after or before, asked, 16)


def weighed(*looks: RelayLook, known: Relaying | None = None) -> Relaying:
    """What is known after these looks, one after the other."""
    earlier: RelayLook | None = None
    for each in looks:
        known, earlier = weigh_relay(known, earlier, each), each
    assert known is not None
    return known


def healthy(at: float, *, ranks: int = 1) -> Relaying:
    """All ranks are there, and said something."""
    return weighed(look(at, relay(*(rank(9) for _ in range(ranks)))))


def later(known: Relaying, **changes: Any) -> Relaying:
    return replace(known, **changes)
