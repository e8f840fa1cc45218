"""`make bench-admission`: what the admission policy costs a pod's creation, and how soon it knows an entry.

A control plane of its own; pods are tried (dry run), which is admission without writing. All ways take
turns, so that they share whatever else the machine does.
"""

import time
from collections.abc import Callable
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
from bench.windows import spread
from testbed.cluster import ControlPlane
from testbed.programs import find_programs

ROUNDS = 200
ENTRIES = (1, 50, 500)
PUBLISHED = 20


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def creation(plane: ControlPlane) -> None:
    """A pod, by how many entries its namespace's object has; the last one is its own."""
    ways: dict[str, Callable[[], object]] = {}
    empty = Stage(plane)
    ways["no object"] = lambda: empty.tried(pod())
    for count in ENTRIES:
        stage = Stage(plane)
        # One more is published with them.
        others = (entry(workload=f"m-{n}", token=f"{n:016x}") for n in range(1, count - 1))
        stage.publish(*others, entry())
        ways[f"{count} entries"] = lambda stage=stage: stage.tried(pod())  # type: ignore[misc]
    ways["500, no token"] = lambda: stage.tried(pod(token=None))
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, work in ways.items():
            times[way].append(timed(work))
    for way, found in times.items():
        print(f"pod created, {way:14} {spread(found, milliseconds)}", flush=True)


def knowing(plane: ControlPlane) -> None:
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


def main() -> None:
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
        creation(plane)
        knowing(plane)


if __name__ == "__main__":
    main()
