"""One connection's talk, from the greeting on: what came in, and what is to be sent."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from kvsync.adapters.zmtp import commands
from kvsync.adapters.zmtp.errors import PeerError, Wrong
from kvsync.adapters.zmtp.frames import COMMAND, MORE, Allowance, Frame, FrameReader, write_frame
from kvsync.model.events import WATCHING

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_VERSION = b"\x03\x01"
_NULL = b"NULL".ljust(20, b"\x00")
_REST = _NULL + bytes(32)
_GREETING_SIZE = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What is held of one peer. Bytes, counts."""

    frame: int = (4 << 20) + 1024
    parts: int = 8
    message: int = (4 << 20) + 4096
    small: int = 16 << 10
    """A message up to here is held without asking the common allowance."""
    commands: int = 1000
    """Between two of our pings; a peer with heartbeats of its own sends one a second or so."""


class Kind(enum.Enum):
    """What came in."""

    READY = enum.auto()
    """The handshake stands."""
    MESSAGE = enum.auto()
    PONG = enum.auto()


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something whole that came in. A frame is None where it was stepped over."""

    kind: Kind
    frames: tuple[bytes | None, ...] = ()
    size: int = 0
    """Bytes of all frames of a message."""


class Session:
    """The client's side of one connection. Feed it with :meth:`receive`, send :meth:`outgoing`.

    Nothing that names a mechanism or a socket type is sent before the peer has said its own: one
    that does not like ours closes at once, and a reset can overtake what it was about to tell.
    """

    def __init__(
        self, own_type: bytes, peer_types: frozenset[bytes], limits: Limits, allowance: Allowance
    ) -> None:
        self._own_type = own_type
        self._peer_types = peer_types
        self._limits = limits
        self._allowance = allowance
        self._reader = FrameReader(limits.frame, self._admit)
        self._greeting = b""
        self._out = [_SIGNATURE + _VERSION]
        self._wanted = True
        self._frames: list[bytes | None] = []
        self._size = self._reserved = 0
        self._commands = 0
        self.minor = 0
        """The minor version that both sides speak."""
        self.ready = False
        self._is_relay = False
        """Whether it may be one: engines are PUB."""

    @property
    def greeted(self) -> bool:
        """Whether the peer's greeting was that of ZMTP 3 without security."""
        return len(self._greeting) == _GREETING_SIZE

    @property
    def heartbeats(self) -> bool:
        """Whether the peer answers a PING (ZMTP 3.1; libzmq from 4.2 on)."""
        return self.minor > 0

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def subscribe(self) -> None:
        """Ask for all topics, and keep what comes. A relay is told that it is only watched."""
        self._wanted = True
        if self._is_relay:
            self._out.append(commands.subscribe(self.minor, WATCHING))
        self._out.append(commands.subscribe(self.minor))

    def cancel(self) -> None:
        """Ask for no more; what still comes is stepped over."""
        self._wanted = False
        self._out.append(commands.cancel(self.minor))
        if self._is_relay:
            self._out.append(commands.cancel(self.minor, WATCHING))

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._commands = 0
        self._out.append(commands.ping())

    def send(self, frames: tuple[bytes, ...]) -> None:
        """Send one message."""
        last = len(frames) - 1
        self._out += [write_frame(MORE if i < last else 0, f) for i, f in enumerate(frames)]

    def close(self) -> None:
        """Drop what is held."""
        self._reader.close()
        self._end_message()

    def receive(self, data: bytes) -> Iterator[Arrival]:
        """What ``data`` completes.

        Raises:
            PeerError: the peer is none of the kind that was expected, or breaks the protocol.
        """
        if not self.greeted:
            data = self._take_greeting(data)
        if data:
            for frame in self._reader.feed(data):
                arrival = self._take(frame)
                if arrival is not None:
                    yield arrival

    def _take_greeting(self, data: bytes) -> bytes:
        wanted = _GREETING_SIZE - len(self._greeting)
        self._greeting += data[:wanted]
        _check_greeting(self._greeting)
        if self.greeted:
            self.minor = min(self._greeting[11], _VERSION[1])
            self._out.append(_REST)
        return data[wanted:]

    def _take(self, frame: Frame) -> Arrival | None:
        if frame.flags & COMMAND:
            assert frame.body is not None  # commands are always kept
            return self._take_command(*commands.parse(frame.body))
        if not self.ready:
            raise PeerError(Wrong.PROTOCOL, "sends messages before its handshake")
        return self._take_part(frame)

    def _take_command(self, name: bytes, data: bytes) -> Arrival | None:
        if name == commands.READY and not self.ready:
            found = commands.socket_type(data)
            self._check_type(found)
            self._is_relay = found == b"XPUB"
            self.ready = True
            self._out.append(commands.ready(self._own_type))
            return Arrival(Kind.READY)
        if not self.ready:
            raise PeerError(Wrong.PROTOCOL, "ends the handshake")
        self._commands += 1
        if self._commands > self._limits.commands:
            raise PeerError(Wrong.PROTOCOL, "sends commands without an end")
        if name == commands.PING:
            self._out.append(commands.pong(data))
        return Arrival(Kind.PONG) if name == commands.PONG else None

    def _check_type(self, found: bytes) -> None:
        if found not in self._peer_types:
            raise PeerError(Wrong.SOCKET_TYPE, Wrong.SOCKET_TYPE.value)

    def _admit(self, size: int) -> bool:
        """Whether to hold a frame of this size: only what is wanted, within all bounds."""
        held = self._size + size
        if not self._wanted or held > self._limits.message:
            return False
        if held > self._limits.small:
            if not self._allowance.take(size):
                return False
            self._reserved += size
        return True

    def _take_part(self, frame: Frame) -> Arrival | None:
        self._frames.append(frame.body)
        self._size += frame.size
        if len(self._frames) > self._limits.parts:
            raise PeerError(
                Wrong.PROTOCOL, f"sends a message of more than {self._limits.parts} frames"
            )
        if frame.flags & MORE:
            return None
        arrival = Arrival(Kind.MESSAGE, tuple(self._frames), self._size)
        self._end_message()
        return arrival

    def _end_message(self) -> None:
        self._allowance.give(self._reserved)
        self._frames = []
        self._size = self._reserved = 0


def _check_greeting(said: bytes) -> None:
    """Raise PeerError as soon as what was said cannot become a greeting that suits."""
    wrong = said[:1] not in (b"", b"\xff") or (len(said) > 9 and not said[9] & 1)
    if wrong or (len(said) > 10 and said[10] < 3):
        raise PeerError(Wrong.NOT_ZMTP, Wrong.NOT_ZMTP.value)
    mechanism = said[12:32]
    if not _NULL.startswith(mechanism):
        raise PeerError(Wrong.MECHANISM, Wrong.MECHANISM.value)
