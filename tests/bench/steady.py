"""`make bench-steady`: what the operator does when all is well and nothing happens.

Models are configured (mode Render), their sources verified and idle; then time passes. Longer:
``python -m bench.steady --seconds 600``.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bench.goals import at_most, growth
from bench.meter import Meter
from bench.operating import KVSYNC, USER, Operator, prepare
from bench.report import Page, Plot, write
from bench.stock import EACH, FIRST, ORIGIN, Stock, fill, select
from bench.windows import pass_time
from e2e.manifests import model
from testbed.api import Object
from testbed.cluster import ControlPlane
from testbed.crowd import Crowd, Ports
from testbed.programs import find_programs
from testbed.waiting import wait_for

SIZES = (10, 100, 1000)
"""Models."""
PODS = 2
SECONDS, SHORT = 60.0, 20.0
"""How long the largest is watched, and each of the others."""
QUIET = 15.0
"""Seconds without a request before it is measured: Events of the start are sent a few at a time."""
WITHIN = 300.0
GOAL_CPU = 0.01

TOLD = f"""
Models of {PODS} pods each, {EACH} an object and namespace, all configured (mode Render) and verified. Engines
are idle: they publish nothing, and answer heartbeats, replay requests and `GET /metrics`. Measured after
{QUIET:.0f} s without any request, {{seconds}} at the largest size, {{short}} at the others
(`make bench-steady SECONDS=600` is longer). CPU is in parts of a core, of the operator's own process and of
the one that watches; requests are those that ended meanwhile, bytes are to and from the API server. Memory
is of both processes, at the beginning and at the end. Each 300 s all objects are looked at once more: a short
run has that in it once, or not at all."""


@dataclass(frozen=True, slots=True)
class Use:
    """What it used in so many seconds. ``cpu``: in parts of a core, own and watching; ``resident``: bytes
    at the beginning and at the end; ``peak``: of the whole run."""

    seconds: float
    cpu: tuple[float, float]
    writes: int
    requests: int
    octets: int
    resident: tuple[int, int]
    peak: int


def rendered(ports: Ports) -> Object:
    """A model as its owner has committed it: configured from its first start."""
    body = model(FIRST, ORIGIN, replicas=PODS, command=ports.command)
    words = ["--port", str(ports.events), "--replay-port", str(ports.replay)]
    done = run(
        [KVSYNC, "render", "-f", "-", "-o", "yaml", *words],
        input=yaml.safe_dump(body), text=True, capture_output=True, check=True,
    )  # fmt: skip
    found: Object = yaml.safe_load(done.stdout)
    return found


@contextmanager
def configured(models: int) -> Iterator[tuple[ControlPlane, Stock]]:
    """A cluster of so many, and an object for every ten."""
    with (
        TemporaryDirectory() as folder,
        Crowd() as crowd,
        ControlPlane(Path(folder) / "plane", find_programs()) as plane,
    ):
        prepare(plane)
        stock = Stock(models // EACH, others=0, first=rendered(crowd.ports))
        fill(plane, stock)
        select(plane, stock, mode="Render", events=crowd.ports.spec, gateway={"manage": False})
        yield plane, stock


def is_idle(body: Object) -> bool:
    """Whether an object says that all its models are ready and all sources verified and idle."""
    status: Any = body.get("status") or {}
    whole = EACH * PODS
    counted = {"total": whole, "publishing": 0, "idle": whole, "failing": 0}
    return bool(status.get("modelsReady") == EACH and status.get("sources") == counted)


def measure(models: int, seconds: float) -> Use:
    """Start it, wait until all is verified, and let time pass."""
    with configured(models) as (plane, _):
        meter = Meter(plane.port)
        try:
            with Operator(plane, f"https://127.0.0.1:{meter.port}") as operator:

                def all_are_idle() -> bool:
                    operator.log()
                    return all(map(is_idle, plane.api.list("kveventsyncs")))

                wait_for(all_are_idle, WITHIN, what="all sources to be verified", pause=0.5)
                await_quiet(plane)
                return watched(plane, operator, meter, seconds)
        finally:
            meter.end()


def await_quiet(plane: ControlPlane) -> None:
    """Let time pass until nothing was asked of the API server for a while."""

    def is_quiet() -> bool:
        mark = plane.audit.mark()
        pass_time(QUIET)
        return not plane.audit.requests(user=USER, since=mark)

    wait_for(is_quiet, WITHIN, what="the operator to fall silent")


def watched(plane: ControlPlane, operator: Operator, meter: Meter, seconds: float) -> Use:
    """What it uses in so many seconds."""
    mark, carried = plane.audit.mark(), meter.read()
    used, resident = operator.cpu(), operator.resident()
    pass_time(seconds)
    own, watching = ((b - a) / seconds for a, b in zip(used, operator.cpu(), strict=True))
    after, asked = meter.read(), plane.audit.requests(user=USER, since=mark)
    octets = after.sent + after.received - carried.sent - carried.received
    writes = sum(request.wrote for request in asked)
    sizes = (resident, operator.resident())
    return Use(seconds, (own, watching), writes, len(asked), octets, sizes, operator.peak())


def page(found: Mapping[int, Use], loads: Sequence[float]) -> Page:
    """What is told of it."""
    columns = ("models", "sources", "CPU", "writes", "requests", "API bytes", "RSS", "peak RSS")
    most = found[max(found)]
    told = TOLD.format(seconds=f"{most.seconds:.0f} s", short=f"{found[min(found)].seconds:.0f} s")
    cpu = [(models, 100 * sum(use.cpu)) for models, use in found.items()]
    memory = [(models, use.resident[1] / 1e6) for models, use in found.items()]
    plots = [
        Plot("models", "CPU, % of a core", {"kvsync": cpu}),
        Plot("models", "RSS, MB", {"kvsync": memory}),
    ]
    remarks = goals(max(found), most)
    if len(found) > 2:
        remarks += [growth("CPU", cpu), growth("Memory", memory)]
    rows = [row(models, use) for models, use in found.items()]
    return Page("steady", "When nothing happens", told, columns, rows, plots, remarks, loads)


def row(models: int, use: Use) -> list[str]:
    """A line of the table."""
    own, watching = use.cpu
    before, after = use.resident
    return [
        f"{models:,}",
        f"{models * PODS:,}",
        f"{own + watching:.1%} ({own:.1%} + {watching:.1%})",
        f"{use.writes}",
        f"{use.requests}",
        f"{use.octets / 1e3:.0f} kB",
        f"{before / 1e6:.1f} → {after / 1e6:.1f} MB",
        f"{use.peak / 1e6:.0f} MB",
    ]


def goals(models: int, use: Use) -> list[str]:
    """What the goals come to at the largest size."""
    cpu, (before, after) = sum(use.cpu), use.resident
    none = "**reached**" if not use.writes else f"**not reached**: {use.writes}"
    return [
        f"At {models:,} models, goal no writes: {none}.",
        f"At {models:,} models, goal less than {GOAL_CPU:.0%} of a core: {at_most(cpu, GOAL_CPU)}; that is "
        f"{cpu / models / PODS * 1e6:.0f} µs a second and source.",
        f"Memory grew by {(after - before) / 1e6:.1f} MB in {use.seconds:.0f} s.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.steady", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="multiples of 10")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of the largest size")
    options = parser.parse_args()
    before, found = os.getloadavg()[0], {}
    for size in options.sizes:
        seconds = options.seconds if size == max(options.sizes) else min(SHORT, options.seconds)
        found[size] = measure(size, seconds)
        print(f"{size:5} models {found[size]}", flush=True)
    print(write(page(found, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
