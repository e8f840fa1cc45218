"""The keys of a KV event configuration, and what the engine takes for each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_WHOLE = re.compile(r"\s*[+-]?[0-9]+(_[0-9]+)*(\.0+)?\s*")
SHOWN = 80
"""Characters of a value that a sentence quotes."""


class UnreadableError(ValueError):
    """The rest of a sentence that says what cannot be understood."""


_Reader = Callable[[Any], Any]


def _switch(value: Any) -> bool:
    folded = value.lower() if isinstance(value, str) else value
    if isinstance(folded, int | float) and folded in (0, 1):
        return bool(folded)
    if folded in (*TRUE, *FALSE):
        return folded in TRUE
    raise ValueError("true or false")


def _number(lowest: int, highest: int) -> _Reader:
    def read(value: Any) -> int:
        number = lowest - 1
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            number = int(value)
        elif isinstance(value, str) and _WHOLE.fullmatch(value):
            number = _int_of(value.partition(".")[0], number)
        if not lowest <= number <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return number

    return read


def _int_of(text: str, otherwise: int) -> int:
    try:
        return int(text)
    except ValueError:  # Python reads no more than 4300 digits
        return otherwise


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text in quotes")  # noqa: TRY004 - one kind of error for all readers
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("text that is valid Unicode") from None
    return value


def _text_or_null(value: Any) -> str | None:
    return None if value is None else _text(value)


READERS: Mapping[str, _Reader] = {
    "enable_kv_cache_events": _switch,
    "publisher": _text,
    "endpoint": _text,
    "replay_endpoint": _text_or_null,
    # Bounds of what holds them: deque(maxlen), ZMQ's 32-bit option, Queue (0 and less: no bound).
    "buffer_steps": _number(0, 2**63 - 1),
    "hwm": _number(0, 2**31 - 1),
    "max_queue_size": _number(-(2**63), 2**63 - 1),
    "topic": _text,
}

DEFAULTS: Mapping[str, Any] = {
    "enable_kv_cache_events": False,
    "endpoint": "tcp://*:5557",
    "replay_endpoint": None,
    "buffer_steps": 10000,
    "hwm": 100000,
    "max_queue_size": 100000,
    "topic": "",
}
"""What the engine does where a key is not given; the publisher differs by release."""


def checked(values: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The values as the engine takes them.

    Raises:
        UnreadableError: a key is none of the known, or the engine would not take its value.
    """
    taken = {}
    for key, value in values.items():
        if key not in known:
            meant = key.replace("-", "_")
            hint = f" (it is written {meant})" if meant in known else ""
            raise UnreadableError(f"{named(key)} is no key of it{hint}")
        try:
            taken[key] = READERS[key](value) if key in READERS else value
        except ValueError as error:
            raise UnreadableError(f"{key} must be {error}, not {shown(value)}") from None
    return taken


def named(key: str) -> str:
    """The key as a sentence can hold it: as it is, if it is the engine's."""
    return key if key in READERS else shown(key)


def shown(value: Any) -> str:
    """The value as a sentence can hold it: as JSON, and not too long."""
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of many digits"
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
