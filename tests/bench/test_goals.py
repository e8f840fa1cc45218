"""What a page says of goals and growth."""

import pytest

from bench.converge import BARE, BY_HAND, OURS, WAITING
from bench.converge import page as converge_page
from bench.goals import at_least, at_most, growth
from bench.report import markdown
from bench.steady import Use
from bench.steady import page as steady_page
from bench.unconfigured import Cost


def test_a_goal_is_reached_or_told_by_how_much_it_is_not() -> None:
    assert at_most(4.9, 5) == "**reached**"
    assert at_most(7.5, 5) == "**not reached**: 1.5 times as much"
    assert at_least(10, 10) == "**reached**"
    assert at_least(5, 10) == "**not reached**: 50% of it"


@pytest.mark.parametrize(("power", "told"), [(1.0, "**reached**"), (1.5, "**not reached**")])
def test_growth_is_that_beyond_the_smallest_size(power: float, told: str) -> None:
    points = [(size, 7 + (size - 10) ** power) for size in (10, 110, 1010)]
    said = growth("CPU", points)
    assert f"with the power {power:.2f} " in said
    assert told in said


def test_what_does_not_grow_is_said_so() -> None:
    assert growth("CPU", [(10, 2.0), (100, 1.9), (1000, 3.0)]) == "CPU: does not grow from 10 on."


def test_the_page_of_converging_tells_both_goals_at_the_largest_size() -> None:
    costs = {
        OURS: Cost(4, 3, 4, 9),
        BARE: Cost(1, 2, 3, 8),
        WAITING: Cost(3, 2.5, 3, 8),
        BY_HAND: Cost(20, 6, 20, 9),
    }
    slow = {name: costs[name] for name in (OURS, BY_HAND)}
    text = markdown(converge_page({(10, 0.0): costs, (20, 0.0): costs, (20, 5.0): slow}, ()))
    fast = "times as fast as by hand (goal 10, **not reached**: 50% of it)."
    assert f"20 models that load 5 s: 5.0 {fast}\n" in text
    assert f"20 models that load 0 s: 5.0 {fast} The operator's own CPU is 2 times that of" in text
    assert "and 1.2 times that of the loop that waits." in text
    assert "10 models that load" not in text


def test_the_page_of_what_is_steady_tells_what_a_source_costs() -> None:
    use = Use(30, (0.01, 0.03), 0, 4, 2000, (80_000_000, 81_000_000), 90_000_000)
    text = markdown(steady_page({10: use, 1000: use}, ()))
    assert "At 1,000 models, goal no writes: **reached**." in text
    assert "**not reached**: 4.0 times as much; that is 20 µs a second and source" in text
