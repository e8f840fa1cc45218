"""Waiting for something to become true, always with a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    predicate: Callable[[], T],
    deadline: float = 30.0,
    *,
    what: str = "",
    pause: float = 0.05,
    ignore: tuple[type[Exception], ...] = (),
) -> T:
    """Call ``predicate`` until its answer is truthy, and return that answer.

    Raises TimeoutError after ``deadline`` seconds; ``what`` says what was waited for, and the
    last answer, or the last error of the kinds in ``ignore``, is shown with it.
    """
    end = time.monotonic() + deadline
    while True:
        last: object
        try:
            last = answer = predicate()
            if answer:
                return answer
        except ignore as error:
            last = error
        if time.monotonic() >= end:
            waited = what or getattr(predicate, "__name__", "the condition")
            raise TimeoutError(f"not within {deadline:g} s: {waited}; last: {str(last)[:2000]}")
        time.sleep(pause)


async def wait_in_loop(
    met: Callable[[], object], deadline: float = 30.0, *, what: str = "", pause: float = 0.05
) -> None:
    """Wait until ``met`` is truthy, while the event loop goes on. Raises TimeoutError after ``deadline``."""
    end = time.monotonic() + deadline
    while not met():
        if time.monotonic() >= end:
            raise TimeoutError(f"not within {deadline:g} s: {what}")
        await asyncio.sleep(pause)
