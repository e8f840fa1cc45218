"""Tables of the pages that are generated."""

from __future__ import annotations

from collections.abc import Iterable


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown: ``head``, and a line for each row."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(map(cell, line))} |\n" for line in lines)


def cell(text: str) -> str:
    """A text in one line, in which nothing ends its cell."""
    return " ".join(text.split()).replace("|", "\\|")
