"""``$(NAME)`` in command, args and env values, as Kubernetes expands it.

Source: Kubernetes third_party/forked/golang/expansion/expand.go.
"""

from collections.abc import Iterable, Mapping


def expand(text: str, *variables: Mapping[str, str]) -> str:
    """Replace each ``$(NAME)`` by the first of ``variables`` that knows it.

    ``$$`` stands for one ``$`` and so escapes a reference; what nobody knows and what is not a
    whole reference stays as it is.
    """
    pieces: list[str] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0 and dollar + 1 < len(text):
        pieces.append(text[position:dollar])
        piece, position = _read(text, dollar + 1, variables)
        pieces.append(piece)
    return "".join(pieces) + text[position:]


def expand_all(words: Iterable[str], *variables: Mapping[str, str]) -> list[str]:
    """Expand each word of a command or of args."""
    return [expand(word, *variables) for word in words]


def _read(text: str, start: int, variables: Iterable[Mapping[str, str]]) -> tuple[str, int]:
    """Return what stands for the expression after a ``$``, and where to go on."""
    if text[start] != "(":
        escaped = text[start] == "$"
        return ("$" if escaped else "$" + text[start]), start + 1
    end = text.find(")", start)
    if end < 0:
        return "$(", start + 1
    return _value(text[start + 1 : end], variables), end + 1


def _value(name: str, variables: Iterable[Mapping[str, str]]) -> str:
    return next((known[name] for known in variables if name in known), f"$({name})")
