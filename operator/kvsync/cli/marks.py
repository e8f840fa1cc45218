"""Signs in front of lines, and where the stream cannot carry them, letters."""

from __future__ import annotations

from typing import TextIO

from kvsync.core.doctor.finding import Mark

SIGNS = {Mark.GOOD: "✓", Mark.WRONG: "✗", Mark.OPEN: "?"}
LETTERS = {Mark.GOOD: "ok", Mark.WRONG: "no", Mark.OPEN: "?"}
COLORS = {Mark.GOOD: "green", Mark.WRONG: "red", Mark.OPEN: "yellow"}


def signs(stream: TextIO) -> dict[Mark, str]:
    """The signs, or letters where the stream's encoding has no such signs."""
    try:
        "".join(SIGNS.values()).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return LETTERS
    return SIGNS
