"""Output that never blocks: whoever reads it slowly must not make us read an engine slowly."""

from __future__ import annotations

import os
import select
from collections import deque

_PIECE = 4096
"""What a pipe that is ready takes without blocking (PIPE_BUF, pipe(7))."""


class Outlet:
    """Writes to a file descriptor what it takes at once, and keeps the rest."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept: deque[memoryview] = deque()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self.backlog = 0
        """Bytes that are not written yet."""

    def put(self, data: bytes) -> None:
        """Add bytes to what is to be written."""
        self._kept.append(memoryview(data))
        self.backlog += len(data)

    def pump(self) -> None:
        """Write as much as is taken at once. Raises OSError."""
        while self._kept and self._poll.poll(0):
            written = self._write(self._kept[0][:_PIECE])
            if not written:
                return
            self.backlog -= written
            piece = self._kept.popleft()
            if written < len(piece):
                self._kept.appendleft(piece[written:])

    def _write(self, piece: memoryview) -> int:
        try:
            return os.write(self._descriptor, piece)
        except BlockingIOError:  # a descriptor that somebody made non-blocking
            return 0
