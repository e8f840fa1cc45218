"""A script and the texts nested in it, which evals and shells of their own parse once more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kvsync.core.script.budget import Budget
from kvsync.core.script.calls import Call, call_of
from kvsync.core.script.commands import Span
from kvsync.core.script.events import EVENT_FLAG
from kvsync.core.script.layers import Layer, Piece, Way
from kvsync.core.script.pasting import pasted
from kvsync.core.script.syntax import Syntax, survey
from kvsync.core.script.words import Field, Values, scan

_MAX_LAYERS = 32
_MAX_DEPTH = 4


@dataclass(slots=True)
class Reading:
    """All that was found in a script, over all of its layers."""

    top: Layer
    assigned: set[str]
    calls: list[Call] = field(default_factory=list)
    engines: list[Call] = field(default_factory=list)
    comments: list[Span] = field(default_factory=list)  # of the top layer
    functions: set[str] = field(default_factory=set)
    broken: bool = False
    late: bool = False
    """Whether a nested text assigns a variable that may have been taken for the container's."""

    def text_without(self, *spans: Span) -> str:
        """The script's text without comments and these spans, and nothing joined by that."""
        kept, position = [], 0
        for start, end in sorted([*self.comments, *spans]):
            kept.append(self.top.text[position:start])
            position = max(position, end)
        return "\0".join([*kept, self.top.text[position:]])


def read_layers(text: str, known: Mapping[str, str], budget: Budget) -> Reading:
    """Read until it is clear which variables are the script's own."""
    reading = _read_once(text, known, set(), budget)
    for _ in range(_MAX_DEPTH):
        if not reading.late:
            break
        reading = _read_once(text, known, reading.assigned, budget)
    reading.broken = reading.broken or reading.late
    return reading


def _read_once(text: str, known: Mapping[str, str], assigned: set[str], budget: Budget) -> Reading:
    reading = Reading(Layer(pasted(text, known)), assigned)
    shell_options = reading.top.text + known.get("BASHOPTS", "")
    odd_globs = re.search(r"nullglob|failglob", shell_options) is not None
    queue, count = [reading.top], 0
    while queue and count < _MAX_LAYERS:
        layer, count = queue.pop(), count + 1
        syntax = survey(layer.masked, budget)
        _note(reading, layer, syntax)
        values = Values(known, frozenset(reading.assigned), odd_globs, budget)
        calls = [call_of(layer, syntax, each, values) for each in syntax.commands]
        reading.calls += calls
        if layer.depth < _MAX_DEPTH:
            queue += (inner for call in calls for inner in _inner_layers(call))
            queue += _strings(layer, syntax, values)
    engines = (call for call in reading.calls if call.engine)
    reading.engines = sorted(engines, key=lambda call: call.words[0].start)
    return reading


def _note(reading: Reading, layer: Layer, syntax: Syntax) -> None:
    if layer is reading.top:
        reading.comments = syntax.comments
        reading.broken = syntax.broken
    if layer.way is not Way.STRING:
        reading.late = reading.late or (layer.depth > 0 and not syntax.assigned <= reading.assigned)
        reading.assigned |= syntax.assigned
        reading.functions |= syntax.functions


def _inner_layers(call: Call) -> Iterator[Layer]:
    """The texts that a command has parsed once more, and those that speak of KV events."""
    if call.evaluated:
        yield _inner(call, range(call.evaluated, len(call.words)), Way.EVAL)
    elif call.shell_text:
        yield _inner(call, [call.shell_text], Way.SHELL)
    for index, text in enumerate(call.texts):
        match = EVENT_FLAG.search(text)
        told = call.evaluated or index == call.shell_text > 0
        if match and match.start() > 0 and re.search(r"\s", text) and not told:
            yield _inner(call, [index], Way.STRING)


def _inner(call: Call, indexes: Sequence[int], way: Way) -> Layer:
    """The words, joined by blanks as eval does, as a text of their own."""
    pieces: list[Piece] = []
    for index in indexes:
        word = call.words[index]
        start = pieces[-1].end if pieces else word.start
        pieces += [Piece(" ", start, start)] if pieces else []
        pieces += _pieces(call.fields[index], word.start, word.end)
    outer = call.layer
    return Layer(pieces, Way.STRING if outer.way is Way.STRING else way, outer.depth + 1)


def _strings(layer: Layer, syntax: Syntax, values: Values) -> Iterator[Layer]:
    """The assigned values that speak of KV events."""
    for start, end in syntax.assigned_values:
        if EVENT_FLAG.search(layer.text, start, end):
            origin = layer.origin_of_start(start), layer.origin_of_end(end)
            for each in scan(layer, syntax.opaque, values, start, end) or ():
                yield Layer(list(_pieces(each, *origin)), Way.STRING, layer.depth + 1)


def _pieces(each: Field, start: int, end: int) -> Iterator[Piece]:
    for part in each.parts:
        yield Piece(part.text, start, end, variable=part.variable, known=part.known)
