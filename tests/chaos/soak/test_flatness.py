"""What counts as flat, and that growth is told."""

import math
import random

import pytest

from chaos.soak.flatness import Allowance, growth, growths

ALLOWED = Allowance(0.05, 4.0)
TIMES = [float(at) for at in range(0, 1800, 5)]


def test_a_series_that_swings_around_its_middle_is_flat() -> None:
    chance = random.Random(1)
    series = [(at, 100 + 20 * math.sin(at / 40) + chance.uniform(-5, 5)) for at in TIMES]
    assert growth("operator RSS", series, ALLOWED).flat


def test_the_warm_up_does_not_count() -> None:
    assert growth("fds", [(at, min(at, 400.0)) for at in TIMES], ALLOWED).flat


def test_a_peak_of_a_moment_does_not_count() -> None:
    series = [(at, 1000.0 if 1600 < at < 1640 else 100.0) for at in TIMES]
    assert growth("fds", series, ALLOWED).flat


@pytest.mark.parametrize("slope", [0.02, 0.1])
def test_a_slow_leak_is_told(slope: float) -> None:
    chance = random.Random(1)
    series = [(at, 100 + slope * at + chance.uniform(-5, 5)) for at in TIMES]
    found = growth("operator RSS", series, ALLOWED)
    assert not found.flat
    assert found.late > found.most


def test_each_series_has_the_allowance_of_its_kind() -> None:
    series = [(at, at) for at in TIMES]
    found = growths(
        {"operator fds": series, "worker RSS": series}, {"fds": ALLOWED, "RSS": ALLOWED}
    )
    assert [each.name for each in found if not each.flat] == ["operator fds", "worker RSS"]


def test_too_few_samples_tell_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        growth("fds", [(0.0, 1.0), (1.0, 1.0)], ALLOWED)
