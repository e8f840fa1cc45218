"""`make bench-start`: from a process' start to the first right status, by the size of the cluster.

Ours beside an operator written the plain way with kopf, taking turns over the same objects. Half of
the models are selected, and not configured; their objects are paused, so that each run
finds the cluster as the one before did. No engine is watched: `make bench-probe` is about that.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.meter import Meter
from bench.operating import ACCOUNT, KVSYNC, USER, family, peak, prepare
from bench.report import Page, Plot, Points, exponent, write
from bench.stock import EACH, PODS, Stock, fill, select
from testbed.api import Object
from testbed.cluster import ControlPlane
from testbed.partner import TESTS
from testbed.programs import find_programs
from testbed.waiting import wait_for
from testbed.watching import cpu_seconds

SIZES = (10, 100, 1000)
"""Models that are selected."""
ROUNDS = 2
WITHIN = 120.0
GOAL_CPU, GOAL_PEAK = 5.0, 200e6

TOLD = f"""
From the start of the process to the first right status of every object. Half of the Deployments ({PODS} pods
each) are selected, {EACH} an object and namespace. They are not configured, the objects are paused: what
is measured is reading, deciding and foretelling (the plan); no engine is watched
([that](../benchmarks.md)). Beside it an operator written the plain way with kopf (`on.event` on pods,
Deployments and objects), which only counts models and ready pods; both took turns over the same objects.
Medians of {{rounds}}. CPU and memory are of all processes, bytes as they went over the wire (with TLS,
compressed where both sides agree on that)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one start took; of all its processes together."""

    seconds: float
    cpu: float
    peak: int
    """Bytes in memory at most."""
    received: int
    """Bytes from the API server, as they went over the wire."""
    requests: int


@dataclass(frozen=True, slots=True)
class Way:
    """One contestant: how it is started, and what its status of an object says once it is right."""

    name: str
    command: Callable[[Path], list[str]]
    is_right: Callable[[Object], bool]


def ours_is_right(status: Object) -> bool:
    plan = status.get("plan") or {}
    counted = (status.get("modelsTotal"), plan.get("models"), plan.get("pods"))
    return counted == (EACH, EACH, EACH * PODS)


def plain_is_right(status: Object) -> bool:
    whole = f"{EACH * PODS}/{EACH * PODS}"
    return status.get("modelsTotal") == EACH and status["summary"]["sources"] == whole


WAYS = (
    Way("kvsync", lambda config: [KVSYNC, "run", "--kubeconfig", str(config)], ours_is_right),
    Way(
        "plain kopf",
        lambda config: [sys.executable, "-m", "bench.contestants.plain_kopf", str(config)],
        plain_is_right,
    ),
)


def start(plane: ControlPlane, way: Way) -> Cost:
    """Start it, and wait until the status of every object is right."""
    for body in plane.api.list("kveventsyncs"):
        at = body["metadata"]
        plane.api.patch(
            "kveventsyncs", at["name"], {"status": None}, at["namespace"], subresource="status"
        )
    meter, mark = Meter(plane.port), plane.audit.mark()
    config = plane.kubeconfig_for_service_account(
        "default", ACCOUNT, server=f"https://127.0.0.1:{meter.port}"
    )
    log = plane.directory / "logs" / f"{way.name.replace(' ', '-')}.log"
    environment = {**os.environ, "KVSYNC_METRICS_ADDRESS": "127.0.0.1:0"}

    def all_are_right() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{way.name} ended:\n{log.read_text()[-2000:]}")
        found = plane.api.list("kveventsyncs")
        return all(is_right(way, body) for body in found)

    began = time.monotonic()
    with (
        log.open("ab") as output,
        subprocess.Popen(
            way.command(config), cwd=TESTS, env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            wait_for(all_are_right, WITHIN, what=f"{way.name} to know all", pause=0.2)
            took, pids = time.monotonic() - began, family(process.pid)
            cpu, most = sum(map(cpu_seconds, pids)), sum(map(peak, pids))
            received = meter.read().received
        finally:
            process.terminate()
            process.wait(20)
            meter.end()
    # A watch is written down once it ends, which it did with the process.
    return Cost(took, cpu, most, received, len(plane.audit.requests(user=USER, since=mark)))


def is_right(way: Way, body: Object) -> bool:
    status: Any = body.get("status") or {}
    known = status.get("observedGeneration") == body["metadata"]["generation"]
    return known and way.is_right(status)


def at_size(ours: int, rounds: int) -> dict[str, list[Cost]]:
    """The costs of each contestant in a cluster of its own size."""
    stock = Stock(namespaces=ours // EACH)
    found: dict[str, list[Cost]] = {way.name: [] for way in WAYS}
    with (
        TemporaryDirectory() as folder,
        ControlPlane(Path(folder) / "plane", find_programs()) as plane,
    ):
        prepare(plane)
        began = time.monotonic()
        fill(plane, stock)
        select(plane, stock, paused=True, gateway={"manage": False})
        print(f"{stock.models} Deployments, {stock.pods} pods in {time.monotonic() - began:.0f} s")
        for _ in range(rounds):
            for way in WAYS:
                cost = start(plane, way)
                found[way.name].append(cost)
                print(f"{ours:5} models, {way.name:10} {cost}", flush=True)
    return found


def middle(costs: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    return statistics.median(map(of, costs))


def row(ours: int, name: str, costs: Sequence[Cost]) -> list[str]:
    return [
        f"{ours:,}",
        f"{2 * ours * PODS:,}",
        name,
        f"{middle(costs, lambda c: c.seconds):.1f} s",
        f"{middle(costs, lambda c: c.cpu):.1f} s",
        f"{middle(costs, lambda c: c.peak) / 1e6:.0f} MB",
        f"{middle(costs, lambda c: c.received) / 1e6:.1f} MB",
        f"{middle(costs, lambda c: c.requests):.0f}",
    ]


FIGURES: dict[str, Callable[[Cost], float]] = {
    "CPU, s": lambda c: c.cpu,
    "peak RSS, MB": lambda c: c.peak / 1e6,
    "from the API server, MB": lambda c: c.received / 1e6,
}


def beyond(points: Points) -> Points:
    """What each size adds to the smallest one: the cost of an empty start would hide how it grows."""
    (size, cost), *larger = points
    return [(x - size, y - cost) for x, y in larger]


def told_of_goals(costs: Sequence[Cost], models: int) -> str:
    """What the goals at 1,000 models come to."""
    cpu, most = middle(costs, lambda c: c.cpu), middle(costs, lambda c: c.peak)
    return (
        f"Goals at 1,000 models, and kvsync at {models:,}: "
        f"CPU less than {GOAL_CPU:.0f} s, {_upshot(cpu / GOAL_CPU)}; "
        f"peak RSS less than {GOAL_PEAK / 1e6:.0f} MB, {_upshot(most / GOAL_PEAK)}."
    )


def _upshot(share: float) -> str:
    return "**reached**" if share < 1 else f"**not reached**: {share:.1f} times as much"


def page(found: dict[int, dict[str, list[Cost]]], loads: Sequence[float]) -> Page:
    """What is told of it."""
    names = [way.name for way in WAYS]
    plots = [
        Plot("models", figure, {n: [(s, middle(found[s][n], of)) for s in found] for n in names})
        for figure, of in FIGURES.items()
    ]
    remarks = [told_of_goals(found[max(found)]["kvsync"], max(found))]
    if len(found) > 2:
        remarks += [
            f"{plot.y}: beyond what the smallest size takes, it grows with the power "
            f"{exponent(beyond(plot.lines['kvsync'])):.2f} of the number of models "
            f"(plain kopf {exponent(beyond(plot.lines['plain kopf'])):.2f}; goal 1.1 at most)."
            for plot in plots
        ]
    columns = ["models", "pods", "", "to the status", "CPU", "peak RSS", "received", "requests"]
    rows = [row(s, n, found[s][n]) for s in found for n in names]
    told = TOLD.format(rounds=len(found[min(found)][names[0]]))
    return Page(
        "start", "From the start to the first status", told, columns, rows, plots, remarks, loads
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.start", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="multiples of 10")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    found = {size: at_size(size, options.rounds) for size in options.sizes}
    print(write(page(found, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
