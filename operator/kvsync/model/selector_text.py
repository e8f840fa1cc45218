"""Label selectors in one line, as ``kubectl -l`` takes them (apimachinery's pkg/labels/selector.go)."""

from __future__ import annotations

import re

from kvsync.model.selector import (
    LABEL_KEY,
    LABEL_VALUE,
    MAX_EXPRESSIONS,
    MAX_VALUES,
    LabelSelector,
    Operator,
    Requirement,
)

_COMMA = re.compile(r",(?![^()]*\))")
"""A comma that stands in no parentheses."""
_COMPARED = re.compile(r"([^\s!=(),]+)\s*(==|=|!=)\s*([^\s!=(),]*)")
_LISTED = re.compile(r"([^\s!=(),]+)\s+(in|notin)\s*\(([^()]*)\)")
_NAMED = re.compile(r"(!?)\s*([^\s!=(),]+)")


def parse_selector(text: str) -> LabelSelector:
    """The selector, its requirements sorted so that equal ones are equal.

    Raises:
        ValueError: it cannot be read, says nothing, or asks for what selectors of objects cannot do.
    """
    parts = [part.strip() for part in _COMMA.split(text)]
    if len(parts) > MAX_EXPRESSIONS:
        raise ValueError(f"it has {len(parts)} requirements: at most {MAX_EXPRESSIONS}")
    return LabelSelector((), tuple(sorted(map(_requirement, parts), key=_order)))


def selector_text(selector: LabelSelector) -> str:
    """The same in one line; `parse_selector` reads it."""
    labels = (f"{key}={value}" for key, value in selector.match_labels)
    return ",".join((*labels, *map(_words, selector.match_expressions)))


def _requirement(part: str) -> Requirement:
    if found := _COMPARED.fullmatch(part):
        key, sign, value = found.groups()
        operator = Operator.NOT_IN if sign == "!=" else Operator.IN
        return Requirement(_key(key), operator, (_value(value),))
    if found := _LISTED.fullmatch(part):
        key, word, text = found.groups()
        values = sorted({_value(value.strip()) for value in text.split(",")})
        if len(values) > MAX_VALUES:
            raise ValueError(f"{key} has {len(values)} values: at most {MAX_VALUES}")
        return Requirement(
            _key(key), Operator.IN if word == "in" else Operator.NOT_IN, tuple(values)
        )
    if found := _NAMED.fullmatch(part):
        absent, key = found.groups()
        return Requirement(_key(key), Operator.DOES_NOT_EXIST if absent else Operator.EXISTS)
    raise ValueError(
        f"{part!r} is none of KEY=VALUE, KEY!=VALUE, KEY in (VALUE, …), KEY notin (VALUE, …), "
        "KEY and !KEY"
    )


def _key(text: str) -> str:
    if not LABEL_KEY.match(text):
        raise ValueError(f"{text!r} is no label key")
    return text


def _value(text: str) -> str:
    if not LABEL_VALUE.match(text):
        raise ValueError(f"{text!r} is no label value")
    return text


def _order(requirement: Requirement) -> tuple[str, str, tuple[str, ...]]:
    return requirement.key, requirement.operator, requirement.values


def _words(requirement: Requirement) -> str:
    key, values = requirement.key, requirement.values
    match requirement.operator:
        case Operator.EXISTS:
            return key
        case Operator.DOES_NOT_EXIST:
            return f"!{key}"
        case Operator.IN:
            return f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({','.join(values)})"
        case Operator.NOT_IN:
            return (
                f"{key}!={values[0]}" if len(values) == 1 else f"{key} notin ({','.join(values)})"
            )
