"""``python -m chaos.soak --seconds 1800``, inside ``testbed.enter``: whether an operator grows under churn.

Prints how it goes, writes docs/benchmarks/soak.md with ``--write``, and ends with 1 where a series grew
or the oracle names a broken promise.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.report import Page, Plot, write
from chaos.soak.flatness import Growth, growths
from chaos.soak.run import ALLOWED, Result, soak

_TOLD = """
One operator for {minutes:.0f} minutes, with the log at level debug. Three objects over six models and one
gateway: pods are deleted, engines killed, models scaled and restarted by their users, objects created,
changed and deleted, {steps} times in all ({done}). Beside them an object with twelve models whose pods are
[hostile publishers](../security.md).

The first quarter of the time is the warm-up. A series is flat where the median of its last quarter is not
beyond that of its second one by more than is allowed: RSS (MB) 5 % and 6, files 10 % and 6, tasks 10 % and
8, threads 2. What the models, the objects and the gateway went through was judged by the
[oracle](../testing/kv-event-sync-e2e.md) as well.
"""


def page(result: Result, found: list[Growth], broken: list[str]) -> Page:
    """The page of a run."""
    done = ", ".join(f"{name} {times}" for name, times in sorted(result.done.items()))
    steps = sum(result.done.values())
    told = _TOLD.format(minutes=result.seconds / 60, steps=steps, done=done)
    rows = [
        (each.name, f"{each.early:.0f}", f"{each.late:.0f}", f"{each.most:.0f}", _flat(each))
        for each in found
    ]
    plots = [
        Plot("seconds", unit, {n: s for n, s in result.series.items() if n.endswith(unit)}, False)
        for unit in ("RSS", "files", "tasks")
    ]
    grew = [each.name for each in found if not each.flat]
    met = "**not reached**" if grew or broken else "**reached**"
    remarks = [
        f"Goal: no series grows once it is warm, and no promise is broken: {met}. "
        f"Grew: {', '.join(grew) or 'none'}; broken: {len(broken) or 'none'}.",
        *broken,
    ]
    columns = ["series", "second quarter", "last quarter", "at most", ""]
    return Page(
        *("soak", "Half an hour of churn", told, columns, rows, plots, remarks),
        loads=result.loads,
        command=f"make soak SECONDS={result.seconds:.0f}",
    )


def _flat(each: Growth) -> str:
    return "flat" if each.flat else "**grew**"


def main() -> int:
    """Soak, say how it came out, and write it down where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m chaos.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/soak.md")
    options = parser.parse_args()
    os.nice(5)
    with tempfile.TemporaryDirectory(prefix="kvsync-soak-") as folder:
        result, broken = soak(options.seconds, options.seed, Path(folder), print)
    found = growths(result.series, ALLOWED)
    for each in found:
        print(
            f"{each.name}: {each.early:.0f} → {each.late:.0f}, at most {each.most:.0f}: {_flat(each)}"
        )
    for line in broken:
        print(f"broken: {line}")
    if options.write:
        print(write(page(result, found, broken)))
    return 1 if broken or not all(each.flat for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
