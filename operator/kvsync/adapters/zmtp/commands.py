"""Commands of ZMTP 3.1: READY, SUBSCRIBE, CANCEL, PING, PONG (RFC 37)."""

from __future__ import annotations

from kvsync.adapters.zmtp.errors import PeerError, Wrong
from kvsync.adapters.zmtp.frames import COMMAND, write_frame

PING, PONG, READY = b"PING", b"PONG", b"READY"
_TTL = 2
_CONTEXT_LIMIT = 16


def ready(socket_type: bytes) -> bytes:
    """The frame that ends our side of the NULL handshake."""
    return _command(READY, _property(b"Socket-Type", socket_type) + _property(b"Identity", b""))


def subscribe(minor: int, prefix: bytes = b"") -> bytes:
    """The frame that asks for topics; version 3.0 has a message for it (RFC 23)."""
    return _command(b"SUBSCRIBE", prefix) if minor else write_frame(0, b"\x01" + prefix)


def cancel(minor: int, prefix: bytes = b"") -> bytes:
    """The frame that takes a subscription back."""
    return _command(b"CANCEL", prefix) if minor else write_frame(0, b"\x00" + prefix)


def ping() -> bytes:
    """The frame that asks for a PONG. A time to live of 0: the peer keeps none."""
    return _command(PING, bytes(_TTL))


def pong(ping_data: bytes) -> bytes:
    """The answer to a PING with this data."""
    return _command(PONG, ping_data[_TTL : _TTL + _CONTEXT_LIMIT])


def parse(body: bytes) -> tuple[bytes, bytes]:
    """Name and data of a command. Raises PeerError."""
    end = 1 + body[0] if body else 0
    if not 1 < end <= len(body):
        raise PeerError(Wrong.PROTOCOL, "sends a command without a name")
    return body[1:end], body[end:]


def socket_type(data: bytes) -> bytes:
    """The socket type in the metadata of a READY; empty where there is none. Raises PeerError."""
    at, found = 0, b""
    while at < len(data):
        name, at = _take(data, at, 1)
        value, at = _take(data, at, 4)
        if name.lower() == b"socket-type":
            found = value
    return found


def _take(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    start = at + width
    end = start + int.from_bytes(data[at:start], "big")
    if end > len(data):
        raise PeerError(Wrong.PROTOCOL, "sends metadata that end inside of a property")
    return data[start:end], end


def _command(name: bytes, data: bytes) -> bytes:
    return write_frame(COMMAND, bytes((len(name),)) + name + data)


def _property(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value
