"""A message as a line of text: what ``kvsync record`` writes and ``kvsync decode`` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kvsync.core.event_json import Json, batch_json
from kvsync.core.wire import Keep, WireLimits, decode_batch
from kvsync.model.events import WireError

FRAMES_LIMIT = 16
"""Frames of a message that is worth recording; an engine sends 3."""

MESSAGE_LIMIT = WireLimits().payload + WireLimits().topic + 8
"""Bytes of a message that is worth recording: the longest that is decoded."""

LINE_LIMIT = 2 * MESSAGE_LIMIT + (64 << 10)
"""Bytes of a line that is read: the hex digits of the longest message, and names around them."""

_VALUES = 4096
"""In one line at most. A line of nothing but ``[],`` would fill 30 times its own memory."""


class LineError(ValueError):
    """A line that holds no message. The text never holds a value from the line."""


def read_line(line: bytes) -> list[bytes]:
    """The frames in a line: of ``kvsync record`` or of a capture with a field for each frame.

    The first is ``{"frames_hex": [topic, sequence, payload]}``, the other has ``topic`` as text,
    ``seq_hex`` (or ``seq`` as integer) and ``payload_hex``. Other fields are passed over.
    Raises LineError.
    """
    if sum(line.count(sign) for sign in (b",", b"[", b"{")) > _VALUES:
        raise LineError(f"holds more than the {_VALUES} values that are read")
    row = _object(line)
    if "frames_hex" in row:
        return _frames(row["frames_hex"])
    if "payload_hex" in row:
        sequence = _hex("seq_hex", row["seq_hex"]) if "seq_hex" in row else _sequence(row)
        return [_topic(row), sequence, _hex("payload_hex", row["payload_hex"])]
    raise LineError("has neither 'frames_hex' nor 'payload_hex'")


def write_line(frames: Sequence[bytes], received_at: float) -> bytes:
    """The line for a message; ``received_at`` in seconds since the epoch."""
    row = {"frames_hex": [frame.hex() for frame in frames], "received_at": round(received_at, 6)}
    return json.dumps(row).encode() + b"\n"


def decode_line(line: bytes, keep: Keep) -> Json:
    """The batch in a line as plain JSON (``core/event_json``). Raises LineError or WireError."""
    return batch_json(decode_batch(read_line(line), keep=keep))


def decode_line_or_error(line: bytes, keep: Keep, number: int) -> tuple[Json, bool]:
    """What to show for line ``number``, and whether it was decoded; else ``{"error": text}``."""
    try:
        return decode_line(line, keep), True
    except (LineError, WireError) as error:
        return error_json(number, str(error)), False


def error_json(number: int, what: str) -> Json:
    """What to show for a line that cannot be decoded."""
    return {"error": f"line {number}: {what}"}


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise LineError("is not UTF-8") from None
    except json.JSONDecodeError as error:
        # The message is one of a fixed set and quotes nothing.
        raise LineError(f"is no JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):  # an integer of thousands of digits; deep nesting
        raise LineError("is no JSON that can be read") from None
    if not isinstance(found, dict):
        raise LineError("is no JSON object")
    return found


def _frames(found: Any) -> list[bytes]:
    if not isinstance(found, list):
        raise LineError("has a 'frames_hex' that is no list")
    return [_hex("frames_hex", text) for text in found]


def _hex(name: str, text: Any) -> bytes:
    if isinstance(text, str):
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    raise LineError(f"has a {name!r} that is no hexadecimal text")


def _topic(row: Mapping[str, Any]) -> bytes:
    topic = row.get("topic")
    if isinstance(topic, str):
        try:
            return topic.encode()
        except UnicodeEncodeError:
            pass
    raise LineError("has no 'topic' that is a text")


def _sequence(row: Mapping[str, Any]) -> bytes:
    number = row.get("seq")
    if type(number) is int and 0 <= number < 1 << 64:
        return number.to_bytes(8, "big")
    raise LineError("has neither 'seq_hex' nor a 'seq' of 64 bits")
