"""What stands around the events of one message: frames, sequence, time and rank.

The batch is an array (every release so far) or a map (a development commit of vLLM), with more
elements or fields than we know where a release is newer. Who reads the events is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgpack

from kvsync.core.payload import UNREADABLE, Payload
from kvsync.core.wire_limits import WireLimits
from kvsync.model.events import WireError

_LATER_ELEMENTS = 16  # that a coming release may append to a batch we know

_NAMES = {
    "ts": "ts",
    "events": "events",
    "data_parallel_rank": "rank",  # vLLM
    "attn_dp_rank": "rank",  # SGLang
}

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Envelope(Generic[E]):
    """One published message; ``events`` is what the reader made of them."""

    topic: str
    sequence: int
    timestamp: float
    rank: int | None
    events: E


def read_envelope(
    frames: Sequence[bytes], limits: WireLimits, read_events: Callable[[Payload], E]
) -> Envelope[E]:
    """Read the frames ``[topic, sequence, payload]`` of one published message.

    ``read_events`` reads the list of events where the cursor stands. Raises WireError, and nothing
    else, when they are not what an engine publishes.
    """
    if len(frames) != 3:
        raise WireError(f"the message has {len(frames)} frames; an engine sends 3")
    topic, sequence, data = frames
    check_length("topic", topic, limits.topic)
    check_length("payload", data, limits.payload)
    number = sequence_of(sequence)
    timestamp, events, rank = _read(Payload(data, limits), read_events, len(data))
    return Envelope(topic.decode("utf-8", "backslashreplace"), number, timestamp, rank, events)


def check_length(what: str, frame: bytes, limit: int) -> None:
    """Raise WireError for a frame that is longer than ``limit`` bytes."""
    if len(frame) > limit:
        raise WireError(f"the {what} has {len(frame)} bytes; at most {limit} are read")


def sequence_of(frame: bytes) -> int:
    """The sequence in its frame of 8 bytes, big-endian. Raises WireError."""
    if len(frame) != 8:
        raise WireError(f"the sequence frame has {len(frame)} bytes; an engine sends 8")
    return int.from_bytes(frame, "big")


_Batch = tuple[float, E, int | None]


def _read(payload: Payload, read_events: Callable[[Payload], E], length: int) -> _Batch[E]:
    try:
        batch = (_of_map if payload.at_map() else _of_array)(payload, read_events)
    except WireError:
        raise
    except msgpack.OutOfData:
        raise WireError(f"the payload of {length} bytes ends inside {payload.where}") from None
    except UNREADABLE:
        raise WireError(f"{payload.where} does not have the layout of KV events") from None
    if payload.left():
        raise WireError(f"{payload.left()} bytes follow the batch")
    return batch


def _of_array(payload: Payload, read_events: Callable[[Payload], E]) -> _Batch[E]:
    count = payload.array(3 + _LATER_ELEMENTS)
    if count < 2:
        raise WireError(f"the batch has {count} elements; an engine sends 2 or 3")
    timestamp = payload.number()
    events = _events(payload, read_events)
    rank = _rank(payload) if count > 2 else None
    payload.skip_values(count - 3)
    return timestamp, events, rank


def _of_map(payload: Payload, read_events: Callable[[Payload], E]) -> _Batch[E]:
    readers: dict[str, Callable[[], Any]] = {
        "ts": payload.number,
        "events": lambda: _events(payload, read_events),
        "rank": lambda: _rank(payload),
    }
    found: dict[str, Any] = {}
    for _ in range(payload.map()):
        name = _NAMES.get(payload.key(), "")
        if name in found:
            raise payload.wrong("has a field twice")
        if name in readers:
            found[name] = readers[name]()
        else:
            payload.skip()
    if "ts" not in found or "events" not in found:
        raise WireError("the batch is a map without 'ts' or 'events'")
    return found["ts"], found["events"], found.get("rank")


def _events(payload: Payload, read_events: Callable[[Payload], E]) -> E:
    events = read_events(payload)
    payload.event = None
    return events


def _rank(payload: Payload) -> int | None:
    payload.place = "the batch's rank"
    rank = payload.optional_integer()
    payload.place = "the batch"
    return rank
