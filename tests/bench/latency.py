"""`make bench-latency`: from a fault of an engine to the verdict that the operator hears of.

Engine stand-ins, processes of their own, are watched as the operator watches them. Faults
strike at any moment of a window; each is timed to the callback of ``Probes``.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial

from bench.report import Page, Plot, write
from bench.windows import WINDOW, spread
from kvsync.adapters.probe.line import LASTING
from kvsync.model.source import HEALTHY, SourceKey, SourceReason, Target
from testbed.engine.launch import EngineProcess, free_ports
from testbed.waiting import wait_for, wait_in_loop
from testbed.watching import Watching

ENGINES, FEW = 20, 8
DEADLINE = 60.0
PROMPT_PAUSE = 2.0
Reasons = frozenset[SourceReason]
Found = dict[str, list[float]]
"""Seconds of each engine, by what befell it."""

GOALS = {
    "killed": 1.0,
    "frozen": 20.0,
    "thawed": 10.0,
    "started again, from when it listens": 10.0,
    "silent, from the first prompt": 22.0,
}
"""Seconds; the last: two windows, each of 9 to 11 s."""

TOLD = f"""
{{engines}} engine stand-ins, processes of their own, are watched as the operator watches them, with
a window of {WINDOW:.0f} s. A fault strikes each at a random moment of a window, and is timed to the
moment at which the operator is told of the settled verdict. Silent ones never publish, although
they get prompts."""


class Engine:
    """One engine, the fault that it was started with, and the source that it is."""

    def __init__(self, number: int, fault: str = "") -> None:
        self.port, self.replay_port = free_ports(2)
        self._fault = fault
        self.process = self._started(fault)
        self.key = SourceKey("engines", f"pod-{number}", f"engine-{self.port}")

    def _started(self, fault: str) -> EngineProcess:
        config = (
            '--kv-events-config={"enable_kv_cache_events":true,"publisher":"zmq",'
            f'"endpoint":"tcp://*:{self.port}","replay_endpoint":"tcp://*:{self.replay_port}"}}'
        )
        env = {"TESTBED_FAULT": fault} if fault else {}
        return EngineProcess((config,), version="0.16.0", env=env)

    def target(self, *, replay: bool = True) -> Target:
        ports = (self.port, self.replay_port if replay else 0)
        return Target(
            self.key, "127.0.0.1", *ports, "", active_check=replay, http_port=self.process.port
        )

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.process.pid, number)

    def end(self) -> None:
        self.process.__exit__(None, None, None)

    def start_again(self) -> None:
        self.process.process.wait()
        self.process = self._started("")

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


async def until_told(watching: Watching, engine: Engine, since: float, wanted: Reasons) -> float:
    """Seconds from ``since`` to the first settled verdict of these reasons that was told."""

    def told() -> list[float]:
        return [
            change.at - since
            for change in watching.changes
            if change.at >= since and change.source == engine.key
            if change.verdict.settled and change.verdict.reason in wanted
        ]

    await wait_in_loop(told, DEADLINE, what=f"{engine.key.pod} to be one of {sorted(wanted)}")
    return told()[0]


async def struck(
    watching: Watching, engine: Engine, act: Callable[[], object], wanted: Reasons
) -> float:
    """At some moment of a window."""
    await asyncio.sleep(random.random() * WINDOW)
    since = time.monotonic()
    act()
    return await until_told(watching, engine, since, wanted)


async def come_back(watching: Watching, engine: Engine) -> float:
    """From the moment that a new engine listens; it loads before that."""
    await asyncio.to_thread(engine.start_again)
    await wait_in_loop(engine.listens, DEADLINE, what="an engine to listen", pause=0.01)
    return await until_told(watching, engine, time.monotonic(), HEALTHY)


async def all_of(
    engines: Sequence[Engine], act: Callable[[Engine], Awaitable[float]]
) -> list[float]:
    return list(await asyncio.gather(*map(act, engines)))


async def ready(watching: Watching, engines: Sequence[Engine], *, replay: bool = True) -> None:
    """Watch them until each is proven."""
    for engine in engines:
        await asyncio.to_thread(wait_for, engine.process.is_healthy, DEADLINE)
    targets = {engine.key: engine.target(replay=replay) for engine in engines}
    watching.watch(targets)
    await wait_in_loop(
        lambda: all(watching.verdict(key).settled for key in targets), DEADLINE, what="verdicts"
    )


async def killed_and_frozen(count: int, found: Found) -> None:
    with ExitStack() as stack:
        engines = [Engine(number) for number in range(count)]
        for engine in engines:
            stack.callback(engine.end)
        async with Watching() as watching:
            await ready(watching, engines)
            assert watching.all_are({e.key: e.target() for e in engines}, HEALTHY)
            frozen, gone = frozenset({SourceReason.STALE}), frozenset({SourceReason.PORT_CLOSED})
            show(found, "frozen", await all_of(
                engines, lambda e: struck(watching, e, partial(e.signal, signal.SIGSTOP), frozen)
            ))  # fmt: skip
            show(found, "thawed", await all_of(
                engines, lambda e: struck(watching, e, partial(e.signal, signal.SIGCONT), HEALTHY)
            ))  # fmt: skip
            # One that stood for less is dialled again with a pause: storms are not followed.
            await asyncio.sleep(LASTING + 1)
            show(found, "killed", await all_of(
                engines, lambda e: struck(watching, e, partial(e.signal, signal.SIGKILL), gone)
            ))  # fmt: skip
            show(found, "started again, from when it listens", await all_of(
                engines, lambda e: come_back(watching, e)
            ))  # fmt: skip


async def prompt(engine: Engine, stop: asyncio.Event) -> None:
    """Give it prompts that fill new blocks."""
    number = 0
    while not stop.is_set():
        number += 1
        words = f"prompt {number} of {engine.port} " + "word " * 100
        await asyncio.to_thread(engine.process.complete, words)
        await asyncio.sleep(PROMPT_PAUSE)


async def silent(count: int, told: Found) -> None:
    """Engines that never publish, from their first prompt on."""
    with ExitStack() as stack:
        engines = [Engine(number, "silent") for number in range(count)]
        for engine in engines:
            stack.callback(engine.end)
        async with Watching() as watching:
            await ready(watching, engines, replay=False)
            await wait_in_loop(
                lambda: all(watching.is_asked(e.key) for e in engines), DEADLINE, what="first looks"
            )
            stop = asyncio.Event()
            wanted = frozenset({SourceReason.SILENT_DESPITE_TRAFFIC})
            prompting: list[asyncio.Task[None]] = []

            def begin(engine: Engine) -> None:
                prompting.append(asyncio.create_task(prompt(engine, stop)))

            found = await all_of(engines, lambda e: struck(watching, e, partial(begin, e), wanted))
            stop.set()
            await asyncio.gather(*prompting)
            show(told, "silent, from the first prompt", found)


def show(found: Found, what: str, seconds: Sequence[float]) -> None:
    found[what] = list(seconds)
    print(f"{what:36} {spread(seconds, '{:.2f} s'.format)} (goal {GOALS[what]:.0f} s)", flush=True)


def page(found: Found, loads: Sequence[float] = ()) -> Page:
    """What is told of it."""
    rows = [
        [
            what,
            f"{statistics.median(found[what]):.2f} s",
            f"{max(found[what]):.2f} s",
            f"{goal:.0f} s",
            "reached" if max(found[what]) <= goal else "**not reached**",
        ]
        for what, goal in GOALS.items()
    ]
    lines = {what: [*enumerate(sorted(found[what]), 1)] for what in GOALS}
    return Page(
        "latency",
        "From a fault to the verdict",
        TOLD.format(engines=len(found["killed"])),
        ["fault", "median", "worst", "goal", ""],
        rows,
        [Plot("engines, the quickest first", "seconds", lines, logarithmic=False)],
        [_goals(found)],
        loads,
    )


def _goals(found: Found) -> str:
    """What the goals come to."""
    missed = [what for what, goal in GOALS.items() if max(found[what]) > goal]
    upshot = f"**not reached**: {', '.join(missed)}" if missed else "**reached** by all"
    return f"Goals, for the worst of each fault: {upshot}."


async def bench(count: int) -> Found:
    """The seconds of so many engines."""
    found: Found = {}
    await killed_and_frozen(count, found)
    await silent(count, found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{FEW} engines instead of {ENGINES}")
    count = FEW if parser.parse_args().short else ENGINES
    before = os.getloadavg()[0]
    found = asyncio.run(bench(count))
    print(write(page(found, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
