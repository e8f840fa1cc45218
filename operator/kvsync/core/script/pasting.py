"""What Kubernetes makes of a text before any shell sees it, and how to write past that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kvsync.core.script.budget import MAX_LENGTH
from kvsync.core.script.layers import Piece

_REFERENCE = re.compile(r"\$\$|\$\([^)]*\)")
_ESCAPED = re.compile(r"\$\$")

# What is left of $(NAME) may be an environment variable that is not known, or a command of the
# shell; programs are hardly ever named in capitals.
UNKNOWN_REFERENCE = re.compile(r"(\$\([A-Z_][A-Z0-9_]*\))")


def pasted(text: str, known: Mapping[str, str]) -> list[Piece]:
    """The text with each ``$(NAME)`` replaced by the value, and ``$$`` by ``$``.

    What makes it longer than a script may be is left out, once it is too long.
    """
    pieces: list[Piece] = []
    position, length = 0, 0
    for match in _references(text):
        if length > MAX_LENGTH:
            break
        pieces.append(Piece(text[position : match.start()], position, match.start(), exact=True))
        replaced = list(_replaced(match, known))
        length += match.start() - position + sum(len(piece.text) for piece in replaced)
        pieces += replaced
        position = match.end()
    return [*pieces, Piece(text[position:], position, len(text), exact=True)]


def _references(text: str) -> Iterator[re.Match[str]]:
    # Behind the last ")" each "$(" would be followed to the end of the text in vain.
    closed = text.rfind(")") + 1
    yield from _REFERENCE.finditer(text, 0, closed)
    yield from _ESCAPED.finditer(text, closed)


def _replaced(match: re.Match[str], known: Mapping[str, str]) -> Iterator[Piece]:
    start, end, name = match.start(), match.end(), match.group()[2:-1]
    if match.group() == "$$":
        yield Piece("$", start, end)
    elif name in known:
        for index, text in enumerate(UNKNOWN_REFERENCE.split(known[name])):
            yield Piece(text, start, end, variable=name, known=index % 2 == 0)
    elif UNKNOWN_REFERENCE.fullmatch(match.group()):
        yield Piece(match.group(), start, end, variable=name, known=False)
    else:
        yield Piece(match.group(), start, end, exact=True)


def unpasted(text: str) -> str:
    """The text written so that Kubernetes leaves it as it is."""
    return text.replace("$", "$$")
