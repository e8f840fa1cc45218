"""`make bench-core`: what the decisions cost, up to 10,000 models and 100,000 sources, without a network.

Each fleet is measured in a process of its own, in which all of it works: a pass finds nothing to do, as
it is most of the time. Time is of the processor, of this process alone.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.fleet import Fleet
from bench.report import Page, Plot, exponent, markdown, write
from testbed.watching import resident

PODS = 10
"""Of each model."""
SIZES = (10, 100, 1_000)
"""Models that the exponents are of."""
LARGE = (100, 500)
"""Models an object, of 10,000; 500 is the most that mode Admission has room for."""
SHORT_LARGE = (100,)
"""The same in the short form."""
MODELS = 10_000
ROUNDS, ENOUGH = 9, 3.0
"""Each figure is the least of so many passes over everything, or of fewer once these seconds are over:
what else runs on a machine makes one dearer, never cheaper."""
COLUMNS = (
    "models",
    "objects of models each",
    "a pass over everything",
    "a model",
    "of it observing",
    "one object's pass",
    "its memory",
    "its status",
    "the process, with all bodies",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One fleet. ``whole``: seconds for a pass over each object, of which ``observing``; ``peak``: bytes
    that one object's pass has at most; ``status``: bytes of one object's status; ``resident``: of all."""

    objects: int
    models: int
    apart: bool
    whole: float
    observing: float
    peak: int
    status: int
    resident: int

    @property
    def all_models(self) -> int:
        """How many models there are in all."""
        return self.objects * self.models


def measure(objects: int, models: int, *, apart: bool) -> Figures:
    """Build a fleet, have it settle, and measure passes that find nothing to do."""
    fleet = Fleet(objects, models, PODS, apart)
    whole, observing = [fleet.settle()], [_seconds(lambda: [fleet.observe(k) for k in fleet.keys])]
    while len(whole) < ROUNDS and sum(whole) < ENOUGH:
        whole.append(_seconds(lambda: [fleet.decide(fleet.observe(key)) for key in fleet.keys]))
        observing.append(_seconds(lambda: [fleet.observe(key) for key in fleet.keys]))
    used = resident(os.getpid())
    first = fleet.keys[0]
    tracemalloc.start()
    fleet.decide(fleet.observe(first))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    status = len(json.dumps(fleet.status_of(first), separators=(",", ":")))
    return Figures(objects, models, apart, min(whole), min(observing), peak, status, used)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _asked(objects: int, models: int, *, apart: bool = True) -> Figures:
    """The same, in a process of its own; says how long that took, for the largest takes minutes."""
    began = time.monotonic()
    words = ["-m", "bench.core", str(objects), str(models), "apart" if apart else "together"]
    said = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE).stdout
    found = Figures(**json.loads(said))
    told = (
        f"{found.whole:.3g} s a pass over everything; measured in {time.monotonic() - began:.0f} s"
    )
    print(f"{objects:,} of {models:,}, {words[-1]}: {told}", flush=True)
    return found


def _row(each: Figures) -> Sequence[str]:
    return (
        f"{each.all_models:,}",
        f"{each.objects:,} of {each.models:,}, {'apart' if each.apart else 'together'}",
        f"{each.whole:.3g} s",
        f"{each.whole / each.all_models * 1e3:.2f} ms",
        f"{each.observing / each.whole:.0%}",
        f"{each.whole / each.objects * 1e3:.0f} ms",
        f"{each.peak / 1e6:.1f} MB",
        f"{each.status / 1e3:.0f} kB",
        f"{each.resident / 1e6:.0f} MB",
    )


def _points(found: Iterable[Figures]) -> list[tuple[float, float]]:
    return [(each.all_models, each.whole) for each in found]


def page(
    groups: Mapping[str, Sequence[Figures]], large: Sequence[Figures], loads: Sequence[float]
) -> Page:
    """What was found; ``groups`` are those that an exponent is told of."""
    lines = {name: _points(found) for name, found in groups.items()}
    grows = [f"{name} {exponent(points):.2f}" for name, points in lines.items()]
    found = [*(each for group in groups.values() for each in group), *large]
    return Page(
        "core",
        "The decisions alone",
        f"{PODS} pods, and as many sources, a model; all objects share one gateway; all of it works, so "
        "that a pass finds nothing to do. Seconds of CPU, without any network. Objects stand in namespaces "
        "of their own (apart), or in one (together). A pass over everything is what a start costs once; "
        "later only the object is looked at that something changed for.",
        COLUMNS,
        [_row(each) for each in found],
        [Plot("models", "CPU seconds, a pass over everything", lines)],
        [
            f"Exponents over {', '.join(f'{size:,}' for size in SIZES)} models (goal: at most 1.1; 1 is "
            f"proportional): {'; '.join(grows)}.",
            "What follows for a large cluster: [scale](../scale.md).",
        ],
        loads,
    )


def main(sizes: Sequence[int]) -> None:
    """Measure all, and write the page; ``sizes``: models an object, of 10,000."""
    before = os.getloadavg()[0]
    groups = {
        "one object of all models": [_asked(1, size) for size in SIZES],
        "objects of 10, apart": [_asked(size // 10, 10) for size in SIZES],
        "objects of 10, together": [_asked(size // 10, 10, apart=False) for size in SIZES],
    }
    large = [_asked(MODELS // size, size) for size in sizes]
    made = page(groups, large, (before, os.getloadavg()[0]))
    print(f"\n{markdown(made)}{write(made)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [objects, models, where]:
            found = measure(int(objects), int(models), apart=where == "apart")
            print(json.dumps(dataclasses.asdict(found)))
        case ["--short"]:
            main(SHORT_LARGE)
        case _:
            main(LARGE)
