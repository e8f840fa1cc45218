"""`make chaos`: each API call of enabling, changing and undoing with each fault, and mixtures by a seed."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from bench.report import write
from chaos.cases import UNDISTURBED, Case, exhaustive, lined_up, listed_late, mixture, read_case
from chaos.page import page
from chaos.run import Report
from chaos.stage import Reach, cluster
from chaos.workers import reports

LOGS = Path("build/chaos")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code is 1 where a promise was broken."""
    options = _options(arguments)
    began, before = time.monotonic(), os.getloadavg()[0]
    with cluster() as reach:
        undisturbed = next(reports(reach, [UNDISTURBED], {}, first=0))
        if undisturbed.broken:
            return _told([undisturbed])
        if options.case:
            case = read_case(options.case, undisturbed.calls)
            found = [_said(r) for r in reports(reach, [case], undisturbed.rollouts)]
            return _told(found)
        found = _all(reach, undisturbed, options)
    seconds = time.monotonic() - began
    print(f"{len(found)} runs in {seconds:.0f} s")
    if options.page:
        print(write(page(undisturbed, found, seconds, (before, os.getloadavg()[0]))))
    return _told(found)


def _all(reach: Reach, undisturbed: Report, options: argparse.Namespace) -> list[Report]:
    injections = exhaustive(undisturbed.calls)
    mixtures = [mixture(undisturbed.calls, options.seed + n) for n in range(options.mixtures)]
    cases = [*lined_up(injections), *listed_late(), *mixtures][: options.first]
    found = _batch(reach, undisturbed, cases, options, first=1)
    # Which call a run has the eighth time of depends on time: what met none has another chance.
    met = {each for report in found for each in report.met}
    tried = {each for case in cases for each in case.injections}
    again = lined_up([each for each in injections if each in tried - met])
    return found + _batch(reach, undisturbed, again, options, first=1 + options.processes)


def _batch(
    reach: Reach,
    undisturbed: Report,
    cases: Sequence[Case],
    options: argparse.Namespace,
    first: int,
) -> list[Report]:
    # What takes long begins first, so that nothing is waited for at the end.
    cases = sorted(cases, key=lambda case: not case.slow)
    print(f"{len(undisturbed.calls)} calls, {len(cases)} runs", flush=True)
    found: list[Report] = []
    for report in reports(
        reach,
        cases,
        undisturbed.rollouts,
        processes=options.processes,
        at_once=options.at_once,
        first=first,
    ):
        found.append(_said(report))
        if len(found) % 20 == 0:
            broken = sum(bool(each.broken) for each in found)
            print(f"{len(found)} of {len(cases)} runs, {broken} with a broken promise", flush=True)
    return found


def _said(report: Report) -> Report:
    """Say at once what is broken, and how to have it again."""
    if report.broken:
        print(f"BROKEN {report.case.name}")
        print("\n".join(f"    {each}" for each in report.broken))
        print(f"    again: make chaos CASE='{explicit(report.case)}'")
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"{crc32(report.case.name.encode()):08x}.log"
        log.write_text("\n".join([report.case.name, *report.broken, *report.log]))
        print(f"    its log: {log}", flush=True)
    return report


def explicit(case: Case) -> str:
    """A case's name by what is injected in it: the same whatever another recording finds."""
    return "+".join(map(str, case.injections)) or case.name


def _told(found: Sequence[Report]) -> int:
    broken = [report for report in found if report.broken]
    print(f"{len(broken)} of {len(found)} runs broke a promise")
    return 1 if broken else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--case", default="", help="run this one only, by its name")
    parser.add_argument("--seed", type=int, default=1, help="of the first mixture")
    parser.add_argument("--mixtures", type=int, default=500)
    parser.add_argument("--first", type=int, help="only so many runs")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=5, help="runs in each process")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks/chaos.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
