"""`make bench-publisher`: what a publisher pays for being watched, beside one full-time subscriber.

The engine stand-in's publisher, in a process of its own, sends 200 batches a second of 64 blocks
each. Rounds with nobody, with the probe and with a subscriber that takes all follow each other.
"""

import argparse
import asyncio
import json
import os
import select
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.contest import Contestant
from bench.report import Page, Plot, write
from bench.windows import WINDOW
from kvsync.model.source import HEALTHY, SourceKey, Target
from testbed.engine.events_config import EventsConfig
from testbed.engine.launch import free_ports
from testbed.engine.layouts import layout_for
from testbed.engine.publisher import Publisher
from testbed.engine.versions import Version
from testbed.fleet import batch
from testbed.partner import Partner
from testbed.waiting import wait_for, wait_in_loop
from testbed.watching import Watching, cpu_seconds, resident

RATE = 200
ROUNDS, SECONDS = 5, 2 * WINDOW
SHORT_ROUNDS, SHORT_SECONDS = 3, 8.0
KEPT = 10_000
SETTLING = 2.0
"""Seconds after a round begins before it is measured: connecting is paid once."""
SUBSCRIBER = "asyncio_subs"
ALONE, PROBED, SUBSCRIBED = "nobody", "kvsync's probe", "one subscriber (zmq.asyncio)"
WAYS = (ALONE, PROBED, SUBSCRIBED)
GOAL = 0.01

TOLD = f"""
The engine stand-in's publisher, a process of its own, sends {RATE} batches a second of 64 blocks
each and keeps {KEPT:,} for replay. Three ways took turns in one run, {{rounds}} rounds of
{{seconds:.0f}} s each: nobody listens, kvsync's probe watches (two connections, a sample each
window of {WINDOW:.0f} s), and one subscriber takes everything, with `zmq.asyncio`. CPU and memory
are of the publisher's process. Of each step of its loop: how long the call takes that hands a batch
over, and how late the step ends by the loop's own clock. Medians of the rounds."""


@dataclass(slots=True)
class Cost:
    """What the publisher's process took in the rounds of one way: shares of a core, bytes, microseconds."""

    cpu: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    call: list[float] = field(default_factory=list)
    call_worst: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    late_worst: list[float] = field(default_factory=list)


class Engine:
    """The publisher's process."""

    def __init__(self) -> None:
        port, replay_port = free_ports(2)
        self._partner = Partner("bench.publisher", "--publish", port, replay_port)
        self._partner.hear()
        self.target = Target(SourceKey("bench", "pod", "uid"), "127.0.0.1", port, replay_port, "")
        self.end = self._partner.end

    def steps(self) -> dict[str, float]:
        """Microseconds of the steps since the last question."""
        self._partner.say("?")
        found: dict[str, float] = json.loads(self._partner.hear())
        return found

    def measure(self, cost: Cost, seconds: float) -> None:
        """One round; it lasts so long."""
        pid = self._partner.pid
        self.steps()
        began, before = time.monotonic(), cpu_seconds(pid)
        time.sleep(seconds)
        cost.cpu.append((cpu_seconds(pid) - before) / (time.monotonic() - began))
        cost.resident.append(resident(pid))
        steps = self.steps()
        cost.call.append(steps["call"])
        cost.call_worst.append(steps["call_worst"])
        cost.late.append(steps["late"])
        cost.late_worst.append(steps["late_worst"])


async def one_round(engine: Engine, way: str, cost: Cost, seconds: float) -> None:
    """A round of one way; who listens is there before it is measured, and gone after."""
    sources = {engine.target.key: engine.target}
    if way == PROBED:
        async with Watching() as watching:
            watching.watch(sources)
            await wait_in_loop(lambda: watching.all_are(sources, HEALTHY), what="it to be verified")
            await _settled(engine, cost, seconds)
    elif way == SUBSCRIBED:
        with Contestant(SUBSCRIBER) as contestant:
            contestant.listen([engine.target])
            await asyncio.to_thread(
                wait_for, lambda: contestant.ask()["sources"] == 1, what="it to be heard"
            )
            await _settled(engine, cost, seconds)
    else:
        await _settled(engine, cost, seconds)


async def _settled(engine: Engine, cost: Cost, seconds: float) -> None:
    await asyncio.sleep(SETTLING)
    # In a thread: what watches goes on meanwhile.
    await asyncio.to_thread(engine.measure, cost, seconds)


