"""What can be wrong with a peer."""

from __future__ import annotations

import enum


class Wrong(enum.Enum):
    """The kinds of it."""

    NOT_ZMTP = "does not greet as ZMTP 3 does"
    MECHANISM = "wants a security mechanism"
    SOCKET_TYPE = "is a socket of another type"
    PROTOCOL = "breaks the protocol"


class PeerError(Exception):
    """A peer that cannot be talked to. The text never holds bytes that it sent."""

    def __init__(self, kind: Wrong, text: str) -> None:
        super().__init__(text)
        self.kind = kind
