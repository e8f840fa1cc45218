"""Text that strangers had a part in, made fit for one line of a status, an Event or a log."""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text with everything escaped that is no printable character (Unicode's categories Other and
    Separator, but for the space): no line break, no escape sequence, nothing that is not seen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
