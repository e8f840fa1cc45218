"""The workers: a pass that changed something is followed at once, one that found nothing rests."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from kvsync.model.errors import Unavailable
from kvsync.shell.monitoring import OnePass
from kvsync.shell.passes import LONGEST_REST, REST, SHARE, Passes, rest_after
from kvsync.shell.queue import WorkQueue
from kvsync.shell.reconcile import Outcome

Key = tuple[str, str]
KEY = ("ns", "kv")


class Noted(WorkQueue[Key]):
    """Notes how long each key is to rest, and lets it rest no time."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []
        self.was_done = asyncio.Event()

    def done(self, key: Key, rest: float = 0.0) -> None:
        self.rests.append(rest)
        super().done(key)
        self.was_done.set()


class Scripted:
    """A reconciler whose passes come to what is told, one after the other."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self._left = iter(outcomes)

    async def reconcile(self, _: Key) -> Outcome:
        outcome = next(self._left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Unmeasured:
    """In place of the monitoring."""

    @contextmanager
    def one_pass(self) -> Iterator[OnePass]:
        yield OnePass()


async def rests_after(*outcomes: Outcome | Exception) -> list[float]:
    """How long the object rests after each of the passes that follow one piece of news."""
    queue, any_ = Noted(), cast(Any, None)
    passes = Passes(queue, cast(Any, Scripted(*outcomes)), any_, cast(Any, Unmeasured()))
    (worker,) = passes.start(1)
    queue.add(KEY)
    try:
        async with asyncio.timeout(10):
            while len(queue.rests) < len(outcomes):
                queue.was_done.clear()
                await queue.was_done.wait()
    finally:
        worker.cancel()
    return queue.rests


async def test_a_pass_that_found_nothing_to_do_rests() -> None:
    assert await rests_after(Outcome(acted=False, look_again=None)) == [REST]


async def test_what_a_pass_changed_is_followed_up_at_once() -> None:
    acted, idle = Outcome(acted=True, look_again=None), Outcome(acted=False, look_again=None)
    assert await rests_after(acted, acted, idle) == [0.0, 0.0, REST]


async def test_a_pass_that_took_long_is_followed_by_a_long_rest() -> None:
    assert await rests_after(Outcome(acted=False, look_again=None, seconds=0.2)) == [0.2 / SHARE]


async def test_who_waits_in_line_is_there_when_its_turn_comes() -> None:
    waits = Outcome(acted=False, look_again=None, seconds=60.0, in_line=True)
    assert await rests_after(waits) == [REST]


def test_all_that_there_is_news_of_take_their_share_together() -> None:
    for busy in range(1, 60):
        rest = rest_after(0.015, busy - 1)
        taken = busy * 0.015 / rest
        assert taken <= SHARE * 1.001
        assert rest == REST or taken >= SHARE * 0.999, "nor do they rest longer than that takes"
    assert rest_after(0.015, 1_000) == LONGEST_REST, "nobody waits for ever"
    assert rest_after(0.0, 1_000) == REST


async def test_a_pass_that_failed_rests_as_well() -> None:
    assert await rests_after(Unavailable("gone")) == [REST]
