"""The journal's file. Where it cannot be written the relay goes on without, and tries again later."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from kvsync.core.relay.journal import HEAD, Memory, remember

log = logging.getLogger(__name__)

AGAIN = 60.0
"""Seconds until a file that could not be written is tried again."""
GROWTH, GROWN = 3, 1 << 20
"""How far it grows until it is written anew: so many times its first size, and bytes on top."""
PER_BLOCK, FIXED = 96, 4 << 20
"""Bytes of the longest file that is read, for each block of the table and beside them. No relay with
such a table writes a longer one."""


class Journal:
    """Entries go to the end of the file; now and then a short one takes its place, at once.

    Nothing is flushed to the disk: what was written outlives the process, and the pod's end ends it.
    """

    def __init__(self, path: Path, blocks: int) -> None:
        self._path = path
        self._longest = FIXED + PER_BLOCK * blocks
        self._file: int | None = None
        self._first_size = self._size = 0
        self._again_at = 0.0
        self.failures = 0
        """Times that it could not be written."""

    @property
    def is_kept(self) -> bool:
        """Whether the file holds what it should."""
        return self._file is not None

    def load(self, *, remembered: int) -> Memory | None:
        """What the relay before left; None for nothing of use."""
        try:
            data = self._read()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("the journal %s cannot be read (%s): beginning empty", self._path, error)
            return None
        memory = remember(data, remembered=remembered) if data is not None else None
        if memory is None:
            log.warning("%s is no journal of a relay like this: beginning empty", self._path)
        elif memory.unread:
            log.info("the journal's last %d bytes were cut off in writing", memory.unread)
        return memory

    def is_due(self, now: float) -> bool:
        """Whether it is time for :meth:`replace`."""
        if self._file is None:
            return now >= self._again_at
        return self._size > GROWTH * self._first_size + GROWN

    def replace(self, entries: Iterable[bytes], now: float) -> None:
        """Begin a new file with these; the old one stays until this one is whole."""
        was_kept = self.is_kept
        data = b"".join((HEAD, *entries))
        other = self._path.with_name(self._path.name + ".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._close()
        try:
            self._file = os.open(other, flags, 0o600)
            self._write(data)
            other.rename(self._path)
        except OSError as error:
            self._give_up(error, now)
            return
        if not was_kept and self.failures:
            log.info("the journal is written again")
        self._first_size = self._size = len(data)

    def append(self, entries: Iterable[bytes], now: float) -> None:
        """Write these behind all others, before what they say is published."""
        data = b"".join(entries)
        if not data or self._file is None:
            return
        try:
            self._write(data)
        except OSError as error:
            self._give_up(error, now)
            return
        self._size += len(data)

    def close(self) -> None:
        """Write no more; the file stays."""
        self._close()

    def _read(self) -> bytes | None:
        """None where that is no file of a length that a relay writes."""
        file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(file, "rb") as opened:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_size > self._longest:
                return None
            return opened.read(self._longest)

    def _write(self, data: bytes) -> None:
        """Raises OSError also where the disk took only a part."""
        assert self._file is not None
        written = os.write(self._file, data)
        if written != len(data):
            raise OSError(f"only {written} of {len(data)} bytes were written; is the disk full?")

    def _give_up(self, error: OSError, now: float) -> None:
        """A file that is behind is worse than none."""
        self.failures += 1
        self._again_at = now + AGAIN
        self._close()
        for path in (self._path, self._path.with_name(self._path.name + ".new")):
            try:
                path.unlink(missing_ok=True)
            except OSError:
                log.debug("%s cannot be removed either", path)
        log.warning(
            "the journal %s cannot be written (%s): going on without, so a relay that is killed now "
            "begins empty. Give --journal a file on a volume with room; tried again in %d s",
            self._path,
            error,
            AGAIN,
        )

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
