"""`make bench-publisher`: what a publisher pays for being watched.

The engine stand-in's publisher, in a process of its own, sends 200 batches a second of 64 blocks
each. Rounds without the probe and rounds with it follow each other.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.windows import WINDOW, spread
from kvsync.model.source import HEALTHY, SourceKey, Target
from testbed.engine.events_config import EventsConfig
from testbed.engine.launch import free_ports
from testbed.engine.layouts import layout_for
from testbed.engine.publisher import Publisher
from testbed.engine.versions import Version
from testbed.fleet import batch
from testbed.waiting import wait_in_loop
from testbed.watching import Watching, cpu_seconds, resident

RATE = 200
ROUNDS, ROUND = 5, 2 * WINDOW
KEPT = 10_000
SETTLING = 2.0
"""Seconds after a round begins before it is measured: connecting is paid once."""


@contextmanager
def publisher(port: int, replay_port: int) -> Iterator[int]:
    """Its pid."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.publisher", str(port), str(replay_port)],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None  # a pipe
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


async def one_round(pid: int) -> float:
    """Its share of a core."""
    await asyncio.sleep(SETTLING)
    began, before = time.monotonic(), cpu_seconds(pid)
    await asyncio.sleep(ROUND)
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


async def watched_round(pid: int, target: Target) -> float:
    async with Watching() as watching:
        watching.watch({target.key: target})
        await wait_in_loop(
            lambda: watching.all_are({target.key: target}, HEALTHY), what="it to be verified"
        )
        return await one_round(pid)


async def bench() -> None:
    port, replay_port = free_ports(2)
    target = Target(SourceKey("bench", "pod", "uid"), "127.0.0.1", port, replay_port, "")
    alone: list[float] = []
    watched: list[float] = []
    sizes: dict[str, list[int]] = {"alone": [], "watched": []}
    with publisher(port, replay_port) as pid:
        for _ in range(ROUNDS):
            alone.append(await one_round(pid))
            sizes["alone"].append(resident(pid))
            watched.append(await watched_round(pid, target))
            sizes["watched"].append(resident(pid))
    differences = [w - a for a, w in zip(alone, watched, strict=True)]
    print(f"alone:      {spread(alone, '{:.2%}'.format)} of a core")
    print(f"watched:    {spread(watched, '{:.2%}'.format)}")
    print(f"difference: {spread(differences, '{:+.2%}'.format)} (goal 1 %)")
    for name, found in sizes.items():
        print(f"RSS at the end of each round, {name}: {[f'{size / 1e6:.1f}' for size in found]} MB")


def publish(port: int, replay_port: int) -> None:
    """Be the publisher, until killed."""
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
    due = time.monotonic()
    while True:
        made.publish(payload)
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        publish(int(sys.argv[1]), int(sys.argv[2]))
    else:
        asyncio.run(bench())
