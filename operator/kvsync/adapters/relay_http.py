"""The door to a running relay's HTTP port: what it counts, and its budget. A pod serves it: distrusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kvsync.adapters.asking import Asker, url_of
from kvsync.adapters.engine_http.exposition import Sample, Sieve, samples_of
from kvsync.model.relay import MAX_RANKS
from kvsync.model.relay_budget import PATH
from kvsync.model.relaying import RelayMetrics, RelayRank

PATIENCE = 2.0
"""Seconds for one answer."""
MOST_BYTES = 1 << 20
"""A relay of 64 ranks writes about 40 KiB."""

_OF_RANKS: Mapping[str, str] = {
    "kvsync_relay_engine_connected": "connected",
    "kvsync_relay_batches_in_total": "batches",
    "kvsync_relay_missed_total": "missed",
    "kvsync_relay_unreadable_total": "unreadable",
    "kvsync_relay_forgotten_total": "forgotten",
    "kvsync_relay_held": "held",
}
_OF_ALL: Mapping[str, str] = {
    "process_start_time_seconds": "started",
    "kvsync_relay_lag_seconds": "lag",
    "kvsync_relay_dropped_total": "dropped",
    "kvsync_relay_messages_lost_total": "lost",
    "kvsync_relay_blocks_limit": "limit",
    "kvsync_relay_budget": "budget",
}
NAMES = (*_OF_RANKS, *_OF_ALL)


class RelayHTTP:
    """Asks relays; never raises."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._asker = Asker(patience)

    async def close(self) -> None:
        """Close its connections."""
        await self._asker.close()

    async def metrics(self, host: str, port: int) -> RelayMetrics | None:
        """What it counted so far (``GET /metrics``); None where it does not answer as a relay does."""
        sieve = Sieve(NAMES)
        url = url_of(host, port, "/metrics")
        if await self._asker.ask("GET", url, sieve.feed, MOST_BYTES) != 200:
            return None
        sieve.finish()
        found = metrics_of(samples_of(sieve.lines))
        return found if found.ranks else None

    async def tell_budget(self, host: str, port: int, budget: float) -> bool:
        """Have it tell so many events a second again (``POST /budget``); whether it took it."""
        url = url_of(host, port, PATH)
        content = f"{budget:.0f}".encode()
        return await self._asker.ask("POST", url, lambda _: None, 1024, data=content) == 200


def metrics_of(samples: Iterable[Sample]) -> RelayMetrics:
    """What samples come to; of a series that is there twice the last one counts."""
    ranks: dict[int, dict[str, Any]] = {}
    told: dict[str, Any] = {}
    for sample in samples:
        if sample.name in _OF_ALL:
            told[_OF_ALL[sample.name]] = sample.value
        elif sample.name in _OF_RANKS:
            number = sample.labels.get("rank", "")
            if number.isascii() and number.isdigit() and len(number) <= 2:
                field = _OF_RANKS[sample.name]
                ranks.setdefault(int(number), {})[field] = sample.value
    return replace(
        RelayMetrics(**told),
        ranks={n: _rank(fields) for n, fields in sorted(ranks.items()) if n < MAX_RANKS},
    )


def _rank(fields: Mapping[str, Any]) -> RelayRank:
    return replace(RelayRank(**fields), connected=fields.get("connected") == 1)
