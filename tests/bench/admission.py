"""`make bench-admission`: what the admission policy costs a pod's creation, and how soon it knows an entry.

A control plane of its own; pods are tried (dry run), which is admission without writing. All ways take
turns, so that they share whatever else the machine does.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bed.admission.stage import (
    CRD,
    INJECTED,
    POLICY,
    Stage,
    entry,
    established,
    in_effect,
    labels,
    pod,
)
from bench.report import Page, Plot, write
from bench.windows import spread
from testbed.cluster import ControlPlane
from testbed.programs import find_programs

ROUNDS, FEW = 200, 60
ENTRIES = (1, 50, 500)
"""Of the namespace's object; 500 are the most."""
PUBLISHED = 20
NONE, NO_TOKEN = "no object", "500 entries, and the pod is of a template without a token"
Found = dict[str, list[float]]
"""Seconds of each pod, by what its namespace's object has."""

TOLD = """
Pods are tried by dry run, which is admission without writing, on a control plane of its own;
{rounds} of each way, taking turns. The policy is the one that the chart installs; all entries but
one are of other models."""


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def creation(plane: ControlPlane, rounds: int) -> Found:
    """A pod, by how many entries its namespace's object has; the last one is its own."""
    ways: dict[str, Callable[[], object]] = {}
    empty = Stage(plane)
    ways[NONE] = lambda: empty.tried(pod())
    for count in ENTRIES:
        stage = Stage(plane)
        # One more is published with them.
        others = (entry(workload=f"m-{n}", token=f"{n:016x}") for n in range(1, count - 1))
        stage.publish(*others, entry())
        name = "1 entry" if count == 1 else f"{count} entries"
        ways[name] = lambda stage=stage: stage.tried(pod())  # type: ignore[misc]
    ways[NO_TOKEN] = lambda: stage.tried(pod(token=None))
    times: Found = {way: [] for way in ways}
    for _ in range(rounds):
        for way, work in ways.items():
            times[way].append(timed(work))
    for way, found in times.items():
        print(f"pod created, {way:14} {spread(found, milliseconds)}", flush=True)
    return times


def knowing(plane: ControlPlane) -> list[float]:
    """From the answer to a written status to the first pod that would get it."""
    stage, found = Stage(plane), []
    for number in range(PUBLISHED):
        token = f"{number:016x}"
        stage.write(entry(token=token))
        began = time.perf_counter()
        while INJECTED not in labels(stage.tried(pod(token=token))):
            pass
        found.append(time.perf_counter() - began)
    print(f"entry in effect after        {spread(found, milliseconds)}", flush=True)
    return found


def page(times: Found, known: Sequence[float], loads: Sequence[float] = ()) -> Page:
    """What is told of it."""
    rows = [
        [way, milliseconds(statistics.median(found)), milliseconds(max(found))]
        for way, found in times.items()
    ]
    remarks = [
        f"A written status was what pods got after {milliseconds(statistics.median(known))} (median of "
        f"{len(known)}; worst {milliseconds(max(known))}); the operator waits two seconds.",
    ]
    points = [(float(way.split()[0]), found) for way, found in times.items() if way[0].isdigit()]
    line = [(count, 1e3 * statistics.median(found)) for count, found in points[: len(ENTRIES)]]
    return Page(
        "admission",
        "What the admission policy costs a pod's creation",
        TOLD.format(rounds=len(times[NONE])),
        ["the namespace's object has", "a pod is created in (median)", "worst"],
        rows,
        [Plot("entries", "milliseconds, median", {"a pod that gets its settings": line})],
        remarks,
        loads,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.admission", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help=f"{FEW} pods of each instead of {ROUNDS}"
    )
    rounds = FEW if parser.parse_args().short else ROUNDS
    before = os.getloadavg()[0]
    with (
        TemporaryDirectory() as folder,
        ControlPlane(Path(folder) / "plane", find_programs()) as plane,
    ):
        plane.api.apply(CRD)
        established(plane.api)
        plane.api.create_all(POLICY)
        stage = Stage(plane)
        stage.write(entry())
        print(f"policy in effect after {in_effect(stage):.1f} s", flush=True)
        found, known = creation(plane, rounds), knowing(plane)
    print(write(page(found, known, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
