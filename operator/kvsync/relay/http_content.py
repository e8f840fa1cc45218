"""The content of an HTTP/1.1 answer that comes in pieces, also where it is chunked (RFC 9112, 7.1)."""

from __future__ import annotations

import re

LONGEST_LINE = 1024
"""Bytes of the line before a chunk."""

_LENGTH = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;|\r?$)")


class Content:
    """Takes what comes after the header, gives what the content is made of."""

    def take(self, data: bytes) -> bytes:
        """What this piece adds. Raises ValueError where it cannot be."""
        return data


class ChunkedContent(Content):
    """The same in chunks, each with its length in a line before it."""

    def __init__(self) -> None:
        self._line = b""
        self._left = 0
        self._ended = False

    def take(self, data: bytes) -> bytes:
        """What this piece adds. Raises ValueError where it cannot be."""
        found = []
        while data and not self._ended:
            if self._left:
                found.append(data[: self._left])
                data = data[self._left :]
                self._left -= len(found[-1])
                continue
            line, end, rest = (self._line + data).partition(b"\n")
            if len(line) > LONGEST_LINE:
                raise ValueError("the line before a chunk is too long")
            self._line = b"" if end else line
            data = rest
            if end and line.strip():  # a chunk ends with an empty line
                self._left = _length(line)
                self._ended = not self._left
        return b"".join(found)


def content_of(head: bytes) -> Content:
    """The content after a header. Raises ValueError where the answer is not 200."""
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or words[1] != b"200":
        raise ValueError("the answer is not 200")
    return ChunkedContent() if b"\r\ntransfer-encoding: chunked" in head.lower() else Content()


def _length(line: bytes) -> int:
    found = _LENGTH.match(line)
    if found is None:
        raise ValueError("the length of a chunk is none")
    return int(found[1], 16)
