"""The work queue: each key once, never in two hands, failures ever later."""

import asyncio

from kvsync.shell.queue import FIRST_RETRY, LONGEST_RETRY, WorkQueue


async def test_a_key_that_waits_is_not_queued_twice() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_again_and_only_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_what_comes_while_a_key_rests_comes_once_and_only_then() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.done(await queue.get(), rest=0.01)
    for _ in range(3):
        queue.add("a")
    queue.add("b")
    assert (len(queue), await queue.get()) == (1, "b")
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    queue.done("a", rest=0.01)
    queue.add_after("a", 0.0)
    assert await asyncio.wait_for(queue.get(), 5) == "a"
    assert len(queue) == 0


async def test_a_key_that_is_woken_rests_no_longer_than_it_must() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.done(await queue.get(), rest=60)
    queue.wake("a", least=30)
    queue.wake("a", least=0.01)
    queue.wake("a", least=30)
    assert len(queue) == 0
    assert await asyncio.wait_for(queue.get(), 5) == "a"


async def test_a_key_that_is_woken_comes_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.done(await queue.get(), rest=60)
    queue.add("a")
    queue.wake("a")
    queue.wake("a")
    assert await queue.get() == "a"
    assert len(queue) == 0
    queue.wake("a")
    assert len(queue) == 0, "never in two hands"
    queue.done("a", rest=60)
    queue.wake("a")
    assert await queue.get() == "a"
    queue.wake("b")
    assert await queue.get() == "b", "nor need it rest"


async def test_those_that_there_is_news_of_are_told() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "c"):
        queue.add(key)
    queue.done(await queue.get(), rest=60)
    assert queue.news() == {"b", "c"}
    queue.add("a")
    assert queue.news() == {"a", "b", "c"}, "it rests, and comes again"


async def test_retries_double_up_to_a_bound_and_success_forgets_them() -> None:
    queue: WorkQueue[str] = WorkQueue()
    delays = [queue.retry("a") for _ in range(12)]
    assert delays[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert delays[-1] == LONGEST_RETRY
    queue.succeeded("a")
    assert queue.retry("a") == FIRST_RETRY


async def test_an_earlier_timer_wins_over_a_later_one() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 60)
    assert await asyncio.wait_for(queue.get(), 5) == "a"


async def test_how_long_the_first_one_has_waited_is_told() -> None:
    now = 100.0
    queue: WorkQueue[str] = WorkQueue(lambda: now)
    assert queue.oldest() == 0.0
    queue.add("a")
    now += 3
    queue.add("b")
    queue.add("a")
    now += 2
    assert queue.oldest() == 5.0
    await queue.get()
    assert queue.oldest() == 2.0


def test_where_none_waits_the_clock_that_goes_on_is_no_age() -> None:
    ticks = iter(range(10))
    queue: WorkQueue[str] = WorkQueue(lambda: float(next(ticks)))
    assert queue.oldest() == 0.0


async def test_what_comes_and_what_is_put_off_is_counted() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert queue.adds == 1
    queue.done("a")
    assert queue.adds == 2
    queue.retry("b")
    assert (queue.adds, queue.retries) == (2, 1)
