"""Log lines as the gateway writes them: Kubernetes' klog format on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO


class Klog:
    """Writes `I1122 23:47:40.123456       1 file.go:123] text`; times in UTC, pid always 1."""

    def __init__(
        self,
        stream: TextIO | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._now = now

    def info(self, where: str, text: str) -> None:
        """One line of severity I; `where` is a Go `file.go:line`."""
        self._write("I", where, text)

    def warning(self, where: str, text: str) -> None:
        """One line of severity W."""
        self._write("W", where, text)

    def error(self, where: str, text: str) -> None:
        """One line of severity E."""
        self._write("E", where, text)

    def _write(self, severity: str, where: str, text: str) -> None:
        stamp = self._now().strftime("%m%d %H:%M:%S.%f")
        self._stream.write(f"{severity}{stamp} {1:>7} {where}] {text}\n")
        self._stream.flush()
