"""What the operator and the processes that watch for it say to each other.

Each message is four bytes of length and a msgpack array. What a worker says is distrusted: it reads
what strangers send.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, get_type_hints

import msgpack

from kvsync.model.events import EventLayout
from kvsync.model.source import EventCounts, Failure, Observation, SourceKey, Target

WIDTH: Final = 4
MOST_OCTETS: Final = 1 << 20
"""Bytes of one message."""
AT_ONCE: Final = 500
"""Sources in one message."""
MARK: Final = struct.Struct("=Q")
MARK_OCTETS: Final = MARK.size
"""A worker's mark: the number of the source that it reads, 0 for none, in memory that both share."""
OUT_OF_MEMORY: Final = 3
"""The exit code of a worker that reached its limit."""
_TEXT_LIMIT = 512


class ProtocolError(Exception):
    """The other side said what it never says."""


def key_of(number: int) -> SourceKey:
    """What a worker calls a source: it is told where it listens, not whose it is."""
    return SourceKey("", "", "", number)


def pack(message: list[Any]) -> bytes:
    """A message as it goes through the pipe."""
    body: bytes = msgpack.packb(message)
    return len(body).to_bytes(WIDTH, "big") + body


def length_of(head: bytes) -> int:
    """Bytes of the message that follows. Raises ProtocolError."""
    length = int.from_bytes(head, "big")
    if length > MOST_OCTETS:
        raise ProtocolError(f"a message of {length} bytes")
    return length


def unpack(body: bytes) -> tuple[str, Any]:
    """Kind and content of a message. Raises ProtocolError."""
    try:
        kind, content = msgpack.unpackb(body, use_list=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise ProtocolError("no message") from error
    if not isinstance(kind, str):
        raise ProtocolError("a message without a kind")
    return kind, content


def watch(targets: Mapping[int, Target]) -> Iterator[bytes]:
    """Messages that ask to watch sources, by number."""
    rows = [
        [n, t.host, t.port, t.replay_port, t.topic, t.active_check, t.interval]
        for n, t in targets.items()
    ]
    yield from (pack(["watch", rows[at : at + AT_ONCE]]) for at in range(0, len(rows), AT_ONCE))


def drop(numbers: Iterable[int]) -> bytes:
    """A message that asks to watch sources no more."""
    return pack(["drop", list(numbers)])


def read_watch(content: Any) -> dict[int, Target]:
    """What a worker is to watch; from the operator, so not distrusted."""
    return {
        number: Target(key_of(number), host, port, replay_port, topic, active_check, interval)
        for number, host, port, replay_port, topic, active_check, interval in content
    }


def alive() -> bytes:
    """A worker's sign of life."""
    return pack(["alive", None])


def seen(observations: Mapping[int, Observation]) -> bytes:
    """A worker's news of sources, at most ``AT_ONCE``."""
    return pack(["seen", [[n, *map(_plain, _values(o))] for n, o in observations.items()]])


def read_seen(content: Any) -> dict[int, Observation]:
    """News of sources. Raises ProtocolError."""
    if not isinstance(content, tuple) or len(content) > AT_ONCE:
        raise ProtocolError("news that are no list")
    return dict(map(_read_row, content))


def _values(observation: Observation) -> list[Any]:
    return [getattr(observation, name) for name in _FIELDS]


def _plain(value: Any) -> Any:
    if isinstance(value, EventCounts):
        return [value.stored, value.removed, value.cleared, value.unknown]
    return value


def _read_row(row: Any) -> tuple[int, Observation]:
    if not isinstance(row, tuple) or len(row) != len(_FIELDS) + 1:
        raise ProtocolError("news of another form")
    number, *values = row
    pairs = zip(_FIELDS.items(), values, strict=True)
    try:
        return _count(number), Observation(**{name: read(v) for (name, read), v in pairs})
    except (ValueError, TypeError) as error:
        raise ProtocolError("news with a field of another type") from error


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError
    return float(value)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if type(value) is not str or len(value) > _TEXT_LIMIT:
        raise ValueError
    return value


def _events(value: object) -> EventCounts:
    if not isinstance(value, tuple) or len(value) != len(fields(EventCounts)):
        raise ValueError
    return EventCounts(*map(_count, value))


def _optional(read: Callable[[Any], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else read(value)


_READERS: dict[object, Callable[[object], Any]] = {
    int: _count,
    float: _number,
    float | None: _optional(_number),
    int | None: _optional(_count),
    str | None: _optional(_text),
    EventCounts: _events,
    Failure | None: _optional(Failure),
    EventLayout | None: _optional(EventLayout),
}
_HINTS = get_type_hints(Observation)
_FIELDS: Mapping[str, Callable[[object], Any]] = {
    field.name: _READERS[_HINTS[field.name]] for field in fields(Observation)
}
"""How each field of an Observation is read; a field of a new type fails at import."""
