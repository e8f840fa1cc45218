"""Moments as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(now: float) -> str:
    """RFC 3339 in UTC to the second, as the API's own times are."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float | None:
    """The moment that an RFC 3339 time names, in seconds since the epoch; None for anything else."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
