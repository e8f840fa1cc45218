"""`make bench-render`: `kvsync render` of manifests in files, beside only reading and writing their YAML."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench.commands import Cost, Runner, middle
from bench.goals import growth
from bench.operating import KVSYNC
from bench.report import Page, Plot, write
from e2e.manifests import model

SIZES = (20, 200, 2000)
"""Deployments."""
ROUNDS = 3
EACH_FILE = 20
FORMS = ("diff", "yaml", "json")
BARE = "read and write the YAML"
CODE = """
import pathlib, sys, yaml
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
    found = yaml.load_all(path.read_text(), yaml.CSafeLoader)
    yaml.dump_all(found, sys.stdout, yaml.CSafeDumper, sort_keys=False)
"""

TOLD = f"""
A folder of Deployments, {EACH_FILE} a file, of which each is to be changed. Beside it Python that reads the
same files with PyYAML's C loader and writes them again, and nothing else. Whole processes, with their start.
Medians of {{rounds}}."""


def fill(folder: Path, count: int) -> None:
    """Write so many Deployments."""
    for first in range(0, count, EACH_FILE):
        bodies = [
            model(f"model-{n}", "models") for n in range(first, min(first + EACH_FILE, count))
        ]
        (folder / f"{first:05}.yaml").write_text(yaml.safe_dump_all(bodies, sort_keys=False))


def measure(runner: Runner, count: int, rounds: int) -> dict[str, Cost]:
    """Each form, taking turns."""
    with TemporaryDirectory() as folder:
        fill(Path(folder), count)
        commands = {
            f"kvsync render -o {form}": [KVSYNC, "render", "-f", folder, "-o", form]
            for form in FORMS
        }
        commands[BARE] = [sys.executable, "-c", CODE, folder]
        found: dict[str, list[Cost]] = {way: [] for way in commands}
        for _ in range(rounds):
            for way, command in commands.items():
                found[way].append(runner.cost_of(command))
    return {way: middle(costs) for way, costs in found.items()}


def page(found: Mapping[int, Mapping[str, Cost]], rounds: int, loads: Sequence[float]) -> Page:
    """What is told of it."""
    columns = ("Deployments", "", "takes", "CPU", "CPU for each", "peak RSS")
    rows = [row(count, way, cost) for count, costs in found.items() for way, cost in costs.items()]
    ways = list(found[max(found)])
    lines = {way: [(count, costs[way].cpu) for count, costs in found.items()] for way in ways}
    remarks = [growth(f"CPU of {way}", each) for way, each in lines.items() if len(each) > 2]
    plots = [Plot("Deployments", "CPU, s", lines)]
    told = TOLD.format(rounds=rounds)
    return Page("render", "Manifests in files", told, columns, rows, plots, remarks, loads)


def row(count: int, way: str, cost: Cost) -> list[str]:
    """A line of the table."""
    each = f"{cost.cpu / count * 1e3:.1f} ms"
    peak = f"{cost.peak / 1e6:.0f} MB"
    return [f"{count:,}", way, f"{cost.seconds:.2f} s", f"{cost.cpu:.2f} s", each, peak]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.render", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    before, runner = os.getloadavg()[0], Runner()
    try:
        found = {size: measure(runner, size, options.rounds) for size in options.sizes}
    finally:
        runner.end()
    print(write(page(found, options.rounds, (before, os.getloadavg()[0]))))


if __name__ == "__main__":
    main()
