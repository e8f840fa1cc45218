"""Known holes of what is locked: ``python -m image.audit PIP_AUDIT`` (``make audit``).

pip-audit asks PyPI, and then OSV for what PyPI does not tell of. Exits with 1 where a package has a known
hole, with 3 where one could not be asked for: no answer is not taken for a good one.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image.dockerfile import ROOT

LOCKS = ("runtime.txt", "build.txt", "dev.txt", "fuzz.txt", "audit.txt")
SERVICES = ("pypi", "osv")
PATIENCE = 300.0
"""Seconds for one lock and one service."""
HOLES, NOT_ASKED = 1, 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of the packages of a lock: holes in words, by package; and for which nothing is known."""

    holes: Mapping[str, str]
    unknown: frozenset[str]

    def with_more(self, other: "Answer | None") -> "Answer":
        """The same with what another service knows; None: it does not answer."""
        if other is None:
            return self
        return Answer({**self.holes, **other.holes}, self.unknown & other.unknown)


def read(report: Mapping[str, Any]) -> Answer:
    """The answer in pip-audit's JSON."""
    holes: dict[str, str] = {}
    unknown: set[str] = set()
    for each in report["dependencies"]:
        if "skip_reason" in each:
            unknown.add(each["name"])
        elif each["vulns"]:
            ids = ", ".join(f"{v['id']} (mended in {_fixes(v)})" for v in each["vulns"])
            holes[f"{each['name']} {each['version']}"] = ids
    return Answer(holes, frozenset(unknown))


def _fixes(hole: Mapping[str, Any]) -> str:
    return " or ".join(hole.get("fix_versions") or ["no release yet"])


def ask(program: str, lock: Path, service: str) -> Answer | None:
    """What one service knows; None where it does not answer."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        command = [program, "--requirement", str(lock), "--require-hashes", "--disable-pip"]
        command += ["--vulnerability-service", service, "--format", "json", "--output", str(told)]
        try:
            subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return None
        try:
            return read(json.loads(told.read_text()))
        except (OSError, ValueError, KeyError):  # it ends with a traceback where it cannot ask
            return None


def audit(program: str, lock: Path) -> Answer | None:
    """What is known of a lock; None where nobody answers."""
    found: Answer | None = None
    for service in SERVICES:
        if found is None or found.unknown:
            more = ask(program, lock, service)
            found = more if found is None else found.with_more(more)
    return found


def report(answers: Mapping[str, Answer | None]) -> tuple[list[str], int]:
    """What to print of each lock, and the exit code."""
    lines, codes = [], {0}
    for lock, answer in answers.items():
        if answer is None:
            lines.append(f"{lock}: could not be asked for: neither PyPI nor OSV answers")
            codes.add(NOT_ASKED)
            continue
        lines += _lines(lock, answer)
        codes |= {HOLES} if answer.holes else {NOT_ASKED} if answer.unknown else set()
    return lines, HOLES if HOLES in codes else max(codes)


def _lines(lock: str, answer: Answer) -> Iterator[str]:
    yield from (f"{lock}: {package}: {ids}" for package, ids in sorted(answer.holes.items()))
    if answer.unknown:
        yield f"{lock}: could not be asked for: {_listed(answer.unknown)}"
    elif not answer.holes:
        yield f"{lock}: no known holes"


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - 5
    return ", ".join(ordered[:5]) + (f" and {more} more" if more > 0 else "")


def main(program: str) -> int:
    answers = {lock: audit(program, ROOT / "requirements" / lock) for lock in LOCKS}
    lines, code = report(answers)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
