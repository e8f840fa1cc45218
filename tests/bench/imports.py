"""`make bench-import`: what a command costs before it does anything, and `kvsync run` until it is ready.

Commands take turns. Ready means that everything was listed, in a cluster without any object of ours.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bed.admission.stage import established
from bench.commands import Cost, Runner, middle
from bench.operating import KVSYNC, Operator, prepare
from bench.report import Page, write
from bench.stock import ROOT
from testbed.cluster import ControlPlane
from testbed.programs import find_programs

ROUNDS = 5
READY, STANDBY = "`kvsync run`, until it is ready", "`kvsync run` as a standby, until it is ready"
PLAIN, LIBRARIES = "`python -c pass`", "`python -c 'import kopf, kubernetes'`"
COMMANDS: Mapping[str, Sequence[str]] = {
    PLAIN: (sys.executable, "-c", "pass"),
    LIBRARIES: (sys.executable, "-c", "import kopf, kubernetes"),
    **{
        f"`kvsync {words}`": (KVSYNC, *words.split())
        for words in (
            "--version", "--help", "run --help", "enable --help", "render --help", "probe --help",
            "relay --help",
        )
    },
}  # fmt: skip

TOLD = """
Medians of {rounds}; all commands took turns. Beside them Python alone, and Python with the two libraries
that an operator is usually written with. The last two lines are the operator in a cluster without any object
of ours, from the start of the process until everything was listed: as the only one, and beside a leader."""


def ready(plane: ControlPlane, options: Sequence[str] = ()) -> Cost:
    """What `kvsync run` takes until it is ready."""
    began = time.monotonic()
    with Operator(plane, plane.server, options) as operator:
        operator.wait_until_watching()
        return Cost(time.monotonic() - began, sum(operator.cpu()), operator.peak())


def measure(runner: Runner, rounds: int) -> dict[str, list[Cost]]:
    """All of them, taking turns."""
    found: dict[str, list[Cost]] = {name: [] for name in (*COMMANDS, READY, STANDBY)}
    with (
        TemporaryDirectory() as folder,
        ControlPlane(Path(folder) / "plane", find_programs()) as plane,
    ):
        prepare(plane)
        plane.api.apply(ROOT / "crds" / "kveventsync.yaml")
        established(plane.api)
        elected = ("--leader-elect", "--operator-namespace", "default")
        with Operator(plane, plane.server, elected) as leader:
            leader.wait_until_watching()
            for _ in range(rounds):
                for name, command in COMMANDS.items():
                    found[name].append(runner.cost_of(command))
                found[READY].append(ready(plane))
                found[STANDBY].append(ready(plane, elected))
    return found


def page(found: Mapping[str, Sequence[Cost]], loads: Sequence[float]) -> Page:
    """What is told of it."""
    libraries = middle(found[LIBRARIES])
    rows = []
    for name, costs in found.items():
        cost = middle(costs)
        share = f"{cost.cpu / libraries.cpu:.2f} times"
        rows.append(
            (name, f"{cost.seconds:.2f} s", f"{cost.cpu:.2f} s", share, f"{cost.peak / 1e6:.0f} MB")
        )
    columns = ("", "takes", "CPU", "CPU beside the two libraries", "peak RSS")
    told = TOLD.format(rounds=len(found[PLAIN]))
    return Page("import", "Before anything is done", told, columns, rows, loads=loads)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    before, runner = os.getloadavg()[0], Runner()
    try:
        found = measure(runner, options.rounds)
    finally:
        runner.end()
    print(write(page(found, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
