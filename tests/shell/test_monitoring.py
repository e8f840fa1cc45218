"""What the operator tells over HTTP: metrics, that its work goes on, that it knows what there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.scrapes import series
from core.sightings import seen
from kvsync.adapters.metrics import Metrics, Result
from kvsync.core.health import LATE, STUCK
from kvsync.model.address import Address
from kvsync.model.metering import Seen, Vitals
from kvsync.shell.metering import Metering
from kvsync.shell.monitoring import BEAT, FRESH, Monitoring
from shell.http_peer import get


class Operator:
    """What there is to tell of, to set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.unready = ""
        self.role = "ok"
        self.oldest = 0.0
        self.looks = 0
        self.address = Address("127.0.0.1", 0)
        self.monitoring = Monitoring(
            Metrics(),
            Metering(self._look, tuple, lambda: self.now),
            vitals=lambda: Vitals(queue_length=7, queue_oldest=self.oldest),
            workers=tuple,
            unready=lambda: self.unready,
            role=lambda: self.role,
            clock=lambda: self.now,
        )

    def _look(self) -> list[Seen]:
        self.looks += 1
        return [seen(messages=self.looks)]

    def wait(self, seconds: float) -> None:
        """Time passes, and the loop turns."""
        self.now += seconds
        self.monitoring.beat()

    async def scrape(self) -> dict[tuple[str, ...], float]:
        return series((await get(self.address, "/metrics")).body)


@asynccontextmanager
async def serving() -> AsyncIterator[Operator]:
    operator = Operator()
    operator.address = await operator.monitoring.start(operator.address)
    try:
        yield operator
    finally:
        await operator.monitoring.close()


async def test_metrics_are_scraped_as_prometheus_does_it() -> None:
    async with serving() as operator:
        with operator.monitoring.one_pass() as done:
            operator.now += 0.2
            done.result = Result.UNCHANGED
        answer = await get(operator.address, "/metrics")
        assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in answer.headers
        found = series(answer.body)
        assert found["kvsync_messages_total", "m", "default"] == 1
        assert found["kvsync_queue_length",] == 7
        assert found["kvsync_reconcile_duration_seconds_sum",] == pytest.approx(0.2)
        assert found["kvsync_reconciles_total", "unchanged"] == 1


async def test_many_scrapes_at_once_cost_as_much_as_one() -> None:
    async with serving() as operator:
        for _ in range(5):
            await operator.scrape()
        assert operator.looks == 1
        operator.now += FRESH
        assert (await operator.scrape())["kvsync_messages_total", "m", "default"] == 2


async def test_it_is_ready_once_all_is_known() -> None:
    async with serving() as operator:
        operator.unready = "Not listed yet: pods."
        assert (await get(operator.address, "/readyz")).body == b"Not listed yet: pods.\n"
        operator.unready = ""
        assert (await get(operator.address, "/readyz")).status == 200


async def test_it_is_healthy_while_its_passes_end() -> None:
    async with serving() as operator:
        with operator.monitoring.one_pass():
            operator.wait(STUCK)
            assert (await get(operator.address, "/healthz")).status == 200
            operator.wait(1)
            stuck = await get(operator.address, "/healthz")
            assert stuck.status == 503
            assert b"7 objects wait" in stuck.body
        assert (await get(operator.address, "/healthz")).status == 200


async def test_a_pass_that_fails_is_over_too() -> None:
    async with serving() as operator:
        with pytest.raises(ValueError, match="boom"), operator.monitoring.one_pass():
            raise ValueError("boom")
        operator.wait(STUCK + 1)
        assert (await get(operator.address, "/healthz")).status == 200
        assert (await operator.scrape())["kvsync_reconciles_total", "failed"] == 1


async def test_how_long_the_longest_pass_runs_is_told() -> None:
    async with serving() as operator:
        with operator.monitoring.one_pass():
            operator.now += 3
            with operator.monitoring.one_pass():
                operator.now += 2
                found = await operator.scrape()
        assert found["kvsync_reconcile_longest_running_seconds",] == 5


async def test_what_should_run_for_ever_and_ended_is_named() -> None:
    async with serving() as operator:
        ended = asyncio.create_task(asyncio.sleep(0), name="watch of pods")
        running = asyncio.create_task(asyncio.sleep(60), name="resync")
        operator.monitoring.watch_over([ended, running])
        await ended
        answer = await get(operator.address, "/healthz")
        assert (answer.status, b"watch of pods" in answer.body) == (503, True)
        assert b"resync" not in answer.body
        running.cancel()


async def test_who_is_ready_says_what_it_is_to_the_others() -> None:
    async with serving() as operator:
        operator.role = "standby; leader is pod-1_ab12"
        answer = await get(operator.address, "/readyz")
        assert (answer.status, answer.body) == (200, b"standby; leader is pod-1_ab12\n")
        operator.unready = "Not listed yet: pods."
        assert (await get(operator.address, "/readyz")).status == 503


async def test_a_loop_that_stood_still_is_told_of() -> None:
    async with serving() as operator:
        operator.now += BEAT + LATE
        assert (await get(operator.address, "/healthz")).status == 200
        operator.now += 1
        answer = await get(operator.address, "/healthz")
        assert (answer.status, b"stood still for 16 s" in answer.body) == (503, True)


async def test_an_object_that_waits_is_none_of_it_while_passes_end() -> None:
    async with serving() as operator:
        operator.oldest = STUCK + 50
        operator.wait(10)
        assert (await get(operator.address, "/healthz")).status == 200
        operator.wait(STUCK)
        assert b"no pass ended" in (await get(operator.address, "/healthz")).body
        with operator.monitoring.one_pass():
            pass
        assert (await get(operator.address, "/healthz")).status == 200


async def test_a_late_beat_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    operator = Operator()
    operator.wait(BEAT + 0.5)
    assert caplog.records == []
    operator.wait(BEAT + 2.5)
    assert "stood still for 2.5 s" in caplog.text
