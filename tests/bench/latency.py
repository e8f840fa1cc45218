"""`make bench-latency`: from a fault of an engine to the verdict that the operator hears of.

Twenty engine stand-ins, processes of their own, are watched as the operator watches them. Faults
strike at any moment of a window; each is timed to the callback of ``Probes``.
"""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial

from bench.windows import WINDOW, spread
from kvsync.adapters.probe.line import LASTING
from kvsync.model.source import HEALTHY, SourceKey, SourceReason, Target
from testbed.engine.launch import EngineProcess, free_ports
from testbed.waiting import wait_for, wait_in_loop
from testbed.watching import Watching

ENGINES = 20
DEADLINE = 60.0
PROMPT_PAUSE = 2.0
Reasons = frozenset[SourceReason]


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


async def killed_and_frozen() -> None:
    with ExitStack() as stack:
        engines = [Engine(number) for number in range(ENGINES)]
        for engine in engines:
            stack.callback(engine.end)
        async with Watching() as watching:
            await ready(watching, engines)
            assert watching.all_are({e.key: e.target() for e in engines}, HEALTHY)
            frozen, gone = frozenset({SourceReason.STALE}), frozenset({SourceReason.PORT_CLOSED})
            show("frozen (SIGSTOP)", "20 s", await all_of(
                engines, lambda e: struck(watching, e, partial(e.signal, signal.SIGSTOP), frozen)
            ))  # fmt: skip
            show("thawed (SIGCONT)", "10 s", await all_of(
                engines, lambda e: struck(watching, e, partial(e.signal, signal.SIGCONT), HEALTHY)
            ))  # fmt: skip
            # One that stood for less is dialled again with a pause: storms are not followed.
            await asyncio.sleep(LASTING + 1)
            show("killed (SIGKILL)", "1 s", await all_of(
                engines, lambda e: struck(watching, e, partial(e.signal, signal.SIGKILL), gone)
            ))  # fmt: skip
            show("started again", "10 s", await all_of(
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


async def silent() -> None:
    """Engines that never publish, from their first prompt on."""
    with ExitStack() as stack:
        engines = [Engine(number, "silent") for number in range(ENGINES)]
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
            show("silent despite prompts", "2 windows", found)


def show(what: str, goal: str, found: Sequence[float]) -> None:
    print(f"{what:24} {spread(found, '{:.2f} s'.format)} (goal {goal})", flush=True)


async def main() -> None:
    await killed_and_frozen()
    await silent()


if __name__ == "__main__":
    asyncio.run(main())
