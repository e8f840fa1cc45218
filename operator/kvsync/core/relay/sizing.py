"""How many blocks the table is to hold."""

from __future__ import annotations

SPARE = 1024
"""Blocks beyond: removals come a little after the stores that they made room for."""


def table_size(cache: int, ranks: int, most: int) -> int:
    """For an engine of so many ranks with so many blocks each: a tenth more, for what is copied to host
    memory; never above ``most``."""
    return min(most, cache * ranks * 11 // 10 + SPARE)
