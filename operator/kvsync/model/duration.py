"""Durations as people write them in the object: hours, minutes and seconds, such as ``1h30m``."""

from __future__ import annotations

import re

MAX_LENGTH = 16

# Whole units in falling order, each at most once. Six digits a unit keep the value far inside
# what Go's 64-bit durations hold, which the schema's CEL rules compute with.
PATTERN = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"

_DURATION = re.compile(PATTERN)


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``10s``, ``30m`` or ``1h30m``.

    Raises ValueError where the text is not hours, minutes and seconds in that order.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text or len(text) > MAX_LENGTH:
        raise ValueError(f"{text!r} is not a duration: write hours, minutes, seconds, e.g. 1h30m")
    hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def format_duration(seconds: float) -> str:
    """The shortest text that ``parse_duration`` reads back as these whole seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    units = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in units if count) or "0s"
