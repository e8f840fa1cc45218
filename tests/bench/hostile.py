"""`make bench-hostile`: what hostile publishers cost beside healthy ones, and whether these suffer."""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.report import Page, Plot, write
from kvsync.model.source import HEALTHY
from testbed.fleet import Fleet
from testbed.hostile import Hostile
from testbed.waiting import wait_in_loop
from testbed.watching import Watching, cpu_seconds

SOURCES, BUSY, RATE = 200, 100, 2.0
ALONE, BESIDE = 25.0, 75.0
"""Seconds of the healthy alone, and beside the hostile."""
SHORT_ALONE, SHORT_BESIDE = 15.0, 40.0
LOOK = 0.1
GOAL = 64.0
"""MB that the hostile may add."""

TOLD = f"""
{{hostile}} publishers, each hostile in a way of its own, beside {{healthy}} healthy ones ({BUSY} of
which send {RATE:.0f} messages a second). First the healthy alone, then both together for {{beside}}
s. CPU is in parts of one core."""


@dataclass(slots=True)
class Course:
    """What the operator's side used over some time: bytes, and parts of a core of both processes."""

    resident: list[int] = field(default_factory=list)
    parent: float = 0.0
    worker: float = 0.0


async def follow(watching: Watching, seconds: float) -> Course:
    """Look all the time at what it uses."""
    course, began, worker = Course(), time.monotonic(), watching.worker
    before = cpu_seconds(os.getpid()), cpu_seconds(worker)
    while time.monotonic() - began < seconds:
        await asyncio.sleep(LOOK)
        course.resident.append(watching.resident())
    course.parent = (cpu_seconds(os.getpid()) - before[0]) / seconds
    course.worker = (cpu_seconds(worker) - before[1]) / seconds
    return course


@dataclass(frozen=True, slots=True)
class Found:
    """What a run came to."""

    alone: Course
    under: Course
    seconds: float
    healthy: int
    changes: Sequence[str]
    """Verdicts of healthy ones that changed beside the hostile."""
    restarts: int
    verdicts: Mapping[str, tuple[str, str]]
    """Reason and message, by what each hostile one does."""


async def bench(alone_for: float, beside_for: float) -> Found:
    with Fleet(SOURCES) as fleet, Hostile() as hostile:
        fleet.publish(RATE, BUSY)
        async with Watching() as watching:
            healthy = fleet.targets()
            watching.watch(healthy)
            await wait_in_loop(lambda: watching.all_are(healthy, HEALTHY), 60.0)
            alone = await follow(watching, alone_for)
            mark = len(watching.changes)
            watching.watch(hostile.targets())
            under = await follow(watching, beside_for)
            changes = [c.verdict for c in watching.changes[mark:] if c.source in healthy]
            verdicts = {key.pod: watching.verdict(key) for key in hostile.targets()}
            return Found(
                alone,
                under,
                beside_for,
                len(healthy),
                [f"{each.reason}: {each.message}" for each in changes],
                watching.restarts,
                {name: (str(each.reason), each.message) for name, each in verdicts.items()},
            )


def page(found: Found, loads: Sequence[float] = ()) -> Page:
    """What is told of it."""
    alone, under = found.alone, found.under
    growth = (max(under.resident) - max(alone.resident)) / 1e6
    rows = [
        [
            "memory of both processes at most",
            *(f"{max(c.resident) / 1e6:.1f} MB" for c in (alone, under)),
        ],
        ["CPU of the operator's process", f"{alone.parent:.1%}", f"{under.parent:.1%}"],
        ["CPU of the process that watches", f"{alone.worker:.1%}", f"{under.worker:.1%}"],
    ]
    reached = "reached" if growth < GOAL else "not reached"
    kinds = ", ".join(f"{name} ({reason})" for name, (reason, _) in sorted(found.verdicts.items()))
    remarks = [
        f"Growth {growth:.1f} MB (goal: less than {GOAL:.0f} MB, **{reached}**).",
        f"Verdicts of healthy ones that changed: {len(found.changes)} (goal: none, "
        f"**{'not reached' if found.changes else 'reached'}**). Restarts of the process that watches: "
        f"{found.restarts}.",
        f"The hostile ones, and what each is called: {kinds}.",
    ]
    lines = {
        name: [(LOOK * n, size / 1e6) for n, size in enumerate(course.resident)][:: int(1 / LOOK)]
        for name, course in (("healthy alone", alone), ("beside the hostile", under))
    }
    told = TOLD.format(
        hostile=len(found.verdicts), healthy=found.healthy, beside=f"{found.seconds:.0f}"
    )
    return Page(
        "hostile",
        "Hostile publishers beside healthy ones",
        told,
        ["", "healthy alone", "beside the hostile"],
        rows,
        [Plot("seconds", "memory of both processes, MB", lines, logarithmic=False)],
        remarks,
        loads,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a minute instead of two")
    alone, beside = (SHORT_ALONE, SHORT_BESIDE) if parser.parse_args().short else (ALONE, BESIDE)
    before = os.getloadavg()[0]
    found = asyncio.run(bench(alone, beside))
    print(write(page(found, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
