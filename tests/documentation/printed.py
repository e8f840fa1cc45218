"""Whether a command printed what a page says it prints.

Equal are lines that differ in blanks, in times and rates, and in names that a cluster makes up. In a
page ``…`` stands for any text of a line, and alone on a line for any lines. What is told while one waits, and
only where one waits long, is passed over.
"""

import re
from collections.abc import Sequence

_MADE_UP = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?"), "DATE"),
    (re.compile(r"(?<=[a-z0-9])-[a-f0-9]{8,10}-[a-z0-9]{5}(?![a-z0-9])"), "-POD"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b"), "ADDRESS"),
    (re.compile(r"(?<![\w.])-?\d+(\.\d+)?/s\b"), "RATE"),
    (re.compile(r"(?<![\w.-])-?(\d+(\.\d+)?(ms|µs|s|m|h|d))+\b"), "TIME"),
)
_ANY = "…"
_MEANWHILE = re.compile(r"Looking: \d+ of \d+ ")


def _normal(line: str) -> str:
    for pattern, word in _MADE_UP:
        line = pattern.sub(word, line)
    # Two columns may be as wide as what stands in them; rules of a table are as long as it is wide.
    return re.sub(r"[─━]+", "─", " ".join(line.split()))


def _lines(lines: Sequence[str]) -> list[str]:
    return [normal for line in lines if (normal := _normal(line))]


def missing(page: Sequence[str], output: str) -> str:
    """The first lines of the page that were not printed where they should have been; empty if none."""
    told = [line for line in output.splitlines() if not _MEANWHILE.match(line)]
    wanted, came = _lines(page), _lines(told)
    parts: list[list[str]] = [[]]
    for line in wanted:
        if line == _ANY:
            parts.append([])
        else:
            parts[-1].append(line)
    at = 0
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        found = _find(part, came, at, anchored=first, to_the_end=last)
        if found is None:
            return "\n".join(part) or "(nothing more)"
        at = found
    return ""


def _find(
    part: list[str], came: list[str], at: int, *, anchored: bool, to_the_end: bool
) -> int | None:
    """Where the lines behind ``part`` begin, of those that came from ``at`` on; None if it is not there."""
    starts = [at] if anchored else range(at, len(came) - len(part) + 1)
    for start in starts:
        end = start + len(part)
        if end > len(came) or (to_the_end and end != len(came)):
            continue
        if all(_same(line, other) for line, other in zip(part, came[start:end], strict=True)):
            return end
    return None


def _same(line: str, other: str) -> bool:
    pattern = ".*".join(re.escape(piece) for piece in line.split(_ANY))
    return re.fullmatch(pattern, other) is not None
