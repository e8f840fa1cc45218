"""A command with its words: whether it starts an engine, a shell, or parses them once more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, takewhile

from kvsync.core.script.commands import Command
from kvsync.core.script.layers import Layer, Way
from kvsync.core.script.model import Word
from kvsync.core.script.programs import SHELLS, STARTS, TALKERS, WRAPPERS
from kvsync.core.script.syntax import Syntax
from kvsync.core.script.words import Field, Values, scan


@dataclass(frozen=True)  # without slots, which cached properties need
class Call:
    """A command with its words, and how sure its reading is."""

    words: tuple[Word, ...]
    fields: tuple[Field, ...]
    layer: Layer
    inside: str
    span: tuple[int, int]  # in the layer's text
    sound: bool

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The words as the program gets them."""
        return tuple(word.text for word in self.words)

    @property
    def program(self) -> str:
        """The name of the program without its folder; empty where there are no words."""
        return _basename(self.words[0].text) if self.words else ""

    @property
    def end(self) -> int:
        """The place behind the last word, in the script as written."""
        return self.layer.origin_of_end(self.span[1])

    @property
    def talks(self) -> bool:
        """Whether it may name an engine and starts none."""
        return self.program in TALKERS

    @cached_property
    def evaluated(self) -> int:
        """How many words lead up to the arguments of eval; 0 if there is none."""
        wrappers = takewhile(lambda text: text in WRAPPERS, self.texts)
        index = sum(1 for _ in wrappers)
        return index + 1 if self.texts[index : index + 1] == ("eval",) else 0

    @cached_property
    def shell_text(self) -> int:
        """The index of the script that a shell gets by ``-c``; 0 if there is none."""
        shells = (i for i, text in enumerate(self.texts) if _basename(text) in SHELLS)
        return next((_script_index(self.texts, index + 1) for index in shells), 0)

    @cached_property
    def engine(self) -> int:
        """How many words lead up to the engine's own arguments; 0 where no engine is started."""
        if self.layer.way is Way.STRING or self.talks or self.evaluated or self.shell_text:
            return 0
        pairs = enumerate(pairwise(self.texts), start=2)
        return next((i for i, (a, b) in pairs if (_basename(a), b) in STARTS), 0)


def _basename(path: str) -> str:
    return path.rpartition("/")[2]


def _script_index(texts: Sequence[str], start: int) -> int:
    """Where the script of ``sh -c`` stands among words, options of the shell starting at ``start``."""
    runs_text, index = False, start
    while index < len(texts) and texts[index][:1] in ("-", "+"):
        runs_text = runs_text or re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", texts[index]) is not None
        index += 2 if texts[index].endswith("o") else 1  # -o takes a name
    return index if runs_text and index < len(texts) else 0


def call_of(layer: Layer, syntax: Syntax, command: Command, values: Values) -> Call:
    """The command's words, and whether tree-sitter and the shell's quoting rules agree on them."""
    words: list[Word] = []
    fields: list[Field] = []
    spans = command.words(layer.masked)
    sound = not syntax.broken and command.is_closed(layer.masked, spans)
    for start, end in spans:
        found = scan(layer, syntax.opaque, values, start, end)
        sound = sound and found is not None
        fields += found or ()
        words += (_word(layer, start, end, each) for each in found or ())
    targets = (scan(layer, syntax.opaque, values, r.target, r.end) for r in command.redirects)
    sound = sound and None not in targets
    end = spans[-1][1] if spans else command.start
    return Call(tuple(words), tuple(fields), layer, command.inside, (command.start, end), sound)


def _word(layer: Layer, start: int, end: int, each: Field) -> Word:
    origin = layer.origin_of_start(start), layer.origin_of_end(end)
    return Word(each.text, *origin, each.variable, each.literal)
