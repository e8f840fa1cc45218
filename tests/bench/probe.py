"""`make bench-probe`: memory and CPU a source, ours beside two others on the same publishers.

All listen to the same publishers at the same time, so that a busy machine disturbs all alike. CPU
is that of each contestant's own processes. Sizes may be given as words: ``python -m bench.probe 1000``.
"""

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.contest import Contestant
from bench.report import Page, Plot, write
from bench.windows import WINDOW, Measured, measure, pass_time
from testbed.fleet import Fleet
from testbed.waiting import wait_for

NAMES = ("ours", "asyncio_subs", "example_loop")
SIZES, SHORT_SIZES = (1000, 3000, 5000), (1000,)
WINDOWS = 2
BUSY, BUSY_RATE = 100, 20.0
CONNECTING_RATE = 0.3
PATIENCE = 300.0
ALL_BUSY_RATE = 10.0
"""Above 8 messages a second a sample of ours is full within its second: more costs it nothing."""
SETTLING = 1.2 * WINDOW
"""Seconds until each source of ours has gone over from one phase to the next."""

GOAL_MEMORY, GOAL_CPU = 40.0, 0.5
"""KB a source; parts of a core at 5,000 sources of a message a second."""

TOLD = f"""
All contestants listen to the same PUB sockets at the same time, so that a busy machine disturbs all
alike. `ours` is the operator's process and the one that watches, with two connections a source
(PUB, ROUTER); the others have one: a SUB of `zmq.asyncio` and a task for each publisher, and SUBs
with a Poller as in vLLM's example. They decode every message; ours samples, once in a window of
{WINDOW:.0f} s. CPU is in parts of one core, of the contestant's own processes. The others ask
nothing, and would not notice a frozen engine: that is what ours pays for when all is idle."""

Bases = dict[str, int]
"""Bytes in memory of each contestant with one publisher."""


@dataclass(slots=True)
class Row:
    """One contestant with so many publishers, under one load."""

    size: int
    phase: str
    who: str
    found: Measured
    each: float
    """Bytes a source, beyond what one took."""


@dataclass(slots=True)
class Table:
    """What was measured so far; it is printed as it comes."""

    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, size: int, phase: str, found: dict[str, Measured], bases: Bases) -> None:
        for name, each in found.items():
            grown = (sum(each.resident) - bases[name]) / max(1, size - 1)
            self.rows.append(Row(size, phase, name, each, grown))
            print(f"{size:,} {phase:28} {name:14} {shares(each.cpu)}", flush=True)

    def told(self, size: int, verified: int, restarts: int) -> None:
        self.remarks.append(
            f"{size:,} publishers: {verified:,} verified at the end, the process that watches was restarted "
            f"{restarts} times."
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.probe", description=__doc__)
    parser.add_argument(
        "sizes", type=int, nargs="*", help="publishers; 1000, 3000 and 5000 by default"
    )
    parser.add_argument("--short", action="store_true", help="1000 only, a window each")
    options = parser.parse_args()
    sizes = options.sizes or (SHORT_SIZES if options.short else SIZES)
    before, bases, table = os.getloadavg()[0], measure_bases(), Table()
    for size in sizes:
        bench(size, bases, table, 1 if options.short else WINDOWS)
    print(write(page(table, (before, os.getloadavg()[0]))))


def measure_bases() -> Bases:
    with Fleet(1) as fleet, ExitStack() as stack:
        contestants = start(stack, fleet)
        return {each.name: sum(each.use().resident) for each in contestants}


def bench(size: int, bases: Bases, table: Table, windows: int) -> None:
    with Fleet(size) as fleet, ExitStack() as stack:
        contestants = start(stack, fleet)
        for phase, rate, count in (
            ("1 message/s each", 1.0, None),
            (f"{BUSY} at {BUSY_RATE:.0f}/s, others idle", BUSY_RATE, BUSY),
            ("idle", 0.0, 0),
        ):
            fleet.publish(rate, count)
            pass_time(SETTLING)
            table.add(size, phase, measure(contestants, windows), bases)
        ours, *others = contestants
        for each in others:
            each.end()
        fleet.publish(ALL_BUSY_RATE)
        pass_time(SETTLING)
        table.add(size, f"{ALL_BUSY_RATE:.0f} messages/s each", measure([ours], windows), bases)
        said = ours.ask()
        table.told(size, said["verified"], said["restarts"])


def start(stack: ExitStack, fleet: Fleet) -> list[Contestant]:
    """All contestants, one after the other, once each has heard every publisher."""
    fleet.publish(CONNECTING_RATE)
    return [started(stack.enter_context(Contestant(name)), fleet) for name in NAMES]


def started(contestant: Contestant, fleet: Fleet) -> Contestant:
    began = time.monotonic()
    contestant.listen(fleet.targets().values())
    wait_for(
        lambda: contestant.ask()["sources"] == fleet.count,
        PATIENCE,
        what=f"{contestant.name} to hear all {fleet.count}",
        pause=1.0,
    )
    if fleet.count > 1:
        print(f"  ({contestant.name} heard all of them after {time.monotonic() - began:.0f} s)")
    return contestant


def shares(cpu: Sequence[float]) -> str:
    """Parts of a core; of ours, the operator's own process first."""
    parts = " + ".join(f"{part:.1%}" for part in cpu)
    return f"{sum(cpu):.1%} ({parts})" if len(cpu) > 1 else parts


def page(table: Table, loads: Sequence[float] = ()) -> Page:
    """What is told of it."""
    rows = [
        [
            f"{row.size:,}",
            row.phase,
            row.who,
            shares(row.found.cpu),
            f"{row.found.worst:.1%}",
            f"{row.found.messages:,.0f}",
            " + ".join(f"{part / 1e6:.0f}" for part in row.found.resident),
            f"{row.each / 1e3:.1f}",
        ]
        for row in table.rows
    ]
    phase = table.rows[0].phase
    lines = {
        who: [
            (row.size, 100 * sum(row.found.cpu))
            for row in table.rows
            if (row.who, row.phase) == (who, phase)
        ]
        for who in NAMES
    }
    last = [row for row in table.rows if row.who == "ours" and row.phase == phase][-1]
    kilobytes, cpu = last.each / 1e3, sum(last.found.cpu)
    remarks = [
        f"Goal: less than {GOAL_MEMORY:.0f} KB a source, **{_upshot(kilobytes < GOAL_MEMORY)}** "
        f"({kilobytes:.0f} KB at {last.size:,}).",
        f"Goal at 5,000 sources of a message a second: less than {GOAL_CPU:.0%} of a core; at {last.size:,} "
        f"**{_upshot(cpu < GOAL_CPU)}** ({cpu:.1%}).",
        *table.remarks,
    ]
    return Page(
        "probe",
        "What a source costs",
        TOLD,
        ["sources", "load", "who", "CPU", "worst window", "messages/s", "RSS, MB", "KB a source"],
        rows,
        [Plot("sources", f"CPU at {phase}, % of a core", lines, logarithmic=False)],
        remarks,
        loads,
    )


def _upshot(reached: bool) -> str:
    return "reached" if reached else "not reached"


if __name__ == "__main__":
    main()
