"""Whether a series stays flat once it is warm."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Series = Sequence[tuple[float, float]]
"""Seconds since the start, value."""

FEWEST = 4
"""Samples in a quarter."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a series may grow by: a part of what it was, and so much beside."""

    part: float
    beside: float


@dataclass(frozen=True, slots=True)
class Growth:
    """The medians of the second and of the last quarter of the time, and the most that the last may be."""

    name: str
    early: float
    late: float
    most: float

    @property
    def flat(self) -> bool:
        """Whether it did not grow by more than is allowed."""
        return self.late <= self.most


def growth(name: str, series: Series, allowed: Allowance) -> Growth:
    """How a series grew. The first quarter is the warm-up; medians leave peaks of a moment out.

    Raises ValueError where there are too few samples to tell.
    """
    begin, end = series[0][0], series[-1][0]
    quarter = (end - begin) / 4
    early = [value for at, value in series if begin + quarter <= at < begin + 2 * quarter]
    late = [value for at, value in series if at >= begin + 3 * quarter]
    if min(len(early), len(late)) < FEWEST:
        raise ValueError(f"{name}: {len(early)} and {len(late)} samples are too few")
    was = statistics.median(early)
    return Growth(name, was, statistics.median(late), was * (1 + allowed.part) + allowed.beside)


def growths(measured: Mapping[str, Series], allowed: Mapping[str, Allowance]) -> list[Growth]:
    """The growth of each series that has an allowance, by the word that its name ends with."""
    return [growth(name, series, allowed[name.split()[-1]]) for name, series in measured.items()]
