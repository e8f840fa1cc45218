"""What stands in the way of one more word in a script's text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kvsync.core.script.budget import Budget
from kvsync.core.script.calls import Call
from kvsync.core.script.model import ScriptCommand
from kvsync.core.script.nesting import Reading, read_layers
from kvsync.core.script.programs import MENTION, WRAPPERS
from kvsync.core.script.write import PROBE, insert_word

_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_PYTHON_VARIABLE = re.compile(r"\$\{?\w*PY")


def obstacle_to(reading: Reading) -> str:
    """Why no word can be inserted; empty where there is exactly one plain command."""
    engines = reading.engines
    if reading.broken:
        return "it cannot be parsed"
    if not engines:
        return "no command of the engine stands in it"
    if len(engines) > 1:
        return f"it starts the engine in {len(engines)} places"
    return next(filter(None, (check(reading, engines[0]) for check in _CHECKS)), "")


def _nested(_: Reading, call: Call) -> str:
    return f"it starts the engine through {call.layer.way}" if call.layer.depth else ""


def _enclosed(_: Reading, call: Call) -> str:
    return f"the engine is started inside of {call.inside}" if call.inside else ""


def _unsound(_: Reading, call: Call) -> str:
    return "" if call.sound else "the words of the command cannot be told apart"


def unknown_program(_: Reading, call: Call) -> str:
    """A program that is not known may do anything with the last word of its command line."""
    first = call.words[0].text
    python = _PYTHON.fullmatch(call.program) or (call.engine == 3 and _PYTHON_VARIABLE.match(first))
    if call.engine == 2 or python or call.program in WRAPPERS:
        return ""
    return f"it starts the engine through {_short(first)}"


def _function(reading: Reading, call: Call) -> str:
    shadowed = call.program in reading.functions
    return f"{_short(call.program)} is a function of the script" if shadowed else ""


def _ended(_: Reading, call: Call) -> str:
    ended = "--" in call.texts[call.engine :]
    return "the options of the command end with --" if ended else ""


def _open_end(_: Reading, call: Call) -> str:
    """Text that Kubernetes pastes in may end the command, by a newline at its own end already."""
    name = call.layer.variable_across(call.span[1])
    if name:
        return f"the command ends inside of $({_short(name)})"
    pasted = call.layer.unknown_before(call.span[1])
    return f"it is not known what {_short(pasted)}, its last word, stands for" if pasted else ""


def _mentioned(reading: Reading, call: Call) -> str:
    """The engine's name in a string or a here-document may be run by means that are not seen."""
    talk = (each.span for each in reading.calls if each.talks and not each.layer.depth)
    rest = reading.text_without(call.span, *talk)
    return "it names the engine in another place too" if MENTION.search(rest) else ""


_CHECKS: tuple[Callable[[Reading, Call], str], ...] = (
    _nested,
    _enclosed,
    _unsound,
    unknown_program,
    _function,
    _ended,
    _open_end,
    _mentioned,
)


def _short(text: str) -> str:
    """The text as a sentence can hold it."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in text[:40])
    return shown if len(text) <= 40 else f"{shown}…"


def misplaced(text: str, command: ScriptCommand, known: Mapping[str, str], budget: Budget) -> str:
    """Read the script with a word inserted: it must have become the command's last one."""
    after = read_layers(insert_word(text, command, PROBE), known, budget)
    words = [*(word.text for word in command.words), PROBE]
    placed = [list(call.texts) for call in after.engines] == [words] and not obstacle_to(after)
    return "" if placed else "a further word would not become its last one"
