"""`make bench-probe`: memory and CPU a source, ours beside two others on the same publishers.

All listen to the same publishers at the same time, so that a busy machine disturbs all alike. CPU
is that of each contestant's own processes. Sizes may be given as words: ``python -m bench.probe 1000``.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench.contest import Contestant
from bench.windows import WINDOW, Measured, measure, pass_time
from testbed.fleet import Fleet
from testbed.waiting import wait_for

NAMES = ("ours", "asyncio_subs", "example_loop")
SIZES = (1000, 3000, 5000)
WINDOWS = 2
BUSY, BUSY_RATE = 100, 20.0
CONNECTING_RATE = 0.3
PATIENCE = 300.0
ALL_BUSY_RATE = 10.0
"""Above 8 messages a second a sample of ours is full within its second: more costs it nothing."""
SETTLING = 1.2 * WINDOW
"""Seconds until each source of ours has gone over from one phase to the next."""

Bases = dict[str, int]
"""Bytes in memory of each contestant with one publisher."""


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    bases = measure_bases()
    heading()
    for size in sizes:
        bench(size, bases)


def measure_bases() -> Bases:
    with Fleet(1) as fleet, ExitStack() as stack:
        contestants = start(stack, fleet)
        return {each.name: sum(each.use().resident) for each in contestants}


def bench(size: int, bases: Bases) -> None:
    with Fleet(size) as fleet, ExitStack() as stack:
        contestants = start(stack, fleet)
        for phase, rate, count in (
            ("1 message/s each", 1.0, None),
            (f"{BUSY} at {BUSY_RATE:.0f}/s, others idle", BUSY_RATE, BUSY),
            ("idle", 0.0, 0),
        ):
            fleet.publish(rate, count)
            pass_time(SETTLING)
            rows(size, phase, measure(contestants, WINDOWS), bases)
        ours, *others = contestants
        for each in others:
            each.end()
        fleet.publish(ALL_BUSY_RATE)
        pass_time(SETTLING)
        rows(size, f"{ALL_BUSY_RATE:.0f} messages/s each", measure([ours], WINDOWS), bases)
        said = ours.ask()
        print(f"  ({said['verified']} of {size} verified, {said['restarts']} restarts)", flush=True)


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


def heading() -> None:
    print(
        "| sources | load | who | CPU, % of a core | worst window | messages/s | RSS, MB | KB a source |"
    )
    print("|---|---|---|---|---|---|---|---|")


def rows(size: int, phase: str, found: dict[str, Measured], bases: Bases) -> None:
    for name, each in found.items():
        grown = (sum(each.resident) - bases[name]) / max(1, size - 1)
        cells = (
            f"{size:,}", phase, name, shares(each.cpu), f"{each.worst:.1%}", f"{each.messages:,.0f}",
            " + ".join(f"{part / 1e6:.0f}" for part in each.resident), f"{grown / 1e3:.1f}",
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


def shares(cpu: Sequence[float]) -> str:
    """Parts of a core; of ours, the operator's own process first."""
    parts = " + ".join(f"{part:.1%}" for part in cpu)
    return f"{sum(cpu):.1%} ({parts})" if len(cpu) > 1 else parts


if __name__ == "__main__":
    main()
