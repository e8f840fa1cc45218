"""Fuzzing with atheris, on request: `make fuzz`. Each target of ``targets.py`` in turn.

What a run finds stays in ``.cache/fuzz/``; ``--keep`` adds to the kept corpus what reaches code that
nothing in it reaches, and ``make test`` replays the corpus from then on.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fuzz.targets import CORPUS, TARGETS

WORK = Path(".cache/fuzz")
DICTIONARY = Path(__file__).with_name("kv-events.dict")
COVERED = re.compile(r"cov: (\d+) ft: (\d+)")
EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="fuzz.run", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="of all targets together")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--keep", action="store_true", help="add to the kept corpus")
    options = parser.parse_args()
    names = [options.target] if options.target else list(TARGETS)
    each = max(options.seconds // len(names), 1)
    findings = [path for name in names for path in campaign(name, each)]
    for name in names if options.keep else ():
        keep(name)
    for path in findings:
        print(f"fuzz: FOUND {path}: repair, then keep it in tests/fuzz/corpus/ as a test")
    sys.exit(1 if findings else 0)


def campaign(name: str, seconds: int) -> list[Path]:
    """Fuzz one target for a time, say what came of it, and return the inputs that broke it."""
    found, kept = WORK / name / "corpus", CORPUS / TARGETS[name].seeds
    found.mkdir(parents=True, exist_ok=True)
    artifacts = WORK / name / "finding-"
    print(f"fuzz: {name} for {seconds} s", flush=True)
    lines = list(libfuzzer(name, [found, kept], f"-max_total_time={seconds}", artifacts))
    covered = [match for line in lines if (match := COVERED.search(line))]
    executed = next((int(m[1]) for line in lines if (m := EXECUTED.search(line))), 0)
    if not executed or not covered:
        sys.exit(f"fuzz: {name} did not run; {WORK / name / 'log'} says why")
    first, last = covered[0], covered[-1]
    print(
        f"fuzz: {name}: {executed:,} executions, {executed // seconds:,}/s, "
        f"coverage {first[1]} -> {last[1]} edges, {first[2]} -> {last[2]} features, "
        f"{len(list(found.iterdir()))} inputs found",
        flush=True,
    )
    return sorted(WORK.glob(f"{name}/finding-*"))


def libfuzzer(name: str, folders: list[Path], purpose: str, artifacts: Path) -> Iterator[str]:
    """Run libFuzzer on a target in a process of its own; its lines, with a log kept of them."""
    command = [
        *(sys.executable, "-m", "fuzz.inside", name),
        *("-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", purpose),
        *(
            f"-dict={DICTIONARY}",
            f"-artifact_prefix={artifacts}",
            f"-max_len={TARGETS[name].longest}",
        ),
        *map(str, folders),
    ]
    with (
        (WORK / name / "log").open("w") as log,
        subprocess.Popen(
            command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, errors="replace"
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            yield line.rstrip()


def keep(name: str) -> None:
    """Add what reaches new code to the kept corpus; libFuzzer chooses the shortest inputs."""
    kept = CORPUS / TARGETS[name].seeds
    before = len(TARGETS[name].corpus)
    for _ in libfuzzer(name, [kept, WORK / name / "corpus"], "-merge=1", WORK / name / "-"):
        pass
    print(f"fuzz: {name}: {len(TARGETS[name].corpus) - before} inputs kept")


if __name__ == "__main__":
    main()
