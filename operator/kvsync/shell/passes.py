"""The workers: one pass after the other over the objects that wait, and when each is due again."""

from __future__ import annotations

import asyncio
import logging

from kvsync.adapters.log_lines import about
from kvsync.adapters.metrics import Result
from kvsync.model.errors import ApiError, NotLeading, Unavailable
from kvsync.shell.monitoring import Monitoring
from kvsync.shell.queue import WorkQueue
from kvsync.shell.reconcile import Outcome, Reconciler, is_race
from kvsync.shell.standings import Standings

log = logging.getLogger(__name__)

Key = tuple[str, str]

LONG_DELAY = 5.0
"""Seconds before the next try from which on a change that raced with ours is no accident any more."""

QUICK_ACTS = 10
"""Passes in a row that may change something before the next one waits: a healthy sequence is
shorter, and one that never ends must not restart pods again and again."""

REST, LONGEST_REST = 0.5, 10.0
"""Seconds between a pass that changed nothing and the next one over the same object, at least and at most.
A rollout is told in bursts (of each pod and its Deployment a dozen events), and each pass looks at all
models."""

SHARE = 0.1
"""The part of a core that such passes take while there is news again and again. The more models roll at
once the longer each of them does: without a share passes would grow with the square of their number."""


def rest_after(seconds: float, busy: int) -> float:
    """Seconds for which an object rests after a pass that changed nothing and took ``seconds`` of the
    processor, while there is news of ``busy`` others: all of them together take their share, each as much
    of it as any other."""
    return max(REST, min(LONGEST_REST, seconds * (busy + 1) / SHARE))


class Passes:
    """Takes keys from the queue and has each looked at."""

    def __init__(
        self,
        queue: WorkQueue[Key],
        reconciler: Reconciler,
        standings: Standings,
        monitoring: Monitoring,
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._standings = standings
        self._monitoring = monitoring
        self._acts: dict[Key, int] = {}
        self._in_line: set[Key] = set()
        """Those with models that wait for their turn: each move of another object may be news to them."""

    def start(self, workers: int) -> list[asyncio.Task[None]]:
        """Begin; the tasks are to run as long as the operator does."""
        return [
            asyncio.create_task(self._work(), name=f"worker {number}") for number in range(workers)
        ]

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            rest = REST
            with self._monitoring.one_pass() as this:
                try:
                    this.result, outcome = await self._pass(key)
                    if outcome is not None:
                        rest = self._rest(key, outcome)
                finally:
                    self._queue.done(key, rest)

    def _rest(self, key: Key, outcome: Outcome) -> float:
        if outcome.acted:
            return 0.0
        if outcome.in_line:
            # The turn of its next model comes at any moment; few of them roll at once.
            self._in_line.add(key)
            return REST
        self._in_line.discard(key)
        return rest_after(outcome.seconds, len(self._queue.news() - self._in_line))

    async def _pass(self, key: Key) -> tuple[Result, Outcome | None]:
        """One pass; no outcome where it failed."""
        try:
            outcome = await self._reconciler.reconcile(key)
        except ApiError as error:
            delay = self._queue.retry(key)
            passing = is_race(error) and delay < LONG_DELAY
            level = logging.DEBUG if passing else logging.WARNING
            log.log(level, "%s; again in %.1f s", error, delay, extra=about(*key))
            if isinstance(error, Unavailable):
                log.info("the API server did not answer; nothing is lost", extra=about(*key))
            return (Result.RACED if is_race(error) else Result.FAILED), None
        except NotLeading as refused:
            log.warning("%s", refused, extra=about(*key))
            return Result.FAILED, None
        except Exception:  # one object's bug must not stop the others
            self._standings.note_failed(key, "/".join(key))
            delay = self._queue.retry(key)
            log.exception("a pass failed; again in %.1f s", delay, extra=about(*key))
            return Result.FAILED, None
        self._come_again(key, outcome)
        return (Result.CHANGED if outcome.acted else Result.UNCHANGED), outcome

    def _come_again(self, key: Key, outcome: Outcome) -> None:
        if not outcome.acted:
            self._acts.pop(key, None)
            self._queue.succeeded(key)
            if outcome.look_again is not None:
                self._queue.add_after(key, outcome.look_again)
            return
        self._acts[key] = self._acts.get(key, 0) + 1
        if self._acts[key] <= QUICK_ACTS:
            self._queue.add(key)
        else:
            self._queue.retry(key)
