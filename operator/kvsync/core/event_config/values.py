"""What the arguments about KV events say, taken together."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kvsync.core.event_config.arguments import CONFIG, DISABLE, FLAG_KEYS, UNKNOWN, Given
from kvsync.core.event_config.keys import SHOWN, UnreadableError, checked, named, shown
from kvsync.core.event_config.model import Spelling

_LONGEST = 16_384
"""A longer configuration is not read: a real one has some 200 characters."""

_HUMAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT])")
_STRING_OR_HUMAN = re.compile(r'"(?:[^"\\]|\\.)*"?|\b' + _HUMAN.pattern + r"\b", re.DOTALL)

# The kubelet puts a value for $(NAME), a shell for ${NAME}; JSON can hide a $ in an escape.
_REFERENCE = re.compile(r"\$[({]|\\u0024|\$\\u00(28|7b)", re.IGNORECASE)


def settings_in(
    given: Sequence[Given], words: Sequence[str], known: Collection[str]
) -> dict[str, Any]:
    """The keys that the arguments give, with their values as the engine takes them.

    Args:
        given: the arguments.
        words: the words that hold them.
        known: the keys that are no mistake.

    Raises:
        UnreadableError: they cannot be understood.
    """
    for argument in given:
        _check_form(argument)
    if sum(map(len, words)) > _LONGEST:
        raise UnreadableError(f"it is longer than {_LONGEST} characters")
    # The kubelet makes $ of $$: nothing is put in its place.
    if any(_REFERENCE.search(word.replace("$$", " ")) for word in words):
        raise UnreadableError("it depends on a variable ($(NAME) or ${NAME})")
    flags = [argument for argument in given if argument.spelling is Spelling.FLAGS]
    if flags:
        if len(flags) < len(given):
            raise UnreadableError(f"it mixes --{CONFIG} with --{flags[0].flag}: no engine has both")
        return checked({FLAG_KEYS[a.flag]: _flag_value(a) for a in flags}, known)
    return _union(given, known)


def _check_form(argument: Given) -> None:
    spelled = f"--{argument.spelled}"[:SHOWN]
    if argument.flag == UNKNOWN:
        raise UnreadableError(f"{shown(spelled)} names no flag of the engine, or several")
    if argument.key is not None and argument.flag != CONFIG:
        raise UnreadableError(f"{spelled} takes no keys behind a dot")
    if argument.value is None:
        raise UnreadableError(f"{spelled} has no value")


def _flag_value(argument: Given) -> Any:
    return "false" if argument.flag == DISABLE else argument.value


def _union(given: Sequence[Given], known: Collection[str]) -> dict[str, Any]:
    """The last JSON and the dotted keys; a JSON before the last must still pass the parser."""
    wholes = [checked(_object(a.value or ""), known) for a in given if a.key is None]
    groups: dict[str, dict[str, Any]] = {}
    for argument in given:
        if argument.key is not None:
            values = groups.setdefault(argument.spelled, {})
            values[_single(argument.key)] = _dotted_value(argument.value or "")
    union: dict[str, Any] = {}
    for piece in (*wholes[-1:], *(checked(values, known) for values in groups.values())):
        for key, value in piece.items():
            if union.setdefault(key, value) != value:
                both = f"{shown(union[key])} and {shown(value)}"
                raise UnreadableError(f"it gives {named(key)} two values: {both}")
    return union


def _single(key: str) -> str:
    single = key.partition(".")[0].removesuffix("+")
    if single != key:
        raise UnreadableError(f"{named(single)} is given as a list or an object")
    return key


def _object(text: str) -> Mapping[str, Any]:
    if text in ("", "None"):  # what argparse's type of an optional setting takes for None
        return {}
    try:
        value = json.loads(_STRING_OR_HUMAN.sub(_expanded, text))
    except RecursionError:
        raise UnreadableError("its JSON is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"its JSON is broken ({error})") from None
    if not isinstance(value, dict):
        raise UnreadableError(f"its JSON is no object but {shown(value)}")
    return value


def _expanded(match: re.Match[str]) -> str:
    """A bare ``10k`` as a number, which vLLM's newer releases (pull request 40473) make of it."""
    return match[0] if match[0].startswith('"') else str(_human(match[0]))


def _dotted_value(text: str) -> Any:
    """JSON if it is some, else a number such as ``10k``, else text."""
    try:
        return json.loads(text)
    except RecursionError:
        raise UnreadableError("a value in it is nested too deeply") from None
    except ValueError:
        pass
    try:
        return _human(text)
    except (ValueError, OverflowError):
        return text


def _human(text: str) -> int:
    """A whole number, also with a unit: small letters count in thousands, capitals in 1024s."""
    match = _HUMAN.fullmatch(text.strip())
    if match is None:
        return int(text)
    number, unit = match.groups()
    power = "kmgt".index(unit.lower()) + 1
    return int(float(number) * 1000**power) if unit.islower() else int(number) * 1024**power
