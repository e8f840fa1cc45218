"""`make bench-hostile`: what hostile publishers cost beside healthy ones, and whether these suffer."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass, field

from kvsync.model.source import HEALTHY
from testbed.fleet import Fleet
from testbed.hostile import Hostile
from testbed.waiting import wait_in_loop
from testbed.watching import Watching, cpu_seconds

SOURCES, BUSY, RATE = 200, 100, 2.0
ALONE, BESIDE = 25.0, 75.0
"""Seconds of the healthy alone, and beside the hostile."""
LOOK = 0.1


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


async def bench(beside: float) -> None:
    with Fleet(SOURCES) as fleet, Hostile() as hostile:
        fleet.publish(RATE, BUSY)
        async with Watching() as watching:
            watching.watch(fleet.targets())
            await wait_in_loop(lambda: watching.all_are(fleet.targets(), HEALTHY), 60.0)
            alone = await follow(watching, ALONE)
            mark = len(watching.changes)
            watching.watch(hostile.targets())
            under = await follow(watching, beside)
            report(watching, fleet, hostile, mark, alone, under)


def report(
    watching: Watching, fleet: Fleet, hostile: Hostile, mark: int, alone: Course, under: Course
) -> None:
    healthy = fleet.targets()
    changes = [change for change in watching.changes[mark:] if change.source in healthy]
    growth = max(under.resident) - max(alone.resident)
    print(
        f"{len(hostile.ports)} hostile publishers beside {len(healthy)} healthy ones, {BESIDE:.0f} s"
    )
    print("| | healthy alone | beside the hostile |\n|---|---|---|")
    print(
        f"| RSS at most, MB | {max(alone.resident) / 1e6:.1f} | {max(under.resident) / 1e6:.1f} |"
    )
    print(f"| CPU of the operator's process | {alone.parent:.1%} | {under.parent:.1%} |")
    print(f"| CPU of the process that watches | {alone.worker:.1%} | {under.worker:.1%} |")
    print(f"growth {growth / 1e6:.1f} MB; restarts {watching.restarts}")
    print(f"changes of healthy verdicts: {len(changes)} {[c.verdict for c in changes[:3]]}")
    for source in hostile.targets():
        verdict = watching.verdict(source)
        print(f"  {source.pod:24} {verdict.reason:18} {verdict.message}")


if __name__ == "__main__":
    asyncio.run(bench(float(sys.argv[1]) if len(sys.argv) > 1 else BESIDE))
