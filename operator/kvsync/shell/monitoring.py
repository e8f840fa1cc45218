"""What the operator tells of itself over HTTP: its metrics, whether it works, whether it is ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kvsync.adapters.metrics import CONTENT_TYPE, Metrics, Result
from kvsync.core.health import Signs, trouble
from kvsync.model.address import Address
from kvsync.model.metering import Vitals, Worker
from kvsync.shell.metering import Metering
from kvsync.shell.server import HttpServer, Page, health_page

log = logging.getLogger(__name__)

FRESH = 1.0
"""Seconds in which scrapes get the same answer: many of them cost as much as one."""

BEAT = 1.0
"""Seconds between two looks at how late the event loop is."""

STILL = 1.0
"""Seconds by which it may be late without a line in the log."""


class OnePass:
    """One pass under way."""

    result = Result.FAILED


class Monitoring:
    """``vitals`` tells how the operator does but for its passes, ``workers`` what watches sources,
    ``unready`` what is not known yet (empty: nothing), ``role`` what this process is to the others, for
    who asks whether it is ready. ``clock`` is a monotonic one, in seconds.
    """

    def __init__(
        self,
        metrics: Metrics,
        metering: Metering,
        *,
        vitals: Callable[[], Vitals],
        workers: Callable[[], Iterable[Worker]],
        unready: Callable[[], str],
        role: Callable[[], str] = lambda: "ok",
        clock: Callable[[], float],
    ) -> None:
        self._metrics = metrics
        self._metering = metering
        self._vitals = vitals
        self._workers = workers
        self._clock = clock
        self._tasks: Sequence[asyncio.Task[None]] = ()
        self._passes: dict[object, float] = {}
        self._passed = self._beaten = clock()
        self._last: tuple[float, Page] | None = None
        self._server = HttpServer(
            {
                "/metrics": self._metrics_page,
                "/healthz": lambda: health_page(self._trouble()),
                "/readyz": lambda: health_page(unready(), role()),
            }
        )

    async def start(self, address: Address) -> Address:
        """Serve; returns where. Raises KvsyncError where it cannot be listened on."""
        listens = await self._server.start(address)
        log.info("metrics, /healthz and /readyz on %s:%d", listens.host, listens.port)
        return listens

    async def close(self) -> None:
        """Serve no longer."""
        await self._server.close()

    async def run(self) -> None:
        """Keep counts of sources that go between scrapes, and of the loop's lag, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._metering.run())
            group.create_task(self._beat())

    async def _beat(self) -> None:
        self._beaten = self._clock()
        while True:
            await asyncio.sleep(BEAT)
            self.beat()

    def beat(self) -> None:
        """The event loop turns; it was to say so `BEAT` after the last time."""
        lag = max(0.0, self._clock() - self._beaten - BEAT)
        self._beaten = self._clock()
        self._metrics.note_lag(lag)
        if lag > STILL:
            log.warning("the event loop stood still for %.1f s", lag)

    def watch_over(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """These are to run as long as the operator does."""
        self._tasks = tasks

    @contextmanager
    def one_pass(self) -> Iterator[OnePass]:
        """Around a pass over one object, which says how it ended; failed where it does not."""
        this = OnePass()
        began = self._passes[this] = self._clock()
        try:
            yield this
        finally:
            del self._passes[this]
            self._passed = self._clock()
            self._metrics.note_pass(self._passed - began, this.result)

    def _metrics_page(self) -> Page:
        now = self._clock()
        if self._last is None or now - self._last[0] >= FRESH:
            vitals = replace(self._vitals(), longest_pass=self._longest_pass())
            text = self._metrics.text(self._metering.reading(), self._workers(), vitals)
            self._last = (now, Page(text, content_type=CONTENT_TYPE))
        return self._last[1]

    def _trouble(self) -> str:
        """What does not go on; empty when all is well. That the loop turns is shown by the answer."""
        vitals, now = self._vitals(), self._clock()
        signs = Signs(
            ended=tuple(task.get_name() for task in self._tasks if task.done()),
            lag=now - self._beaten - BEAT,
            longest_pass=self._longest_pass(),
            waiting=vitals.queue_length,
            oldest=vitals.queue_oldest,
            last_pass=now - self._passed,
            idle={watch.name: watch.idle for watch in vitals.watches},
        )
        return trouble(signs)

    def _longest_pass(self) -> float:
        now = self._clock()
        return now - min(self._passes.values(), default=now)
