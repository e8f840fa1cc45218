"""Reading one JSON object field by field: every refusal names the field and the way out."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from kvsync.model.duration import format_duration, parse_duration
from kvsync.model.errors import KvsyncError
from kvsync.model.printable import one_line

_Choice = TypeVar("_Choice", bound=enum.StrEnum)
_LONGEST = 400
"""Characters of a path, and of a problem."""


class SpecError(KvsyncError, ValueError):
    """A field of a KVEventSync holds what it may not; ``field`` is its path from the root."""

    def __init__(self, field: str, problem: str) -> None:
        # Both may quote what an author wrote: a key, a value.
        self.field = one_line(field)[:_LONGEST]
        self.problem = one_line(problem)[:_LONGEST]
        super().__init__(f"{self.field}: {self.problem}")


class Fields:
    """One object of the manifest, read field by field; ``done`` refuses what nobody asked for.

    A field that is absent or null gives the default, as the API server does.
    """

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, Mapping):
            raise SpecError(path, f"must be an object, not {describe(value)}")
        self.path = path
        self._values = value
        self._known: set[str] = set()

    def at(self, name: str) -> str:
        """The path of one field of this object."""
        return f"{self.path}.{name}"

    def get(self, name: str) -> Any:
        """The raw value, None where absent."""
        self._known.add(name)
        return self._values.get(name)

    def child(self, name: str) -> Fields:
        """The object in this field; an empty one where absent."""
        value = self.get(name)
        return Fields({} if value is None else value, self.at(name))

    def boolean(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise SpecError(self.at(name), f"must be true or false, not {describe(value)}")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise SpecError(self.at(name), f"must be a whole number, not {describe(value)}")
        if not least <= value <= most:
            raise SpecError(self.at(name), f"is {value}: choose {least} to {most}")
        return value

    def text(self, name: str, default: str, pattern: re.Pattern[str], hint: str) -> str:
        """A text that matches a pattern; the hint says what to write instead."""
        value = self.get(name)
        return default if value is None else checked_text(self.at(name), value, pattern, hint)

    def duration(self, name: str, default: float, least: float, most: float) -> float:
        """A duration in seconds within bounds (seconds)."""
        value = self.get(name)
        if value is None:
            return default
        try:
            seconds = parse_duration(value) if isinstance(value, str) else None
        except ValueError as error:
            raise SpecError(self.at(name), str(error)) from error
        if seconds is None:
            raise SpecError(self.at(name), f"must be a text such as 30s, not {describe(value)}")
        if not least <= seconds <= most:
            bounds = f"{format_duration(least)} to {format_duration(most)}"
            raise SpecError(self.at(name), f"is {value}: choose {bounds}")
        return seconds

    def choice(self, name: str, default: _Choice) -> _Choice:
        """One value of the default's enum."""
        value = self.get(name)
        if value is None:
            return default
        kind = type(default)
        if not isinstance(value, str) or value not in [item.value for item in kind]:
            allowed = " or ".join(item.value for item in kind)
            shown = value if isinstance(value, str) else describe(value)
            raise SpecError(self.at(name), f"is {shown}: choose {allowed}")
        return kind(value)

    def items(self, name: str, most: int) -> list[Any]:
        """The list in this field; an empty one where absent."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            raise SpecError(self.at(name), f"must be a list, not {describe(value)}")
        if len(value) > most:
            raise SpecError(self.at(name), f"holds {len(value)} entries: at most {most}")
        return list(value)

    def done(self) -> None:
        """Refuse fields that were never asked for."""
        unknown = sorted(str(name) for name in self._values if name not in self._known)
        if unknown:
            known = ", ".join(sorted(self._known))
            raise SpecError(self.at(unknown[0]), f"is not known: this object takes {known}")


def checked_text(path: str, value: Any, pattern: re.Pattern[str], hint: str) -> str:
    """The value where it is a text that fully matches; SpecError with the hint otherwise."""
    if not isinstance(value, str):
        raise SpecError(path, f"must be a text, not {describe(value)}")
    if pattern.fullmatch(value) is None:
        raise SpecError(path, hint)
    return value


def describe(value: Any) -> str:
    """What a JSON value is, in a word or a short quote."""
    names = {type(None): "null", list: "a list", tuple: "a list", dict: "an object"}
    if type(value) in names:
        return names[type(value)]
    quoted = repr(value)
    return quoted if len(quoted) <= 40 else f"{quoted[:37]}..."
