"""Frames: the pieces that ZMTP sends after its greeting (RFC 37, "Framing of messages")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kvsync.adapters.zmtp.errors import PeerError, Wrong

MORE, LONG, COMMAND = 0x01, 0x02, 0x04
COMMAND_LIMIT = 4096
"""Bytes of a command; a peer's READY has about 40."""


class Frame(NamedTuple):
    """One frame. ``body`` is None where it was stepped over; ``size`` is its length all the same."""

    flags: int
    body: bytes | None
    size: int


def write_frame(flags: int, body: bytes) -> bytes:
    """A frame as it goes over the wire."""
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | LONG,)) + len(body).to_bytes(8, "big") + body


class Allowance:
    """Bytes that all connections together may hold of frames that have not come in whole."""

    def __init__(self, octets: int) -> None:
        self._left = octets

    def take(self, octets: int) -> bool:
        """Reserve; False where it would be too much."""
        if octets > self._left:
            return False
        self._left -= octets
        return True

    def give(self, octets: int) -> None:
        """Return what was reserved."""
        self._left += octets


class FrameReader:
    """Cuts a stream into frames. Holds one frame at most, and only one that was admitted.

    ``limit`` is the most bytes of one frame. ``admit`` is asked once for each frame that is no
    command, with its size, whether its body is kept; it is stepped over otherwise.
    """

    def __init__(self, limit: int, admit: Callable[[int], bool]) -> None:
        self._limit = limit
        self._admit = admit
        self._admitted = False
        self._buffer = bytearray()
        self._skipped: Frame | None = None
        self._to_skip = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes.

        Raises:
            PeerError: no frame of ZMTP, or one that is too long.
        """
        if self._skipped is not None:
            passed = min(self._to_skip, len(data))
            self._to_skip -= passed
            if self._to_skip:
                return
            yield self._end_skip()
            data = data[passed:]
        self._buffer += data
        yield from self._cut()

    def close(self) -> None:
        """Drop what is held."""
        self._buffer = bytearray()

    def _cut(self) -> Iterator[Frame]:
        at = 0
        while (header := _header(self._buffer, at)) is not None:
            flags, start, size = header
            there = len(self._buffer) - start
            if not self._is_kept(flags, size):
                at = start + min(there, size)
                self._begin_skip(Frame(flags, None, size), size - there)
                if self._to_skip:
                    break
                yield self._end_skip()
            elif there < size:
                break
            else:
                at = start + size
                self._admitted = False
                yield Frame(flags, bytes(memoryview(self._buffer)[start:at]), size)
        self._forget(at)

    def _is_kept(self, flags: int, size: int) -> bool:
        if self._admitted:
            return True
        if flags & ~(MORE | LONG | COMMAND) or flags & (MORE | COMMAND) == MORE | COMMAND:
            raise PeerError(Wrong.PROTOCOL, "sends frames that are not ZMTP's")
        limit = COMMAND_LIMIT if flags & COMMAND else self._limit
        if size > limit:
            raise PeerError(
                Wrong.PROTOCOL, f"sends a frame of {size} bytes; at most {limit} are read"
            )
        self._admitted = bool(flags & COMMAND) or self._admit(size)
        return self._admitted

    def _begin_skip(self, frame: Frame, left: int) -> None:
        self._skipped = frame
        self._to_skip = max(0, left)

    def _end_skip(self) -> Frame:
        frame, self._skipped = self._skipped, None
        assert frame is not None  # a skip was begun
        return frame

    def _forget(self, end: int) -> None:
        if end >= len(self._buffer):
            self._buffer = bytearray()  # a cleared one would keep its memory
        elif end:
            del self._buffer[:end]


def _header(buffer: bytearray, at: int) -> tuple[int, int, int] | None:
    """Flags, where the body starts and its size; None where the header has not come in whole."""
    there = len(buffer) - at
    if there < 2:
        return None
    flags = buffer[at]
    if not flags & LONG:
        return flags, at + 2, buffer[at + 1]
    if there < 9:
        return None
    return flags, at + 9, int.from_bytes(buffer[at + 1 : at + 9], "big")
