"""What is told of a script: the engines that it starts, their words, and where more can go."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Quoting(enum.StrEnum):
    """How often the value of a variable is parsed before the engine gets it."""

    RAW = "raw"
    """Split at blanks and passed on: ``$NAME``. Not in zsh, which does not split."""
    SHELL = "shell"
    """Parsed by a shell, as if it stood in the script: ``$(NAME)``, ``eval "… $NAME"``."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of an engine's command line, as far as it is known."""

    text: str
    """As the engine gets it: quotes removed, known variables expanded; the rest as written."""
    start: int
    """Where the shell word that it came from starts in the script's text, in characters."""
    end: int
    variable: str
    """The environment variable that it, or the first part of it, came from; empty if none."""
    literal: bool
    """False where some part of it is not known: an unknown variable, ``$(…)``, a glob."""


@dataclass(frozen=True, slots=True)
class ScriptCommand:
    """A command that starts an engine. In an eval or a nested shell, spans are its whole text's."""

    words: tuple[Word, ...]
    end: int
    """Right behind the last word, where a blank and a further word can be inserted."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An environment variable that every vLLM command of the script takes further arguments from."""

    name: str
    quoting: Quoting


@dataclass(frozen=True, slots=True)
class Script:
    """What a script's text tells of the engines that it starts."""

    commands: tuple[ScriptCommand, ...]
    """Every command found that starts an engine, in order, at any nesting."""
    obstacle: str
    """Why no word can be inserted, as a clause behind "because "; empty if one can be."""
    slots: tuple[Slot, ...]
    event_words: tuple[str, ...]
    """The words of any command, or else in any string, that configure KV events."""
