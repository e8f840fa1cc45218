"""One more word written: into a script's text, or into the value of a slot."""

from __future__ import annotations

import re
import shlex

from kvsync.core.script.model import Quoting, ScriptCommand, Slot
from kvsync.core.script.pasting import unpasted

# Shaped like the real thing, so that it breaks wherever that would.
PROBE = '--kvsync-probe={"a":true,"b":"tcp://*:5557","c":""}'


def insert_word(text: str, command: ScriptCommand, word: str) -> str:
    """The script's text with one more word behind the command's last one."""
    before, after = text[: command.end], text[command.end :]
    # A number right before a redirection would name a file descriptor.
    glue = " " if after.startswith(("<", ">")) else ""
    return f"{before} {unpasted(quote_word(word))}{glue}{after}"


def fill_slot(slot: Slot, value: str, word: str) -> str | None:
    """The slot's value with one more argument; None where it cannot carry the word.

    Args:
        slot: the slot.
        value: what the manifest has as the variable's value; empty if it is not set.
        word: the argument.
    """
    if slot.quoting is Quoting.RAW and (not word or re.search(r"\s", word)):
        return None
    quoted = word if slot.quoting is Quoting.RAW else quote_word(word)
    return f"{value} {unpasted(quoted)}" if value.strip() else unpasted(quoted)


def quote_word(word: str) -> str:
    """The word as a shell's text has to write it."""
    return shlex.quote(word)
