"""The few samples that matter, out of metrics in the Prometheus text format of any length.

Lines are taken as they come and forgotten unless they begin with a wanted name, so neither the number
of series nor the length of a line is a matter of memory. The parser of ``prometheus_client`` takes
time with the square of a line's length, and a stranger chooses that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

MOST_LINES = 2048
"""Wanted lines that are kept: 256 ranks with eight series each."""

LONGEST_LINE = 2048

_LABEL = r'[A-Za-z_][A-Za-z0-9_]*="(?:[^"\\]|\\.)*"'
_LINE = re.compile(
    rf"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{{((?:{_LABEL},)*(?:{_LABEL})?)\}})?"
    r"[ \t]+([0-9.eE+-]{1,32})(?:[ \t]+-?[0-9]{1,20})?[ \t\r]*"
)
_PAIR = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')

_MOST = 1 << 53
"""Beyond it a float counts no single tokens any more."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a name, labels, and a value that is a whole number of at least 0."""

    name: str
    labels: Mapping[str, str]
    value: int


class Sieve:
    """Keeps the lines that begin with one of some names, out of bytes that come in pieces."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(name.encode() for name in names)
        self._rest = b""
        self.lines: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        *lines, rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._take(line)
        # One byte more than allowed, so that it is still too long when its end comes.
        self._rest = rest[: LONGEST_LINE + 1]

    def finish(self) -> None:
        """Take the last line, which may lack its end."""
        self._take(self._rest)
        self._rest = b""

    def _take(self, line: bytes) -> None:
        fits = len(line) <= LONGEST_LINE and len(self.lines) < MOST_LINES
        if fits and line.startswith(self._names):
            self.lines.append(line)


def samples_of(lines: Iterable[bytes]) -> Iterator[Sample]:
    """The samples of lines; what is no sample, or no count (NaN, negative, endless), is left out."""
    for line in lines:
        found = _LINE.fullmatch(line.decode(errors="replace"))
        if found is None:
            continue
        value = _count(found[3])
        if value is not None:
            yield Sample(found[1], dict(_PAIR.findall(found[2] or "")), value)


def _count(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if math.isfinite(number) and 0 <= number <= _MOST else None
