"""How a container starts its engine: the engine's own command line, and where it can be extended."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from kvsync.core.arguments import kv_event_words, program_of
from kvsync.core.engines import Engine
from kvsync.core.script.model import Quoting, Script, ScriptCommand, Slot, Word
from kvsync.core.script.programs import SHELLS
from kvsync.core.script.read import read_script
from kvsync.core.script.slots import carries_arguments
from kvsync.core.slot import (
    SLOT_VARIABLE,
    SLOT_WORD,
    is_neutral,
    variable_obstacle,
    words_obstacle,
)
from kvsync.model.image import parse_image
from kvsync.model.record import Place
from kvsync.model.workload import Container

_RUNS_TEXT = re.compile(r"^-[a-zA-Z]*c[a-zA-Z]*$")
_NAMES_ENGINE = re.compile(r"VLLM|SGLANG|ENGINE")
_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")
_SLOT_USE = re.compile(rf"\$[({{]?{SLOT_VARIABLE}\b")
_LONGEST = 128 * 1024
"""Characters of one argument or variable (Linux, MAX_ARG_STRLEN)."""
_NO_SCRIPT = "its shell runs a script that the manifest does not show"


class Launch(enum.StrEnum):
    """How a container starts, as far as a further argument is concerned."""

    DIRECT = "direct"
    """The words are the engine's own command line: arguments can be appended."""
    SCRIPT = "script"
    """A shell runs a script with one plain command of the engine: it can be extended in the text."""
    SLOT = "slot"
    """One of the engine's words is an environment variable that its owner leaves to us."""
    VARIABLE = "variable"
    """What a shell runs hands an environment variable on to the engine as its arguments."""
    SHELL = "shell"
    """A shell runs what cannot be extended; appended words would become its ``$0``, ``$1``."""
    OTHER = "other"
    """No engine that we know."""


@dataclass(frozen=True, slots=True)
class ScriptText:
    """A shell script among a container's words: the list it stands in, its place there, its text."""

    place: Place
    index: int
    text: str
    shell: str


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of a container's start.

    ``words`` is the engine's command line as far as the manifest tells it; with DIRECT they are the
    container's own words one by one, with SLOT those beside what only keeps the slot's place.
    ``obstacle`` says why a script cannot be extended, or a slot not be used.
    """

    launch: Launch
    words: tuple[str, ...] = ()
    text: ScriptText | None = None
    command: ScriptCommand | None = None
    slot: Slot | None = None
    obstacle: str = ""

    @property
    def is_guess(self) -> bool:
        """Whether only the image speaks for an engine: what its shell runs shows none."""
        return self.launch is Launch.SHELL and not self.words


def start_of(container: Container, engine: Engine) -> Start:
    """How a container starts an engine of this kind, if it does."""
    words = container.words
    if runs_shell(words):
        return _through_shell(container, engine)
    by_image = engine.image_starts_it and not container.command
    if engine.is_started_by(words) or (by_image and _is_image_of(container, engine)):
        return _direct(container, engine)
    return Start(Launch.OTHER)


def assumed_start(container: Container, engine: Engine) -> Start:
    """The same for a container that is known to run the engine, whatever its words say."""
    if runs_shell(container.words):
        return _by_script(container)
    return _direct(container, engine)


def _direct(container: Container, engine: Engine) -> Start:
    if SLOT_WORD in container.words:
        return _by_slot(container, engine)
    slot = _slot_of_entrypoint(container, engine)
    if slot is not None:
        value = container.env(slot.name) or ""
        return Start(Launch.VARIABLE, tuple(value.split()), slot=slot)
    return Start(Launch.DIRECT, _expanded(container))


def _by_slot(container: Container, engine: Engine) -> Start:
    words = container.words
    obstacle = words_obstacle(words, engine.options_end(words)) or variable_obstacle(container)
    neutral = is_neutral(container.env(SLOT_VARIABLE) or "")
    expanded = _expanded(container)
    kept = (e for word, e in zip(words, expanded, strict=True) if word != SLOT_WORD)
    slot = Slot(SLOT_VARIABLE, Quoting.RAW)
    return Start(Launch.SLOT, tuple(kept) if neutral else expanded, slot=slot, obstacle=obstacle)


def _slot_of_entrypoint(container: Container, engine: Engine) -> Slot | None:
    """The variable that an image's own start script takes arguments from, as its manifest shows.

    Only where nothing else is given to the image: then its owner passes arguments by that variable.
    """
    if container.words or parse_image(container.image).basename in engine.upstream_images:
        return None
    names = [name for name in literal_variables(container) if carries_arguments(name)]
    return Slot(names[0], Quoting.RAW) if len(names) == 1 else None


def _expanded(container: Container) -> tuple[str, ...]:
    variables = literal_variables(container)
    return tuple(expand(word, variables) for word in container.words)


def _is_image_of(container: Container, engine: Engine) -> bool:
    return engine.is_image(parse_image(container.image))


def runs_shell(words: tuple[str, ...]) -> bool:
    """Whether a shell starts first, or behind a wrapper (``tini -- bash -c …``)."""
    if words[:1] and _is_shell(words[0]):
        return True
    return any(_is_shell(word) and _RUNS_TEXT.match(option) for word, option in pairwise(words))


def _is_shell(word: str) -> bool:
    return program_of(word) in SHELLS


def _through_shell(container: Container, engine: Engine) -> Start:
    start = _by_script(container)
    mentions = any(engine.image_word in word for word in container.words)
    if _is_image_of(container, engine) or (mentions and (start.words or start.slot)):
        return start
    unseen = start.text is None or _names_start(start.text.text, engine)
    return start if mentions and unseen else Start(Launch.OTHER)


def _names_start(text: str, engine: Engine) -> bool:
    """Whether a text speaks of starting the engine, where no command of it could be read."""
    commands = (rf"{re.escape(a)}\s+{re.escape(b)}" for a, b in engine.commands)
    modules = (re.escape(module) for module in engine.modules)
    return re.search("|".join((*commands, *modules)), text) is not None


def _by_script(container: Container) -> Start:
    text = _script_of(container)
    if text is None:
        return Start(Launch.SHELL, obstacle=_NO_SCRIPT)
    script = _read(text.text, tuple(literal_variables(container).items()))
    if _SLOT_USE.search(text.text):
        return _by_slot_of_script(container, text, script)
    words = _words_of(script)
    if not script.obstacle:
        return Start(Launch.SCRIPT, words, text=text, command=script.commands[0])
    usable = [slot for slot in script.slots if _takes(container, text, slot)]
    if not script.commands:  # other programs take arguments by variables too
        usable = [slot for slot in usable if _NAMES_ENGINE.search(slot.name)]
    if len(usable) == 1 and (words or not script.commands):
        value = container.env(usable[0].name) or ""
        known = words or tuple(value.split())
        return Start(Launch.VARIABLE, known, text=text, slot=usable[0], obstacle=script.obstacle)
    return Start(Launch.SHELL, words, text=text, obstacle=_obstacle(script))


def _by_slot_of_script(container: Container, text: ScriptText, script: Script) -> Start:
    obstacle = variable_obstacle(container)
    slot = next((each for each in script.slots if each.name == SLOT_VARIABLE), None)
    if slot is None or not script.commands or not _takes(container, text, slot):
        obstacle = obstacle or "the script does not hand it on to each engine as one word"
    value = container.env(SLOT_VARIABLE) or ""
    lines = [
        tuple(w.text for w in command.words if not _keeps_place(w, value))
        for command in script.commands
    ]
    words = next((line for line in lines if kv_event_words(line)), (*lines, ())[0])
    return Start(
        Launch.SLOT,
        words,
        text=text,
        slot=slot or Slot(SLOT_VARIABLE, Quoting.RAW),
        obstacle=obstacle,
    )


def _keeps_place(word: Word, value: str) -> bool:
    """Whether a word is all that a slot's value makes, and turns nothing on."""
    return is_neutral(value) and word.variable == SLOT_VARIABLE and word.text == value


