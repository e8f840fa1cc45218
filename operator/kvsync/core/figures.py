"""Words for numbers that grow: they reach the status, which is written when it changes."""

from __future__ import annotations


def at_least(count: int) -> str:
    """A count that may grow with each look, as the power of ten that it has reached."""
    power = 10 ** (len(str(count)) - 1) if count > 0 else 0
    return f"at least {power:,}" if power > 1 else "some"
