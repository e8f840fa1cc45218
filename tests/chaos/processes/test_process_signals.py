"""SIGSTOP of the operator, and SIGKILL and SIGSTOP of what watches engines for it.

kill -9 of the operator at each of its writes and at random, and of a leader: tests/e2e/test_crashes.py,
test_random_kills.py, test_leadership.py.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from chaos.processes.play import Play, children
from e2e.scene import OperatorProcess

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

STILL = 4.0
"""Seconds; longer than what was on its way takes."""


def worker(operator: OperatorProcess) -> int:
    """The process that watches engines."""
    return next(iter(children(operator.process.pid)), 0)


def test_an_operator_that_stands_still_goes_on(play: Play) -> None:
    operator = play.start()

    def stand_still() -> None:
        operator.process.send_signal(signal.SIGSTOP)
        time.sleep(STILL)
        operator.process.send_signal(signal.SIGCONT)

    play.enable(stand_still)
    before = play.converged(operator)
    play.undo(stand_still)
    play.check_nothing_left(operator, before)


def test_a_worker_that_is_killed_is_started_again(play: Play) -> None:
    operator = play.start()

    def kill() -> None:
        play.wait("a worker", lambda: worker(operator))
        os.kill(worker(operator), signal.SIGKILL)

    play.enable(kill)
    before = play.converged(operator)
    killed = worker(operator)
    os.kill(killed, signal.SIGKILL)
    play.scene.wait("another one", lambda: worker(operator) not in (0, killed))
    play.judge()
    play.undo(kill)
    play.check_nothing_left(operator, before)


def test_a_worker_that_stands_still_is_ended_and_replaced(play: Play) -> None:
    operator = play.start()
    play.enable()
    before = play.converged(operator)
    stopped = worker(operator)
    os.kill(stopped, signal.SIGSTOP)
    play.scene.wait(
        "another one",
        lambda: worker(operator) not in (0, stopped),
        60,
    )
    play.judge()
    play.undo()
    play.check_nothing_left(operator, before)