def _obstacle(script: Script) -> str:
    names = ", ".join(slot.name for slot in script.slots if script.commands)
    unusable = f", and {names} cannot be written: its value comes from elsewhere" if names else ""
    return script.obstacle + unusable


@lru_cache(maxsize=256)
def _read(text: str, variables: tuple[tuple[str, str], ...]) -> Script:
    # About a millisecond, for the same few scripts in every pass.
    return read_script(text, dict(variables))


def _words_of(script: Script) -> tuple[str, ...]:
    """The engine's command line; none where several commands configure events differently."""
    lines = [tuple(word.text for word in command.words) for command in script.commands]
    if not lines:
        return script.event_words
    alike = len({kv_event_words(line) for line in lines}) == 1
    return lines[0] if alike else ()


def _takes(container: Container, text: ScriptText, slot: Slot) -> bool:
    """Whether a variable can be written: it has a value of its own, or does not exist yet.

    zsh, other than the rest, hands a variable on as one word. What envFrom brings is not shown by
    the manifest, and would be hidden by a variable of the same name.
    """
    if text.shell == "zsh" and slot.quoting is Quoting.RAW:
        return False
    items = [item for item in container.body.get("env") or () if item.get("name") == slot.name]
    return "valueFrom" not in items[-1] if items else not container.body.get("envFrom")


def _script_of(container: Container) -> ScriptText | None:
    """The text behind a shell's ``-c``; None where the shell runs something else."""
    words = container.words
    shell = next((i for i, word in enumerate(words) if _is_shell(word)), len(words))
    for index in range(shell + 1, len(words) - 1):
        if _RUNS_TEXT.match(words[index]):
            return _at(container, index + 1, program_of(words[shell]))
    return None


def _at(container: Container, index: int, shell: str) -> ScriptText:
    head, text = len(container.command), container.words[index]
    if index < head:
        return ScriptText(Place.COMMAND, index, text, shell)
    return ScriptText(Place.ARGS, index - head, text, shell)


def literal_variables(container: Container) -> dict[str, str]:
    """The environment's plain values; those that refer to other objects are not among them.

    A value may use the variables before it, as in Kubernetes (EnvVar.value). One that grows beyond
    what an argument may hold is left out: twenty that each use the one before twice are 2^20 long.
    """
    variables: dict[str, str] = {}
    for item in container.body.get("env") or ():
        name, value = str(item.get("name", "")), str(item.get("value") or "")
        variables.pop(name, None)
        if "valueFrom" in item or len(value) > _LONGEST:
            continue
        expanded = expand(value, variables)
        if len(expanded) <= _LONGEST:
            variables[name] = expanded
    return variables


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with ``$(NAME)`` replaced where the variable is known and ``$$`` taken for ``$``.

    Source: Kubernetes, ``third_party/forked/golang/expansion``.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else variables.get(name, match[0])

    return _REFERENCE.sub(value, text)
