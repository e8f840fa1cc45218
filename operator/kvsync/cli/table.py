"""Plain tables for a terminal, and the forms of numbers in them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate

NOTHING = "-"
"""Stands for what is not known or does not apply."""

_GAP = "  "


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with aligned columns, the header first. Cells lose what no terminal should be sent."""
    cells = [tuple(header), *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    return [
        _GAP.join(_padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide signs two, combining ones none (UAX #11)."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """As much of a text as fits into ``width`` columns."""
    if text.isascii():
        return text[:width]
    taken = accumulate(map(_columns, text))
    return text[: sum(end <= width for end in taken)]


def printable(text: str) -> str:
    """The text without control characters: some of it is written by strangers."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def rate_text(rate: float | None) -> str:
    """Batches a second."""
    if rate is None or not math.isfinite(rate):
        return NOTHING
    return f"{rate:.1f}/s" if abs(rate) < 1e6 else f"{rate:.1e}/s"


def seconds_text(seconds: float | None) -> str:
    """A span of time, short: ``12ms``, ``3.4s``, ``5m``, ``2h``, ``3d``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1000:.0f}ms"
    if size < 100:
        return f"{seconds:.1f}s"
    for unit, length in (("d", 86400), ("h", 3600)):
        if size >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds / 60:.0f}m"


def counted(count: int, noun: str) -> str:
    """``1 pod``, ``2 pods``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
