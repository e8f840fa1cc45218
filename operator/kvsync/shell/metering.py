"""Keeps the models' counts between scrapes, and makes the reading that a scrape tells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from kvsync.core.census import census, conditions_of, progress_of, ready_of
from kvsync.core.ledger import Ledger, post
from kvsync.model.metering import Reading, Seen, Standing
from kvsync.model.observed import KVEventSync

log = logging.getLogger(__name__)

LOOK = 10.0
"""Seconds between looks without a scrape: what a source counted after the last one is lost with it."""


class Metering:
    """``sources`` and ``objects`` tell what there is now; ``clock`` is the observations' one."""

    def __init__(
        self,
        sources: Callable[[], Iterable[Seen]],
        objects: Callable[[], Iterable[KVEventSync]],
        clock: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._objects = objects
        self._clock = clock
        self._ledger = Ledger()

    def reading(self) -> Reading:
        """What a scrape tells now."""
        seen, now = self._look()
        standings = census(seen, self._ledger.place, now)
        objects = tuple(self._objects())
        return Reading(
            models={
                name: (account.counts, standings.get(name, Standing()))
                for name, account in self._ledger.accounts.items()
            },
            objects=len(objects),
            ready=ready_of(objects),
            conditions=conditions_of(objects),
            progress=progress_of(objects),
        )

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                self._look()
            except Exception:  # figures are no reason to end an operator that works
                log.exception("metrics: a look at the sources failed")

    def _look(self) -> tuple[tuple[Seen, ...], float]:
        # Two objects may have asked for the same source.
        seen, now = tuple({each[0].key: each for each in self._sources()}.values()), self._clock()
        self._ledger = post(self._ledger, seen, now)
        return seen, now
