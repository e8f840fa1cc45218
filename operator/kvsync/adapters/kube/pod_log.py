"""A container's log in pieces, each read after the line that was read last.

The API serves the log of a container's current run from its newest file only, from a whole second on
(``PodLogOptions.sinceTime``), so the line that was read last comes again: where it does not, the file
was rotated, and what came between is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

PIECE = 1 << 20
"""Bytes that are read at once."""

_SECOND = 1_000_000_000
_LATEST = 253_370_764_800
"""The year 9999 in seconds since the epoch: no later moment can be asked from."""
_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2}) ?"
)


class PodLogs(Protocol):
    """What reads a log from a moment on (``adapters.kube.client``)."""

    async def pod_log_from(
        self, namespace: str, pod: str, container: str, since: str, limit_bytes: int
    ) -> bytes:
        """Its first bytes, each line with its time. Raises ApiError."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a log in their order, each with its time in seconds since the epoch."""

    lines: tuple[tuple[float, str], ...]
    last: int
    """The time of the last line that was read, in nanoseconds since the epoch: where the next begins."""
    more: bool
    """Whether the log goes on behind it."""
    lost: bool
    """Whether lines before these were never read, and cannot be any more."""


async def read_piece(
    logs: PodLogs, namespace: str, pod: str, container: str, *, last: int = 0, limit: int = PIECE
) -> Piece:
    """The lines after ``last``; 0 for the log's beginning.

    Raises:
        ApiError: the log cannot be read.
    """
    since = datetime.fromtimestamp(last // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = await logs.pod_log_from(namespace, pod, container, since if last else "", limit)
    return cut(said, last, full=len(said) >= limit)


def cut(said: bytes, last: int, *, full: bool) -> Piece:
    """A piece out of an answer's bytes. ``full``: it was cut at its limit, as a rule within a line."""
    body, newline, rest = said.rpartition(b"\n")
    if not full:
        # A line that is being written comes again when it is whole.
        rest = b""
    stamped = list(_stamped(body)) if newline else []
    lines = tuple((at / _SECOND, line) for at, line in stamped if at > last)
    lost = last > 0 and not any(at <= last for at, _ in stamped[:1])
    newest = max((at for at, _ in stamped), default=last)
    if full and newest <= last:
        # Nothing but what was read already, or one line without an end: go on behind that second.
        begun = max((at for at, _ in _stamped(rest)), default=last)
        return Piece((), (max(last, begun) // _SECOND + 1) * _SECOND, more=True, lost=True)
    return Piece(lines, max(newest, last), more=full, lost=lost)


def _stamped(body: bytes) -> Iterator[tuple[int, str]]:
    """Lines with their times in nanoseconds. A line without one continues the one before: no log of
    one line each has such, and nothing is to be found in it."""
    for line in body.decode(errors="replace").split("\n"):
        found = _STAMP.match(line)
        at = _nanoseconds(found) if found else None
        if found is not None and at is not None:
            yield at, line[found.end() :]


def _nanoseconds(stamp: re.Match[str]) -> int | None:
    try:
        whole = datetime.fromisoformat(stamp[1] + stamp[3]).timestamp()
    except (ValueError, OverflowError):
        return None
    if not 0 <= whole < _LATEST:
        return None
    return int(whole) * _SECOND + int((stamp[2] or "").ljust(9, "0"))
