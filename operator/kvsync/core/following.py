"""What is read of messages whose payload is not looked at."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core import envelope
from kvsync.core.wire import parse_replay
from kvsync.model.events import WireError


def sequence_of(frames: Sequence[bytes | None]) -> int | None:
    """The sequence of a published message; None where it has not the form of one.

    Source: vllm/distributed/kv_events.py (topic, 8 bytes of sequence, payload).
    """
    sequence = frames[1] if len(frames) == 3 else None
    try:
        return None if sequence is None else envelope.sequence_of(sequence)
    except WireError:
        return None


def ends_replay(frames: Sequence[bytes | None]) -> bool:
    """Whether a message of the replay socket is its end marker."""
    try:
        return parse_replay([frame for frame in frames if frame is not None]).end
    except WireError:
        return False