async def bench(rounds: int, seconds: float) -> dict[str, Cost]:
    """The costs by way."""
    found = {way: Cost() for way in WAYS}
    engine = Engine()
    try:
        for number in range(rounds):
            first = number % len(WAYS)
            for way in (*WAYS[first:], *WAYS[:first]):
                await one_round(engine, way, found[way], seconds)
                print(f"round {number + 1}, {way:28} {found[way].cpu[-1]:.2%}", flush=True)
    finally:
        engine.end()
    return found


def page(found: dict[str, Cost], rounds: int, seconds: float, loads: Sequence[float] = ()) -> Page:
    """What is told of it."""
    middle = statistics.median
    rows = [
        [
            way,
            f"{middle(cost.cpu):.2%} ({max(cost.cpu):.2%})",
            f"{middle(cost.resident) / 1e6:.1f} MB",
            f"{middle(cost.call):.0f} µs",
            f"{middle(cost.call_worst):.0f} µs",
            f"{middle(cost.late):.0f} µs",
            f"{middle(cost.late_worst):.0f} µs",
        ]
        for way, cost in found.items()
    ]
    more = {way: [b - a for a, b in _pairs(found, way)] for way in (PROBED, SUBSCRIBED)}
    reached = "reached" if middle(more[PROBED]) < GOAL else "not reached"
    remarks = [
        f"Of a pair of rounds the probe takes {_of(more[PROBED])} of a core more than nobody (goal: less "
        f"than {GOAL:.0%}, **{reached}**), the subscriber {_of(more[SUBSCRIBED])}.",
        "A difference that is smaller than the spread of the rounds of one way is none.",
    ]
    plot = Plot(
        "round",
        "CPU of the publisher, % of a core",
        {way: [(n + 1, 100 * cpu) for n, cpu in enumerate(c.cpu)] for way, c in found.items()},
        logarithmic=False,
    )
    return Page(
        "publisher",
        "What a publisher pays for being watched",
        TOLD.format(rounds=rounds, seconds=seconds),
        ["who listens", "CPU, median (worst)", "memory", "call, p50", "p99", "late, p50", "p99"],
        rows,
        [plot],
        remarks,
        loads,
    )


def _pairs(found: dict[str, Cost], way: str) -> list[tuple[float, float]]:
    return list(zip(found[ALONE].cpu, found[way].cpu, strict=True))


def _of(differences: Sequence[float]) -> str:
    return f"{statistics.median(differences):+.2%} (worst {max(differences):+.2%})"


def publish(port: int, replay_port: int) -> None:
    """Be the publisher, until killed; each line on stdin asks for the steps since the last one."""
    config = EventsConfig(
        enable_kv_cache_events=True,
        endpoint=f"tcp://*:{port}",
        replay_endpoint=f"tcp://*:{replay_port}",
        buffer_steps=KEPT,
    )
    made, payload = Publisher(config, layout_for(Version(0, 16))), batch()
    for _ in range(KEPT):  # what it keeps for replay is full before anything is measured
        made.publish(payload)
    print("up", flush=True)
    calls: list[float] = []
    late: list[float] = []
    due = time.monotonic()
    while True:
        began = time.monotonic()
        made.publish(payload)
        ended = time.monotonic()
        calls.append(ended - began)
        late.append(ended - due)
        due += 1 / RATE
        asked, _, _ = select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))
        if asked:
            if not sys.stdin.readline():
                return
            print(json.dumps(_figures(calls, late)), flush=True)
            calls.clear()
            late.clear()
            due = time.monotonic()


def _figures(calls: Sequence[float], late: Sequence[float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, times in (("call", calls), ("late", late)):
        cuts = statistics.quantiles((0.0, *times, 0.0), n=100)
        found |= {name: 1e6 * cuts[49], f"{name}_worst": 1e6 * cuts[98]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.publisher", description=__doc__)
    parser.add_argument("--short", action="store_true", help="two minutes instead of six")
    parser.add_argument("--publish", type=int, nargs=2, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        publish(*options.publish)
        return
    rounds, seconds = (SHORT_ROUNDS, SHORT_SECONDS) if options.short else (ROUNDS, SECONDS)
    before = os.getloadavg()[0]
    found = asyncio.run(bench(rounds, seconds))
    print(write(page(found, rounds, seconds, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
