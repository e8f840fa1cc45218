"""Environment variables that a script hands on to the engine as its arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import islice

from kvsync.core.script.budget import Budget
from kvsync.core.script.calls import Call
from kvsync.core.script.layers import Way
from kvsync.core.script.model import Quoting, Slot
from kvsync.core.script.nesting import Reading, read_layers
from kvsync.core.script.obstacles import unknown_program
from kvsync.core.script.write import PROBE, fill_slot
from kvsync.core.slot import SLOT_VARIABLE

_SLOT_NAME = re.compile(
    r"(?!(?:.*_)?(?:APT|CURL|LD|NUMACTL|PIP|RAY|SSH|TORCHRUN|UV)_)"
    r"(?=.*(?:VLLM|SGLANG|ENGINE|MODEL|EXTRA|ADDITIONAL))"
    r"[A-Z_][A-Z0-9_]*(?:ARGS|ARGUMENTS|OPTS|OPTIONS|FLAGS)"
)

_SLOT_USE = re.compile(r"\$[({]?([A-Z_][A-Z0-9_]*)")
_STAND_IN = "--kvsync-stand-in"
_MAX_SLOTS = 8


def carries_arguments(name: str) -> bool:
    """Whether an environment variable's name says that it holds an engine's further arguments."""
    return _SLOT_NAME.fullmatch(name) is not None


def find_slots(text: str, known: Mapping[str, str], budget: Budget) -> Iterator[Slot]:
    """Fill each variable that could be one, in either quoting, and look where the word comes out."""
    used = dict.fromkeys(match.group(1) for match in _SLOT_USE.finditer(text))
    names = [name for name in used if name == SLOT_VARIABLE or carries_arguments(name)]
    names.sort(key=lambda name: name != SLOT_VARIABLE)
    for name in names[:_MAX_SLOTS]:
        read_with = cache(
            lambda value, name=name: read_layers(text, {**known, name: value}, budget)
        )
        slots = (Slot(name, quoting) for quoting in Quoting)
        feeding = (slot for slot in slots if _feeds(slot, known.get(name, ""), read_with))
        yield from islice(feeding, 1)


def _feeds(slot: Slot, value: str, read_with: Callable[[str], Reading]) -> bool:
    """Whether an argument behind the variable's value becomes one of the engine's, and one alone."""
    alone = (_STAND_IN, fill_slot(slot, "", PROBE) or "")
    if slot.name == SLOT_VARIABLE:  # its value is replaced
        return _is_fed(*map(read_with, alone))
    behind = (value, fill_slot(slot, value, PROBE) or "")
    return all(_is_fed(read_with(old), read_with(new)) for old, new in (behind, alone))


def _is_fed(before: Reading, after: Reading) -> bool:
    """Whether the probe reaches every engine; where no command is one, any command."""
    engines = bool(before.engines)
    old = before.engines if engines else _ordinary(before)
    new = after.engines if engines else _ordinary(after)
    if before.broken or after.broken or len(old) != len(new):
        return False
    gained = [_has_gained(*pair) for pair in zip(old, new, strict=True)]
    if not engines:
        return any(gained)
    return all(gained) and not any(unknown_program(after, call) for call in new)


def _ordinary(reading: Reading) -> list[Call]:
    calls = (call for call in reading.calls if call.layer.way is not Way.STRING)
    return [c for c in calls if not (c.evaluated or c.shell_text or c.talks)]


def _has_gained(before: Call, after: Call) -> bool:
    """Whether the words are the old ones and the probe, among the engine's options."""
    texts = after.texts
    if not after.sound or texts.count(PROBE) != 1:
        return False
    place = texts.index(PROBE)
    rest = texts[:place] + texts[place + 1 :]
    others = tuple(word for word in before.texts if word != _STAND_IN)
    is_option = place >= after.engine and "--" not in texts[after.engine : place]
    return is_option and rest == others and after.words[place].literal
