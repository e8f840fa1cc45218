"""``--kv-events-config``: its eight keys, and the refusals a release answers bad values with.

Follows ``vllm/config/kv_events.py`` and pydantic's lax mode. Every release is as strict here as
0.32 was seen to be; early ones may have let unknown keys pass.
"""

import json
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.engine.versions import Version

PUBLISHER_CHECKED_SINCE = Version(0, 11, 1)
_HELP = "https://errors.pydantic.dev/2.12/v/"
Readers = Mapping[str, Callable[[Any], Any]]
"""How the value of each key is taken."""

_TRUE = frozenset((True, 1, "1", "true", "t", "yes", "y", "on"))
_FALSE = frozenset((False, 0, "0", "false", "f", "no", "n", "off"))


@dataclass(frozen=True, slots=True)
class EventsConfig:
    """KV event settings as the engine resolved them; ports are those of rank 0."""

    enable_kv_cache_events: bool = False
    publisher: str = "null"
    endpoint: str = "tcp://*:5557"
    replay_endpoint: str | None = None
    buffer_steps: int = 10_000
    hwm: int = 100_000
    max_queue_size: int = 100_000
    topic: str = ""


class _RefusedError(Exception):
    """A value that pydantic refuses: its error type and text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def parse(text: str, version: Version) -> EventsConfig:
    """The settings in a JSON text; raises ArgumentTypeError with pydantic's words."""
    readers = READERS | {"publisher": _publisher_reader(version)}
    accepted = read_values(text, readers)
    return EventsConfig(**_default_publisher(version, accepted) | accepted)


def read_values(text: str, readers: Readers, *, strict: bool = True) -> dict[str, Any]:
    """The values in a JSON text as pydantic takes them; raises ArgumentTypeError in its words.

    A key without a reader is refused if ``strict``, else passed over.
    """
    values = _load(text)
    complaints, accepted = [], {}
    for key in sorted(values, key=lambda name: name not in readers):
        if key not in readers and not strict:
            continue
        try:
            accepted[key] = readers.get(key, _unexpected)(values[key])
        except _RefusedError as refused:
            complaints.append(_complaint(key, refused, values[key]))
    if complaints:
        raise _invalid(complaints)
    return accepted


def _load(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        refused = _RefusedError("json_invalid", f"Invalid JSON: {error}")
        raise _invalid([_complaint("", refused, text)]) from None
    if not isinstance(values, dict):
        refused = _RefusedError("dataclass_type", "Input should be an object")
        raise _invalid([_complaint("", refused, values)])
    return values


def _default_publisher(version: Version, accepted: dict[str, Any]) -> dict[str, str]:
    if version < PUBLISHER_CHECKED_SINCE:
        return {"publisher": "null"}
    return {"publisher": "zmq" if accepted.get("enable_kv_cache_events") else "null"}


def _bool(value: Any) -> bool:
    folded = value.lower() if isinstance(value, str) else value
    try:
        if folded in _TRUE or folded in _FALSE:
            return folded in _TRUE
    except TypeError:
        raise _RefusedError("bool_type", "Input should be a valid boolean") from None
    raise _RefusedError(
        "bool_parsing", "Input should be a valid boolean, unable to interpret input"
    )


def _int(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        text = "Input should be a valid integer, got a number with a fractional part"
        raise _RefusedError("int_from_float", text)
    if not isinstance(value, int | float | str):
        raise _RefusedError("int_type", "Input should be a valid integer")
    try:
        return int(value)
    except ValueError:
        text = "Input should be a valid integer, unable to parse string as an integer"
        raise _RefusedError("int_parsing", text) from None


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise _RefusedError("string_type", "Input should be a valid string")
    return value


def _optional_str(value: Any) -> str | None:
    return None if value is None else _str(value)


def _publisher_reader(version: Version) -> Callable[[Any], Any]:
    return _str if version < PUBLISHER_CHECKED_SINCE else _publisher


def _publisher(value: Any) -> str:
    if value not in ("null", "zmq"):
        raise _RefusedError("literal_error", "Input should be 'null' or 'zmq'")
    return str(value)


def _unexpected(_value: Any) -> Any:
    raise _RefusedError("unexpected_keyword_argument", "Unexpected keyword argument")


def optional_bool(value: Any) -> bool | None:
    """True, false, a word for either, or null."""
    return None if value is None else _bool(value)


READERS: dict[str, Callable[[Any], Any]] = {
    "enable_kv_cache_events": _bool,
    "publisher": _publisher,
    "endpoint": _str,
    "replay_endpoint": _optional_str,
    "buffer_steps": _int,
    "hwm": _int,
    "max_queue_size": _int,
    "topic": _str,
}


def _complaint(key: str, refused: _RefusedError, value: Any) -> str:
    where = f"{key}\n  " if key else "  "
    got = f"input_value={value!r}, input_type={type(value).__name__}"
    return (
        f"{where}{refused} [type={refused.kind}, {got}]\n"
        f"    For further information visit {_HELP}{refused.kind}"
    )


def _invalid(complaints: list[str]) -> ArgumentTypeError:
    count = len(complaints)
    heading = f"{count} validation error{'s' if count > 1 else ''} for KVEventsConfig"
    return ArgumentTypeError("\n".join([heading, *complaints]))
