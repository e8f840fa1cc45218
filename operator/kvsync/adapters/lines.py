"""Lines of a stream that may be a live pipe or a stranger's file: one at a time, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_PIECE = 64 << 10


@dataclass(frozen=True, slots=True)
class Line:
    """One line and its number, from 1. ``text`` is None where it is longer than the limit."""

    number: int
    text: bytes | None


def read_lines(stream: BinaryIO, limit: int) -> Iterator[Line]:
    """The lines of a stream, each as soon as it is there.

    Of a line longer than ``limit`` bytes no more than that is ever held; it is read to its end.
    Raises OSError where the stream cannot be read.
    """
    number = 0
    while text := stream.readline(limit + 1):
        number += 1
        if len(text) <= limit or text.endswith(b"\n"):
            yield Line(number, text)
        else:
            yield Line(number, None)
            while (rest := stream.readline(_PIECE)) and not rest.endswith(b"\n"):
                pass
