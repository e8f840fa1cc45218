"""A script's text, read: the engines that it starts, and where a further argument can go."""

from __future__ import annotations

from collections.abc import Mapping

from kvsync.core.script.budget import MAX_LENGTH, Budget
from kvsync.core.script.events import event_words, flags_in
from kvsync.core.script.model import Script, ScriptCommand
from kvsync.core.script.nesting import read_layers
from kvsync.core.script.obstacles import misplaced, obstacle_to
from kvsync.core.script.pasting import pasted
from kvsync.core.script.slots import find_slots


def read_script(text: str, variables: Mapping[str, str]) -> Script:
    """Read a script; any text gives an answer, in bounded time.

    Args:
        text: the argument of ``sh -c``, as the manifest has it.
        variables: the container's literal environment, values as the container gets them. Names
            whose values come from elsewhere (``valueFrom``) are left out.
    """
    known = {name: value for name, value in variables.items() if len(value) <= MAX_LENGTH}
    budget = Budget()
    if len(text) > MAX_LENGTH or sum(len(each.text) for each in pasted(text, known)) > MAX_LENGTH:
        return Script((), f"it is longer than {MAX_LENGTH // 1024} KiB", (), flags_in(text))
    reading = read_layers(text, known, budget)
    commands = tuple(ScriptCommand(call.words, call.end) for call in reading.engines)
    obstacle = obstacle_to(reading) or misplaced(text, commands[0], known, budget)
    slots = () if reading.broken else tuple(find_slots(text, known, budget))
    return Script(commands, obstacle, slots, event_words(reading.calls, reading.text_without()))
