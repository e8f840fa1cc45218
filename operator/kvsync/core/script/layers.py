"""A text as a shell gets it, and where in the script as written its every character came from."""

from __future__ import annotations

import enum
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_UNUSUAL = re.compile(r"[^\x20-\x7e\t\n]")


class Way(enum.StrEnum):
    """By what a text gets to be parsed by a shell."""

    TOP = "sh -c"
    EVAL = "eval"
    SHELL = "a shell of its own"
    STRING = "a string"
    """By nothing that is seen; read for what it says of KV events only."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a layer's text that has one origin."""

    text: str
    start: int  # in the script as written
    end: int
    exact: bool = False  # the same, character for character
    variable: str = ""
    known: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a word that has one origin."""

    text: str
    variable: str = ""
    known: bool = True


class Layer:
    """A text as the shell gets it, with the origin of its every character."""

    def __init__(self, pieces: Sequence[Piece], way: Way = Way.TOP, depth: int = 0) -> None:
        self.pieces = tuple(piece for piece in pieces if piece.text)
        self.way = way
        self.depth = depth
        self.text = "".join(piece.text for piece in self.pieces)
        self.masked = _finished("".join(_mask(piece) for piece in self.pieces))
        self._starts: list[int] = []
        offset = 0
        for piece in self.pieces:
            self._starts.append(offset)
            offset += len(piece.text)

    def _at(self, offset: int) -> tuple[Piece, int]:
        """The piece that holds a character, and where the piece starts."""
        index = max(bisect_right(self._starts, offset) - 1, 0)
        return (self.pieces[index], self._starts[index]) if self.pieces else (Piece("", 0, 0), 0)

    def origin_of_start(self, offset: int) -> int:
        """Where the character stands in the script as written."""
        piece, start = self._at(offset)
        return piece.start + (offset - start if piece.exact else 0)

    def origin_of_end(self, offset: int) -> int:
        """The place behind the character before ``offset``, in the script as written."""
        piece, start = self._at(max(offset - 1, 0))
        return piece.start + offset - start if piece.exact else piece.end

    def variable_across(self, offset: int) -> str:
        """The variable whose text goes on behind ``offset`` with more than blanks."""
        piece, start = self._at(max(offset - 1, 0))
        rest = piece.text[offset - start :]
        return piece.variable if not piece.exact and rest.strip(" \t") else ""

    def unknown_before(self, offset: int) -> str:
        """The text of unknown meaning that ends at ``offset``."""
        piece, _ = self._at(max(offset - 1, 0))
        return "" if piece.known else piece.text

    def parts(self, start: int, end: int) -> Iterator[Part]:
        """The stretches of a span by their origin."""
        while start < end:
            piece, offset = self._at(start)
            stop = min(end, offset + len(piece.text))
            yield Part(self.text[start:stop], piece.variable, piece.known)
            start = stop


def _mask(piece: Piece) -> str:
    """The piece in ASCII, as long as it was, with letters for what is not known.

    A shell takes other characters than blank, tab and newline for parts of a word, where
    tree-sitter takes some of them for blanks. Bytes and characters count alike by this, too.
    """
    return _UNUSUAL.sub(":", piece.text) if piece.known else "x" * len(piece.text)


def _finished(masked: str) -> str:
    """Blank out line continuations at the end of the text; tree-sitter misses the line behind them."""
    end = len(masked)
    while (start := _last_continuation(masked, end)) is not None:
        end = start
    return masked[:end].ljust(len(masked))


def _last_continuation(masked: str, end: int) -> int | None:
    last = end
    while last and masked[last - 1] in " \t\n":
        last -= 1
    if masked[last : last + 1] != "\n":
        return None
    start = last
    while start and masked[start - 1] == "\\":
        start -= 1
    return last - 1 if (last - start) % 2 else None
