"""A clock that is set does not leap for decisions, and is followed all the same."""

import pytest

from kvsync.shell.wall_clock import HOPELESS, WallClock

NOW = 1_000_000.0


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.wall, self.passing = NOW, 50.0

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.passing += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> WallClock:
    return WallClock(lambda: machine.wall, lambda: machine.passing)


def test_it_is_the_machines_clock(machine: Machine, clock: WallClock) -> None:
    for seconds in (0.0, 0.5, 3600.0):
        machine.pass_time(seconds)
        assert clock() == pytest.approx(machine.wall)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_is_no_time_that_passed(machine: Machine, clock: WallClock, step: float) -> None:
    machine.pass_time(10)
    machine.wall += step
    before = clock()
    assert before == pytest.approx(NOW + 10, abs=1.1)
    machine.pass_time(600)
    assert 530 < clock() - before < 670, "a deadline of ten minutes is still one"


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_it_catches_up(machine: Machine, clock: WallClock, step: float) -> None:
    machine.wall += step
    told = [clock()]
    for _ in range(11 * 3600 // 100):
        machine.pass_time(100)
        told.append(clock())
    assert told == sorted(told), "never backwards"
    assert told[-1] == pytest.approx(machine.wall)


def test_a_clock_that_was_hopelessly_wrong_is_followed_at_once(
    machine: Machine, clock: WallClock
) -> None:
    machine.wall += HOPELESS
    assert clock() == machine.wall


def test_small_corrections_are_followed(machine: Machine, clock: WallClock) -> None:
    machine.pass_time(10)
    machine.wall += 0.5
    assert clock() == pytest.approx(machine.wall)
