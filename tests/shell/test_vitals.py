"""What is gathered of the operator's own moment: from the queue, the recorder and the watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from adapters.kube.conftest import Clock, running, until
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import EventRecorder
from kvsync.adapters.kube.resource import STORMSERVICES
from kvsync.adapters.kube.watch import Watch
from kvsync.model.errors import Forbidden
from kvsync.model.metering import Vitals, WatchReading
from kvsync.shell.queue import WorkQueue
from kvsync.shell.storms import StormWatch
from kvsync.shell.vitals import vitals_of
from shell.test_storm_watch import Server


class Quiet(Server):
    """Takes a watch and sends nothing on it."""

    @asynccontextmanager
    async def stream(self, *_: Any) -> AsyncIterator[Any]:
        yield self

    async def iter_any(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


@pytest.fixture
def clock() -> Clock:
    return Clock()


def storms(server: Server, clock: Clock) -> StormWatch:
    return StormWatch(
        cast("Kube", server),
        (),
        on_storm=lambda *_: None,
        on_pod=lambda *_: None,
        on_listed=lambda: None,
        timing=clock.timing,
    )


def test_each_figure_comes_from_where_it_is_counted(clock: Clock) -> None:
    now = 10.0
    queue: WorkQueue[str] = WorkQueue(lambda: now)
    recorder = EventRecorder(cast("Kube", None))
    recorder.written, recorder.dropped = 6, 2
    watch: Watch[Any] = storms(Server(True), clock).storms
    queue.add("a")
    queue.add("b")
    now += 4
    clock.now += 30
    assert vitals_of(queue, recorder, {"them": watch}) == Vitals(
        queue_length=2,
        queue_oldest=4.0,
        queue_adds=2,
        events=6,
        events_dropped=2,
        watches=(WatchReading("them", healthy=False, silence=30.0, lists=0, idle=30.0),),
    )


async def test_a_watch_is_healthy_once_it_lists_and_follows(clock: Clock) -> None:
    watch = storms(Quiet(True), clock)
    async with running(watch.run()):
        await until(lambda: all(each.healthy_since for each in (watch.storms, watch.pods)))
        queue: WorkQueue[str] = WorkQueue()
        found = vitals_of(queue, EventRecorder(cast("Kube", None)), watch.followed)
    assert {(each.name, each.healthy, each.lists) for each in found.watches} == {
        ("stormservices", True, 1),
        ("pods of stormservices", True, 1),
    }


async def test_kinds_that_are_not_served_or_may_not_be_read_are_not_heard_of(clock: Clock) -> None:
    assert storms(Server(False), clock).followed == {}
    server = Server(True)
    server.refusals[STORMSERVICES, None] = Forbidden("no")
    watch = storms(server, clock)
    async with running(watch.run()):
        await until(lambda: watch.pods.lists)
        assert set(watch.followed) == {"pods of stormservices"}
