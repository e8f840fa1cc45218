"""Time that is measured over, and the figures of it."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.contest import Contestant, Use

WINDOW = 10.0
"""Seconds between two samples of a source, as the operator's default has it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One contestant over a few windows: shares of a core for each process, messages a second."""

    cpu: tuple[float, ...]
    worst: float
    """Of all its processes together, in one window."""
    resident: tuple[int, ...]
    messages: float


def measure(contestants: Sequence[Contestant], windows: int) -> dict[str, Measured]:
    """Measure all of them at the same time."""
    seconds, marks = [time.monotonic()], [[each.use() for each in contestants]]
    for _ in range(windows):
        pass_time(WINDOW)
        seconds.append(time.monotonic())
        marks.append([each.use() for each in contestants])
    lengths = [end - begin for begin, end in pairwise(seconds)]
    return {
        each.name: _figures([mark[number] for mark in marks], lengths)
        for number, each in enumerate(contestants)
    }


def pass_time(seconds: float) -> None:
    """Let so much time pass: it is what is measured."""
    time.sleep(seconds)


def _figures(uses: list[Use], lengths: list[float]) -> Measured:
    first, last, whole = uses[0], uses[-1], sum(lengths)
    totals = [sum(use.cpu) for use in uses]
    return Measured(
        tuple((b - a) / whole for a, b in zip(first.cpu, last.cpu, strict=True)),
        max((b - a) / s for (a, b), s in zip(pairwise(totals), lengths, strict=True)),
        last.resident,
        (last.messages - first.messages) / whole,
    )


def spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    """Median and worst."""
    return f"median {show(statistics.median(values))}, worst {show(max(values))} of {len(values)}"
