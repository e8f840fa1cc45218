"""What is found of KV events on a command line, and what comes of it together with ours."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsync.model.reasons import ModelReason


class Spelling(enum.StrEnum):
    """How a command line gives the configuration."""

    JSON = "JSON"
    """``--kv-events-config`` with a JSON object."""
    DOTTED = "dotted"
    """``--kv-events-config.topic x`` (pull requests 18208 and, for underscores in keys, 19030)."""
    FLAGS = "flags"
    """``--enable-kv-cache-events`` and the other two of the product text."""


@dataclass(frozen=True, slots=True)
class Found:
    """A configuration on a command line.

    ``spans`` are the ranges ``[start, end)`` of the words that hold it, in order, neighbours joined.
    ``settings`` are the keys that the owner gave, as meant: the last JSON, dotted keys on top, values
    as the engine takes them (``"yes"`` is true); empty where there is a problem. The flags count under
    the JSON's keys. ``count`` is how many times JSON was given. ``partly_read`` says that the engine
    drops some of it. ``text`` quotes the words, ``problem`` says what cannot be understood: the rest
    of a sentence, empty if all can.
    """

    spans: tuple[tuple[int, int], ...]
    settings: Mapping[str, Any]
    spellings: frozenset[Spelling]
    count: int
    partly_read: bool
    text: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """What the owner's configuration and ours come to.

    ``settings`` is complete, in our order. ``words`` go where the found ones stand; none if those are
    right as they are. ``notes`` say what of the owner's is changed or completed, ``kept`` names the
    keys of the owner's that differ from ours and stay.
    """

    settings: Mapping[str, Any]
    words: tuple[str, ...]
    notes: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why the two cannot be merged without breaking something, and what to do: a sentence each."""

    reason: ModelReason
    message: str
    remedy: str
