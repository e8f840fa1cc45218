"""How a shell script starts vLLM, and where one more argument can be written into its text.

The text is what a container gives to ``sh -c``. Kubernetes pastes ``$(NAME)`` into it before any
shell sees it (``third_party/forked/golang/expansion/expand.go``), so it is parsed as pasted, and
every offset is led back to the text as written. tree-sitter-bash tells the commands apart; the
words of a command are read here a second time, by the quoting rules of POSIX (Shell Command
Language, 2.2 and 2.6). Where the two disagree, the text is not touched.

Parts, in this order: what is told, reading, obstacles, slots, layers of text, the parse, words.
"""

from __future__ import annotations

import enum
import re
import shlex
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import islice, pairwise, takewhile

import tree_sitter_bash
from tree_sitter import Language, Node, Parser, Point

from kvsync.core.arguments import kv_event_words
from kvsync.core.engines import ENGINES

MAX_LENGTH = 64 * 1024
"""Characters of a script, as written and as pasted, that are still parsed."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMANDS = [pair for engine in ENGINES.values() for pair in engine.commands]
_MODULES = [module for engine in ENGINES.values() for module in engine.modules]
_STARTS = frozenset([*_COMMANDS, *(("-m", module) for module in _MODULES)])
"""Two words in a row that start an engine; the first may be a path."""

_MENTION = re.compile(
    "|".join(
        [rf"(?<![\w.-]){first}(?:\s|\\\n)+{second}(?![\w-])" for first, second in _COMMANDS]
        + [re.escape(module) for module in _MODULES]
    )
)
_PYTHON = re.compile(r"(python|pypy)[\d.]*")
_PYTHON_VARIABLE = re.compile(r"\$\{?\w*PY")
_WRAPPERS = _names(
    "accelerate builtin catatonit catchsegv chrt command conda ddtrace-run dumb-init env exec gosu "
    "ionice micromamba mpirun nice nohup nsys numactl opentelemetry-instrument pixi poetry setpriv "
    "setsid stdbuf su-exec sudo taskset time timeout tini torchrun unbuffer uv uvx"
)
"""Programs that run the rest of their command line; what is appended to theirs reaches the engine."""

_TALKERS = frozenset({":", "echo", "grep", "logger", "pgrep", "pkill", "printf", "type", "which"})
"""Programs that may name an engine and start none."""

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh"})
_ASSIGNERS = frozenset({"getopts", "let", "mapfile", "read", "readarray"})
_INSIDE = {
    "if_statement": "an if",
    "for_statement": "a loop",
    "c_style_for_statement": "a loop",
    "while_statement": "a loop",
    "case_statement": "a case",
    "function_definition": "a function",
    "subshell": "a subshell",
    "compound_statement": "a group of commands",
    "command_substitution": "a command substitution",
    "process_substitution": "a process substitution",
}
_EVENT_FLAG = re.compile(
    r"--(?:kv[-_]events|enable[-_]kv[-_]cache[-_]events)[\w.-]*(?:=[^\s'\"]*)?"
)
_SLOT_NAME = re.compile(
    r"(?!(?:.*_)?(?:APT|CURL|LD|NUMACTL|PIP|RAY|SSH|TORCHRUN|UV)_)"
    r"(?=.*(?:VLLM|SGLANG|ENGINE|MODEL|EXTRA|ADDITIONAL))"
    r"[A-Z_][A-Z0-9_]*(?:ARGS|ARGUMENTS|OPTS|OPTIONS|FLAGS)"
)
_SLOT_USE = re.compile(r"\$[({]?([A-Z_][A-Z0-9_]*)")

_STAND_IN = "--kvsync-stand-in"
# Shaped like the real thing, so that it breaks wherever that would.
_PROBE = '--kvsync-probe={"a":true,"b":"tcp://*:5557","c":""}'

_MAX_SLOTS = 8
_MAX_LAYERS = 32
_MAX_DEPTH = 4


# --- What is told ---------------------------------------------------------------------------------


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


def read_script(text: str, variables: Mapping[str, str]) -> Script:
    """Read a script; any text gives an answer, in bounded time.

    Args:
        text: the argument of ``sh -c``, as the manifest has it.
        variables: the container's literal environment, values as the container gets them. Names
            whose values come from elsewhere (``valueFrom``) are left out.
    """
    known = {name: value for name, value in variables.items() if len(value) <= MAX_LENGTH}
    budget = _Budget()
    if len(text) > MAX_LENGTH or len(_Layer(_pasted(text, known)).text) > MAX_LENGTH:
        events = tuple(match.group() for match in _EVENT_FLAG.finditer(text))
        return Script((), f"it is longer than {MAX_LENGTH // 1024} KiB", (), events)
    reading = _read(text, known, budget)
    commands = tuple(ScriptCommand(call.words, call.end) for call in reading.engines)
    obstacle = _obstacle(reading) or _misplaced(text, commands[0], known, budget)
    slots = () if reading.broken else tuple(_slots(text, known, budget))
    return Script(commands, obstacle, slots, _event_words(reading))


def insert_word(text: str, command: ScriptCommand, word: str) -> str:
    """The script's text with one more word behind the command's last one."""
    before, after = text[: command.end], text[command.end :]
    # A number right before a redirection would name a file descriptor.
    glue = " " if after.startswith(("<", ">")) else ""
    return f"{before} {_unpasted(quote_word(word))}{glue}{after}"


def quote_word(word: str) -> str:
    """The word as a shell's text has to write it."""
    return shlex.quote(word)


def carries_arguments(name: str) -> bool:
    """Whether an environment variable's name says that it holds an engine's further arguments."""
    return _SLOT_NAME.fullmatch(name) is not None


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
    return f"{value} {_unpasted(quoted)}" if value.strip() else _unpasted(quoted)


# --- Reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)  # without slots, which cached properties need
class _Call:
    """A command with its words, and how sure its reading is."""

    words: tuple[Word, ...]
    fields: tuple[_Field, ...]
    layer: _Layer
    inside: str
    span: tuple[int, int]  # in the layer's text
    sound: bool

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    @property
    def program(self) -> str:
        return _basename(self.words[0].text) if self.words else ""

    @property
    def end(self) -> int:
        return self.layer.origin_of_end(self.span[1])

    @cached_property
    def evaluated(self) -> int:
        """How many words lead up to the arguments of eval; 0 if there is none."""
        wrappers = takewhile(lambda text: text in _WRAPPERS, self.texts)
        index = sum(1 for _ in wrappers)
        return index + 1 if self.texts[index : index + 1] == ("eval",) else 0

    @cached_property
    def shell_text(self) -> int:
        """The index of the script that a shell gets by ``-c``; 0 if there is none."""
        shells = (i for i, text in enumerate(self.texts) if _basename(text) in _SHELLS)
        return next((_script_index(self.texts, index + 1) for index in shells), 0)

    @cached_property
    def engine(self) -> int:
        """How many words lead up to the engine's own arguments; 0 where no engine is started."""
        if self.layer.way is _Way.STRING or self.program in _TALKERS:
            return 0
        if self.evaluated or self.shell_text:
            return 0
        pairs = enumerate(pairwise(self.texts), start=2)
        return next((i for i, (a, b) in pairs if (_basename(a), b) in _STARTS), 0)


def _basename(path: str) -> str:
    return path.rpartition("/")[2]


def _script_index(texts: Sequence[str], start: int) -> int:
    """Where the script of ``sh -c`` stands among words, options of the shell starting at ``start``."""
    runs_text, index = False, start
    while index < len(texts) and texts[index][:1] in ("-", "+"):
        runs_text = runs_text or re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", texts[index]) is not None
        index += 2 if texts[index].endswith("o") else 1  # -o takes a name
    return index if runs_text and index < len(texts) else 0


@dataclass(slots=True)
class _Reading:
    """All that was found in a script, over all of its layers."""

    top: _Layer
    assigned: set[str]
    calls: list[_Call] = field(default_factory=list)
    engines: list[_Call] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)  # of the top layer
    functions: set[str] = field(default_factory=set)
    broken: bool = False
    late: bool = False
    """Whether a nested text assigns a variable that may have been taken for the container's."""


def _read(text: str, known: Mapping[str, str], budget: _Budget) -> _Reading:
    """Read until it is clear which variables are the script's own."""
    reading = _read_once(text, known, set(), budget)
    for _ in range(_MAX_DEPTH):
        if not reading.late:
            break
        reading = _read_once(text, known, reading.assigned, budget)
    reading.broken = reading.broken or reading.late
    return reading


def _read_once(
    text: str, known: Mapping[str, str], assigned: set[str], budget: _Budget
) -> _Reading:
    reading = _Reading(_Layer(_pasted(text, known)), assigned)
    shell_options = reading.top.text + known.get("BASHOPTS", "")
    odd_globs = re.search(r"nullglob|failglob", shell_options) is not None
    queue, count = [reading.top], 0
    while queue and count < _MAX_LAYERS:
        layer, count = queue.pop(), count + 1
        syntax = _survey(layer, budget)
        _note(reading, layer, syntax)
        values = _Values(known, frozenset(reading.assigned), odd_globs, budget)
        calls = [_call(layer, syntax, each, values) for each in syntax.commands]
        reading.calls += calls
        if layer.depth < _MAX_DEPTH:
            queue += (inner for call in calls for inner in _inner_layers(call))
            queue += _strings(layer, syntax, values)
    engines = (call for call in reading.calls if call.engine)
    reading.engines = sorted(engines, key=lambda call: call.words[0].start)
    return reading


def _note(reading: _Reading, layer: _Layer, syntax: _Syntax) -> None:
    if layer is reading.top:
        reading.comments = syntax.comments
        reading.broken = syntax.broken
    if layer.way is not _Way.STRING:
        reading.late = reading.late or (layer.depth > 0 and not syntax.assigned <= reading.assigned)
        reading.assigned |= syntax.assigned
        reading.functions |= syntax.functions


def _call(layer: _Layer, syntax: _Syntax, command: _Command, values: _Values) -> _Call:
    """The command's words, and whether tree-sitter and the shell's quoting rules agree on them."""
    words: list[Word] = []
    fields: list[_Field] = []
    spans = command.words(layer.masked)
    sound = not syntax.broken and command.is_closed(layer.masked, spans)
    for start, end in spans:
        found = _scan(layer, syntax, values, start, end)
        sound = sound and found is not None
        fields += found or ()
        words += (_word(layer, start, end, each) for each in found or ())
    targets = (_scan(layer, syntax, values, r.target, r.end) for r in command.redirects)
    sound = sound and None not in targets
    end = spans[-1][1] if spans else command.start
    return _Call(tuple(words), tuple(fields), layer, command.inside, (command.start, end), sound)


def _scan(
    layer: _Layer, syntax: _Syntax, values: _Values, start: int, end: int
) -> list[_Field] | None:
    return _WordScanner(layer, syntax.opaque, values, start, end).scan()


def _event_words(reading: _Reading) -> tuple[str, ...]:
    """What configures KV events: as words of commands, and else as it stands in any text."""
    found: list[str] = []
    for call in reading.calls:
        if not call.evaluated:  # its arguments are read as a layer of their own
            found += kv_event_words(call.texts)
    for match in _EVENT_FLAG.finditer(_without(reading.top.text, reading.comments)):
        if not any(match.group() in word for word in found):
            found.append(match.group())
    return tuple(found)


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with some spans cut out, and nothing joined by that."""
    kept, position = [], 0
    for start, end in sorted(spans):
        kept.append(text[position:start])
        position = max(position, end)
    return "\0".join([*kept, text[position:]])


# --- Obstacles ------------------------------------------------------------------------------------


def _obstacle(reading: _Reading) -> str:
    """Why no word can be inserted; empty where there is exactly one plain command."""
    engines = reading.engines
    if reading.broken:
        return "it cannot be parsed"
    if not engines:
        return "no vLLM command stands in it"
    if len(engines) > 1:
        return f"it starts vLLM in {len(engines)} places"
    return next(filter(None, (check(reading, engines[0]) for check in _CHECKS)), "")


def _nested(_: _Reading, call: _Call) -> str:
    return f"it starts vLLM through {call.layer.way}" if call.layer.depth else ""


def _enclosed(_: _Reading, call: _Call) -> str:
    return f"vLLM is started inside of {call.inside}" if call.inside else ""


def _unsound(_: _Reading, call: _Call) -> str:
    return "" if call.sound else "the words of the command cannot be told apart"


def _unknown_program(_: _Reading, call: _Call) -> str:
    """A program that is not known may do anything with the last word of its command line."""
    first = call.words[0].text
    python = _PYTHON.fullmatch(call.program) or (call.engine == 3 and _PYTHON_VARIABLE.match(first))
    if call.engine == 2 or python or call.program in _WRAPPERS:
        return ""
    return f"it starts vLLM through {_short(first)}"


def _function(reading: _Reading, call: _Call) -> str:
    shadowed = call.program in reading.functions
    return f"{_short(call.program)} is a function of the script" if shadowed else ""


def _ended(_: _Reading, call: _Call) -> str:
    ended = "--" in call.texts[call.engine :]
    return "the options of the command end with --" if ended else ""


def _open_end(_: _Reading, call: _Call) -> str:
    """Text that Kubernetes pastes in may end the command, by a newline at its own end already."""
    name = call.layer.variable_across(call.span[1])
    if name:
        return f"the command ends inside of $({_short(name)})"
    pasted = call.layer.unknown_before(call.span[1])
    return f"it is not known what {_short(pasted)}, its last word, stands for" if pasted else ""


def _mentioned(reading: _Reading, call: _Call) -> str:
    """The engine's name in a string or a here-document may be run by means that are not seen."""
    harmless = [each.span for each in reading.calls if _is_talk(each)]
    rest = _without(reading.top.text, [call.span, *reading.comments, *harmless])
    return "it names vLLM in another place too" if _MENTION.search(rest) else ""


def _is_talk(call: _Call) -> bool:
    return call.layer.depth == 0 and call.program in _TALKERS


_CHECKS: tuple[Callable[[_Reading, _Call], str], ...] = (
    _nested,
    _enclosed,
    _unsound,
    _unknown_program,
    _function,
    _ended,
    _open_end,
    _mentioned,
)


def _short(text: str) -> str:
    """The text as a sentence can hold it."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in text[:40])
    return shown if len(text) <= 40 else f"{shown}…"


def _misplaced(text: str, command: ScriptCommand, known: Mapping[str, str], budget: _Budget) -> str:
    """Read the script with a word inserted: it must have become the command's last one."""
    after = _read(insert_word(text, command, _PROBE), known, budget)
    words = [*(word.text for word in command.words), _PROBE]
    placed = [list(call.texts) for call in after.engines] == [words] and not _obstacle(after)
    return "" if placed else "a further word would not become its last one"


# --- Slots ----------------------------------------------------------------------------------------


def _slots(text: str, known: Mapping[str, str], budget: _Budget) -> Iterator[Slot]:
    """Fill each variable that could be one, in either quoting, and look where the word comes out."""
    used = dict.fromkeys(match.group(1) for match in _SLOT_USE.finditer(text))
    names = [name for name in used if _SLOT_NAME.fullmatch(name)]
    for name in names[:_MAX_SLOTS]:
        read_with = cache(lambda value, name=name: _read(text, {**known, name: value}, budget))
        slots = (Slot(name, quoting) for quoting in Quoting)
        feeding = (slot for slot in slots if _feeds(slot, known.get(name, ""), read_with))
        yield from islice(feeding, 1)


def _feeds(slot: Slot, value: str, read_with: Callable[[str], _Reading]) -> bool:
    """Whether an argument behind the variable's value becomes one of the engine's, and one alone."""
    behind = (value, fill_slot(slot, value, _PROBE) or "")
    alone = (_STAND_IN, fill_slot(slot, "", _PROBE) or "")
    return all(_is_fed(read_with(old), read_with(new)) for old, new in (behind, alone))


def _is_fed(before: _Reading, after: _Reading) -> bool:
    """Whether the probe reaches every engine; where no command is one, any command."""
    engines = bool(before.engines)
    old = before.engines if engines else _ordinary(before)
    new = after.engines if engines else _ordinary(after)
    if before.broken or after.broken or len(old) != len(new):
        return False
    gained = [_has_gained(*pair) for pair in zip(old, new, strict=True)]
    if not engines:
        return any(gained)
    return all(gained) and not any(_unknown_program(after, call) for call in new)


def _ordinary(reading: _Reading) -> list[_Call]:
    calls = (call for call in reading.calls if call.layer.way is not _Way.STRING)
    return [c for c in calls if not (c.evaluated or c.shell_text or c.program in _TALKERS)]


def _has_gained(before: _Call, after: _Call) -> bool:
    """Whether the words are the old ones and the probe, among the engine's options."""
    texts = after.texts
    if not after.sound or texts.count(_PROBE) != 1:
        return False
    place = texts.index(_PROBE)
    rest = texts[:place] + texts[place + 1 :]
    others = tuple(word for word in before.texts if word != _STAND_IN)
    is_option = place >= after.engine and "--" not in texts[after.engine : place]
    return is_option and rest == others and after.words[place].literal


# --- Layers of text -------------------------------------------------------------------------------

_REFERENCE = re.compile(r"\$\$|\$\([^)]*\)")
_ESCAPED = re.compile(r"\$\$")
# What is left of $(NAME) may be an environment variable that is not known, or a command of the
# shell; programs are hardly ever named in capitals.
_UNKNOWN = re.compile(r"(\$\([A-Z_][A-Z0-9_]*\))")
_UNUSUAL = re.compile(r"[^\x20-\x7e\t\n]")


class _Way(enum.StrEnum):
    """By what a text gets to be parsed by a shell."""

    TOP = "sh -c"
    EVAL = "eval"
    SHELL = "a shell of its own"
    STRING = "a string"
    """By nothing that is seen; read for what it says of KV events only."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a layer's text that has one origin."""

    text: str
    start: int  # in the script as written
    end: int
    exact: bool = False  # the same, character for character
    variable: str = ""
    known: bool = True


class _Layer:
    """A text as the shell gets it, with the origin of its every character."""

    def __init__(self, pieces: Sequence[_Piece], way: _Way = _Way.TOP, depth: int = 0) -> None:
        self.pieces = tuple(piece for piece in pieces if piece.text)
        self.way = way
        self.depth = depth
        self.text = "".join(piece.text for piece in self.pieces)
        self.masked = _finished("".join(_mask(piece) for piece in self.pieces))
        self._starts: list[int] = []
        offset = 0
        for piece in self.pieces:
            self._starts.append(offset)
            offset += len(piece.text)

    def _at(self, offset: int) -> tuple[_Piece, int]:
        """The piece that holds a character, and where the piece starts."""
        index = max(bisect_right(self._starts, offset) - 1, 0)
        return (self.pieces[index], self._starts[index]) if self.pieces else (_Piece("", 0, 0), 0)

    def origin_of_start(self, offset: int) -> int:
        """Where the character stands in the script as written."""
        piece, start = self._at(offset)
        return piece.start + (offset - start if piece.exact else 0)

    def origin_of_end(self, offset: int) -> int:
        """The place behind the character before ``offset``, in the script as written."""
        piece, start = self._at(max(offset - 1, 0))
        return piece.start + offset - start if piece.exact else piece.end

    def variable_across(self, offset: int) -> str:
        """The variable whose text goes on behind ``offset`` with more than blanks."""
        piece, start = self._at(max(offset - 1, 0))
        rest = piece.text[offset - start :]
        return piece.variable if not piece.exact and rest.strip(" \t") else ""

    def unknown_before(self, offset: int) -> str:
        """The text of unknown meaning that ends at ``offset``."""
        piece, _ = self._at(max(offset - 1, 0))
        return "" if piece.known else piece.text

    def parts(self, start: int, end: int) -> Iterator[_Part]:
        """The stretches of a span by their origin."""
        while start < end:
            piece, offset = self._at(start)
            stop = min(end, offset + len(piece.text))
            yield _Part(self.text[start:stop], piece.variable, piece.known)
            start = stop


def _mask(piece: _Piece) -> str:
    """The piece in ASCII, as long as it was, with letters for what is not known.

    A shell takes other characters than blank, tab and newline for parts of a word, where
    tree-sitter takes some of them for blanks. Bytes and characters count alike by this, too.
    """
    return _UNUSUAL.sub(":", piece.text) if piece.known else "x" * len(piece.text)


def _finished(masked: str) -> str:
    """Blank out line continuations at the end of the text; tree-sitter misses the line behind them."""
    end = len(masked)
    while (start := _last_continuation(masked, end)) is not None:
        end = start
    return masked[:end].ljust(len(masked))


def _last_continuation(masked: str, end: int) -> int | None:
    last = end
    while last and masked[last - 1] in " \t\n":
        last -= 1
    if masked[last : last + 1] != "\n":
        return None
    start = last
    while start and masked[start - 1] == "\\":
        start -= 1
    return last - 1 if (last - start) % 2 else None


def _pasted(text: str, known: Mapping[str, str]) -> list[_Piece]:
    """The text with each ``$(NAME)`` replaced by the value, and ``$$`` by ``$``.

    What makes it longer than a script may be is left out, once it is too long.
    """
    pieces: list[_Piece] = []
    position, length = 0, 0
    for match in _references(text):
        if length > MAX_LENGTH:
            break
        pieces.append(_Piece(text[position : match.start()], position, match.start(), exact=True))
        replaced = list(_replaced(match, known))
        length += match.start() - position + sum(len(piece.text) for piece in replaced)
        pieces += replaced
        position = match.end()
    return [*pieces, _Piece(text[position:], position, len(text), exact=True)]


def _references(text: str) -> Iterator[re.Match[str]]:
    # Behind the last ")" each "$(" would be followed to the end of the text in vain.
    closed = text.rfind(")") + 1
    yield from _REFERENCE.finditer(text, 0, closed)
    yield from _ESCAPED.finditer(text, closed)


def _replaced(match: re.Match[str], known: Mapping[str, str]) -> Iterator[_Piece]:
    start, end, name = match.start(), match.end(), match.group()[2:-1]
    if match.group() == "$$":
        yield _Piece("$", start, end)
    elif name in known:
        for index, text in enumerate(_UNKNOWN.split(known[name])):
            yield _Piece(text, start, end, variable=name, known=index % 2 == 0)
    elif _UNKNOWN.fullmatch(match.group()):
        yield _Piece(match.group(), start, end, variable=name, known=False)
    else:
        yield _Piece(match.group(), start, end, exact=True)


def _unpasted(text: str) -> str:
    """The text written so that Kubernetes leaves it as it is."""
    return text.replace("$", "$$")


def _inner_layers(call: _Call) -> Iterator[_Layer]:
    """The texts that a command has parsed once more, and those that speak of KV events."""
    if call.evaluated:
        yield _inner(call, range(call.evaluated, len(call.words)), _Way.EVAL)
    elif call.shell_text:
        yield _inner(call, [call.shell_text], _Way.SHELL)
    for index, text in enumerate(call.texts):
        match = _EVENT_FLAG.search(text)
        told = call.evaluated or index == call.shell_text > 0
        if match and match.start() > 0 and re.search(r"\s", text) and not told:
            yield _inner(call, [index], _Way.STRING)


def _inner(call: _Call, indexes: Sequence[int], way: _Way) -> _Layer:
    """The words, joined by blanks as eval does, as a text of their own."""
    pieces: list[_Piece] = []
    for index in indexes:
        word = call.words[index]
        start = pieces[-1].end if pieces else word.start
        pieces += [_Piece(" ", start, start)] if pieces else []
        pieces += _pieces(call.fields[index], word.start, word.end)
    outer = call.layer
    return _Layer(pieces, _Way.STRING if outer.way is _Way.STRING else way, outer.depth + 1)


def _strings(layer: _Layer, syntax: _Syntax, values: _Values) -> Iterator[_Layer]:
    """The assigned values that speak of KV events."""
    for start, end in syntax.assigned_values:
        if _EVENT_FLAG.search(layer.text, start, end):
            origin = layer.origin_of_start(start), layer.origin_of_end(end)
            for each in _scan(layer, syntax, values, start, end) or ():
                yield _Layer(list(_pieces(each, *origin)), _Way.STRING, layer.depth + 1)


def _pieces(each: _Field, start: int, end: int) -> Iterator[_Piece]:
    for part in each.parts:
        yield _Piece(part.text, start, end, variable=part.variable, known=part.known)


# --- The parse ------------------------------------------------------------------------------------

_LANGUAGE = Language(tree_sitter_bash.language())
_CHUNK = 1024
_NODES = 16  # are read in the time that a chunk is lexed in

# tree-sitter's time and memory grow with the square of the length where these are strung together:
# 4,000 backquotes take seconds and gigabytes, 400 take milliseconds.
_COSTLY = {"|": 1, "&": 1, "(": 1, "<": 1, ">": 1, "`": 5}

_WORD_NODES = _names(
    "ansi_c_string arithmetic_expansion command_substitution concatenation expansion number "
    "process_substitution raw_string simple_expansion string translated_string word"
)
_OPAQUE_NODES = _names(
    "ansi_c_string arithmetic_expansion command_substitution expansion process_substitution "
    "translated_string"
)
_REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})
_CHAINS = frozenset({"list", "negated_command", "pipeline", "redirected_statement"})
_ASSIGNING_EXPANSION = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):?=")
_CONTINUED = re.compile(r"(?:\\\n)*")
_BLANK = re.compile(r"(?:[ \t]|\\\n)*")
_END = re.compile(r"(?:\\\n)*(?:[ \t](?:[ \t]|\\\n)*#|(?:[ \t]|\\\n)*(?:[\n;&|<>)`]|\Z))")
_OPERATOR = re.compile(r"\d?(?:&>>?|>>|>\||[<>]&-?|<>|<<<|<<-?|[<>])(?:[ \t]|\\\n)*")
_DESCRIPTOR = re.compile(r"(?:\d+|\{\w+\})[<>]")

_Span = tuple[int, int]


class _Budget:
    """What a script may cost in all: hostile text is lexed over and over, and expands without end."""

    def __init__(self) -> None:
        self.steps = 8192  # chunks lexed, or some nodes of a tree
        self.characters = 8 * MAX_LENGTH  # of values put in

    def takes(self, characters: int) -> bool:
        """Take so many characters, if they are left."""
        self.characters -= characters
        return self.characters >= 0


def _parse(masked: str, budget: _Budget) -> Node | None:
    """The text's syntax tree; None where it would cost too much."""
    budget.steps -= sum(masked.count(sign) * weight for sign, weight in _COSTLY.items()) ** 2 // 512
    if budget.steps <= 0 or len(masked) > MAX_LENGTH:
        return None
    source = masked.encode("ascii")

    def chunk(offset: int, _: Point) -> bytes:
        budget.steps -= 1
        return source[offset : offset + _CHUNK] if budget.steps > 0 else b""

    def exhausted(_offset: int, _has_error: bool) -> bool:
        return budget.steps <= 0

    try:
        tree = Parser(_LANGUAGE).parse(chunk, progress_callback=exhausted)
    except ValueError:  # cancelled
        return None
    budget.steps -= tree.root_node.descendant_count // _NODES
    return tree.root_node if budget.steps > 0 else None


@dataclass(frozen=True, slots=True)
class _Redirect:
    start: int
    target: int  # where the word behind the operator starts
    end: int


@dataclass(slots=True)
class _Command:
    """Where the words of a simple command stand, in a layer's text."""

    start: int
    inside: str
    pieces: list[_Span] = field(default_factory=list)  # of words
    redirects: list[_Redirect] = field(default_factory=list)
    ambiguous_from: int = MAX_LENGTH
    """From where on shells disagree on what is a word of the command."""

    def words(self, masked: str) -> list[_Span]:
        """The words; what stands together without a blank is one, whatever tree-sitter says."""
        return _joined(sorted(self.pieces), masked)

    def is_closed(self, masked: str, words: Sequence[_Span]) -> bool:
        """Whether nothing but blanks stands between its parts, and it ends where it seems to."""
        if not words or words[-1][1] > self.ambiguous_from or self._is_escaped(masked):
            return False
        parts = sorted([*words, *((each.start, each.end) for each in self.redirects)])
        blank = all(_BLANK.fullmatch(masked, a[1], b[0]) for a, b in pairwise(parts))
        signs = all(_OPERATOR.fullmatch(masked, r.start, r.target) for r in self.redirects)
        # A number before a redirection is a part of it, and tree-sitter does not always know.
        joined = any(_DESCRIPTOR.match(masked, start) for start, _ in words)
        return blank and signs and not joined and _END.match(masked, parts[-1][1]) is not None

    def _is_escaped(self, masked: str) -> bool:
        """Whether what looks like a blank before it is a word: tree-sitter overlooks that."""
        start = self.start
        while start and masked[start - 1] in " \t":
            start -= 1
        return masked[start - 1 : start] == "\\"

    def add_redirect(self, node: Node, masked: str) -> None:
        """Note a redirection, and the words that tree-sitter takes for further targets of it."""
        spans = [_span(child) for child in node.children if child.type in _WORD_NODES]
        words = _joined(spans, masked)
        # A here-document's target is its mark; closing a descriptor (2>&-) has none.
        marks = [_span(child) for child in node.children if child.type == "heredoc_start"]
        closed = [child.end_byte for child in node.children if child.type in (">&-", "<&-")]
        targets = [(closed[0], closed[0])] if closed else [*marks, *words, _span(node)]
        self.redirects.append(_Redirect(node.start_byte, *targets[0]))
        self.ambiguous_from = min(self.ambiguous_from, _ambiguous_from(node))
        self.pieces += [span for span in words if span[0] >= targets[0][1]]
        for child in node.children:
            if child.type in _REDIRECTS:  # behind a here-document's mark
                self.add_redirect(child, masked)


def _ambiguous_from(redirect: Node) -> int:
    """From where on only bash sees one redirection: ``&> file``, and ``10> file``, a word in others."""
    for child in redirect.children:
        if child.type in ("&>", "&>>"):
            return child.start_byte
        if child.type == "file_descriptor" and child.end_byte - child.start_byte > 1:
            return 0
    return MAX_LENGTH


def _joined(spans: Sequence[_Span], masked: str) -> list[_Span]:
    joined: list[_Span] = []
    for start, end in spans:
        if joined and _CONTINUED.fullmatch(masked, joined[-1][1], start):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _span(node: Node) -> _Span:
    return node.start_byte, node.end_byte


@dataclass(slots=True)
class _Syntax:
    """What the tree tells, in the places of a layer's text."""

    masked: str
    broken: bool = False
    commands: list[_Command] = field(default_factory=list)
    comments: list[_Span] = field(default_factory=list)
    assigned: set[str] = field(default_factory=set)
    assigned_values: list[_Span] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    opaque: dict[int, int] = field(default_factory=dict)
    """Where parts of words start and end that only a running shell can tell."""
    _by_node: dict[int, _Command] = field(default_factory=dict)
    _late: list[tuple[int, Node]] = field(default_factory=list)  # redirections and their commands

    def text(self, node: Node) -> str:
        return self.masked[node.start_byte : node.end_byte]

    def note(self, node: Node, inside: str) -> None:
        """Take from a node what is of use; nodes come in the order of the text."""
        if node.type in _OPAQUE_NODES:
            self.opaque.setdefault(*_span(node))
        noting = _NOTED.get(node.type)
        if noting:
            noting(self, node, inside)

    def note_comment(self, node: Node, _: str) -> None:
        self.comments.append(_span(node))

    def note_command(self, node: Node, inside: str) -> None:
        command = _Command(node.start_byte, inside)
        for child in node.children:
            if child.type in _REDIRECTS:
                command.add_redirect(child, self.masked)
            elif child.type != "variable_assignment":
                command.pieces.append(_span(child))
        self.commands.append(command)
        self._by_node[node.id] = command

    def note_array(self, node: Node, inside: str) -> None:
        """Its elements are no command, but may become the words of one."""
        pieces = [_span(child) for child in node.named_children if child.type in _WORD_NODES]
        self.commands.append(_Command(node.start_byte, inside or "an array", pieces))

    def note_redirected(self, node: Node, _: str) -> None:
        """Redirections hang at a whole list or pipeline, but belong to its last command."""
        redirects = [child for child in node.children if child.type in _REDIRECTS]
        body: Node | None = node
        while body is not None and body.type in _CHAINS:
            body = next((c for c in reversed(body.named_children) if _is_statement(c)), None)
        if body is not None and body.type == "command":
            self._late += [(body.id, redirect) for redirect in redirects]

    def note_assignment(self, node: Node, _: str) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None:
            self.assigned.add(self.text(name).partition("[")[0])
        if value is not None and value.type != "array":
            self.assigned_values.append(_span(value))

    def note_names(self, node: Node, _: str) -> None:
        """The variable of a loop, and those that are unset."""
        self.assigned.update(self.text(c) for c in node.children if c.type == "variable_name")

    def note_expansion(self, node: Node, _: str) -> None:
        match = _ASSIGNING_EXPANSION.match(self.text(node))
        if match:
            self.assigned.add(match.group(1))

    def note_function(self, node: Node, _: str) -> None:
        name = node.child_by_field_name("name")
        if name is not None:
            self.functions.add(self.text(name))

    def finish(self) -> None:
        """Do what needs every command to be known."""
        for owner, redirect in self._late:
            if owner in self._by_node:
                self._by_node[owner].add_redirect(redirect, self.masked)
        for command in self.commands:
            words = [self.masked[start:end] for start, end in command.words(self.masked)]
            if words and (words[0] in _ASSIGNERS or words[:2] == ["printf", "-v"]):
                self.assigned.update(words[1:])


def _is_statement(node: Node) -> bool:
    return node.type not in _REDIRECTS and node.type != "comment"


_NOTED: Mapping[str, Callable[[_Syntax, Node, str], None]] = {
    "array": _Syntax.note_array,
    "command": _Syntax.note_command,
    "comment": _Syntax.note_comment,
    "expansion": _Syntax.note_expansion,
    "for_statement": _Syntax.note_names,
    "function_definition": _Syntax.note_function,
    "redirected_statement": _Syntax.note_redirected,
    "unset_command": _Syntax.note_names,
    "variable_assignment": _Syntax.note_assignment,
}


def _survey(layer: _Layer, budget: _Budget) -> _Syntax:
    """Walk the tree without recursion: its depth is the script's to choose."""
    root = _parse(layer.masked, budget)
    syntax = _Syntax(layer.masked, broken=root is None or root.has_error)
    stack = [(root, "")] if root is not None else []
    while stack:
        node, inside = stack.pop()
        syntax.note(node, inside)
        around = inside or _INSIDE.get(node.type, "")
        stack.extend((child, around) for child in reversed(node.children))
    syntax.finish()
    return syntax


# --- Words ----------------------------------------------------------------------------------------

_VARIABLE = re.compile(
    r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?-)([^{}\"'\\$`]*))?\})"
)
_SPECIAL = re.compile(r"\$[@*#?$!0-9-]")
_BARE_RUN = re.compile(r"[^\\'\"$`\s;&|()<>*?\[\]{},.~]+")
_QUOTED_RUN = re.compile(r"[^\\\"$`]+")
_IFS = re.compile(r"[ \t\n]+")


@dataclass(frozen=True, slots=True)
class _Values:
    """What is known of variables while a script runs."""

    known: Mapping[str, str]
    assigned: frozenset[str]
    odd_globs: bool
    budget: _Budget

    def of(self, name: str, operator: str, default: str) -> str | None:
        """The value of an expansion; None where it is not known."""
        if name in self.assigned or name not in self.known:
            return None
        value = self.known[name] or (default if operator == ":-" else "")
        return value if self.budget.takes(len(value)) else None

    @property
    def odd_splitting(self) -> bool:
        return "IFS" in self.assigned


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a word that has one origin."""

    text: str
    variable: str = ""
    known: bool = True


@dataclass(slots=True)
class _Field:
    """A word as a command gets it."""

    parts: list[_Part] = field(default_factory=list)
    glob: bool = False
    uncertain: bool = False
    brace: str = ""  # of an unquoted brace expansion, as far as it was seen

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def variable(self) -> str:
        return next((part.variable for part in self.parts if part.variable), "")

    @property
    def literal(self) -> bool:
        """Whether it is known; a pattern in an option is, as no file is named like an option."""
        pattern = self.glob and not self.text.startswith("-")
        return not (self.uncertain or pattern) and all(part.known for part in self.parts)


def _word(layer: _Layer, start: int, end: int, each: _Field) -> Word:
    origin = layer.origin_of_start(start), layer.origin_of_end(end)
    return Word(each.text, *origin, each.variable, each.literal)


class _WordScanner:
    """Reads one shell word: removes quotes, expands and splits what is known."""

    def __init__(
        self, layer: _Layer, opaque: Mapping[int, int], values: _Values, start: int, stop: int
    ) -> None:
        self._layer = layer
        self._masked = layer.masked
        self._opaque = opaque
        self._values = values
        self._at = start
        self._stop = stop
        self._fields: list[_Field] = []
        self._open: _Field | None = None

    def scan(self) -> list[_Field] | None:
        """The fields that the word becomes, often one; None if it is no word by the shell's rules."""
        while self._at < self._stop:
            if not self._step():
                return None
        self._close()
        return self._fields

    def _step(self) -> bool:
        sign = self._masked[self._at]
        if sign in " \t\n;&|()":
            return False
        taken = _TAKEN.get(sign)
        if taken:
            return taken(self)
        run = _BARE_RUN.match(self._masked, self._at, self._stop)
        self._copy(run.end() if run else self._at + 1)
        if not run:
            self._mark(sign)
        return True

    def _field(self) -> _Field:
        if self._open is None:
            self._open = _Field()
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            self._fields.append(self._open)
        self._open = None

    def _copy(self, end: int) -> None:
        """Take the text up to ``end`` as it stands."""
        self._field().parts += self._layer.parts(self._at, end)
        self._at = end

    def _mark(self, sign: str) -> None:
        """Note what an unquoted sign may do: ``* ? [`` match files, braces and ``~`` expand."""
        each = self._field()
        if sign in "*?[":
            self._mark_glob()
        elif sign == "~":
            each.uncertain = each.uncertain or each.text[:-1][-1:] in ("", "=", ":")
        elif sign == "{":
            each.brace = "{"
        elif each.brace and sign in ",.":
            each.brace += sign
        elif sign == "}":
            each.uncertain = each.uncertain or "," in each.brace or ".." in each.brace

    def _mark_glob(self) -> None:
        each = self._field()
        each.glob = True
        each.uncertain = each.uncertain or self._values.odd_globs

    def _escape(self) -> bool:
        if self._at + 1 >= self._stop:
            return False
        self._at += 1
        if self._masked[self._at] == "\n":
            self._at += 1
        else:
            self._copy(self._at + 1)
        return True

    def _single(self) -> bool:
        end = self._masked.find("'", self._at + 1, self._stop)
        self._field()
        self._at += 1
        if end >= 0:
            self._copy(end)
            self._at += 1
        return end >= 0

    def _double(self) -> bool:
        self._field()
        self._at += 1
        while self._at < self._stop:
            sign = self._masked[self._at]
            if sign == '"':
                self._at += 1
                return True
            if not self._quoted_step(sign):
                return False
        return False

    def _quoted_step(self, sign: str) -> bool:
        if sign == "$":
            return self._dollar(quoted=True)
        if sign == "`":
            return self._unknown_span()
        if sign == "\\":
            if self._masked[self._at + 1 : self._at + 2] in tuple('$`"\\\n'):
                return self._escape()
            self._copy(self._at + 1)
            return True
        run = _QUOTED_RUN.match(self._masked, self._at, self._stop)
        self._copy(run.end() if run else self._at + 1)
        return True

    def _dollar(self, *, quoted: bool = False) -> bool:
        match = _VARIABLE.match(self._masked, self._at, self._stop)
        if match:
            return self._variable(match, quoted=quoted)
        if self._at in self._opaque:
            return self._unknown_span()
        special = _SPECIAL.match(self._masked, self._at, self._stop)
        if special:
            return self._unknown(special.end(), "")
        self._copy(self._at + 1)
        following = self._masked[self._at : min(self._at + 1, self._stop)]
        if not quoted and following in ("'", '"'):
            self._field().uncertain = True  # bash translates $"…"
        return following not in ("(", "{")  # which should have been in the tree

    def _variable(self, match: re.Match[str], *, quoted: bool) -> bool:
        name, default = match.group(1) or match.group(2), self._layer.text[slice(*match.span(4))]
        value = self._values.of(name, match.group(3) or "", default)
        if value is None or (self._values.odd_splitting and not quoted):
            known_name = "" if name in self._values.assigned else name
            return self._unknown(match.end(), known_name)
        self._at = match.end()
        if quoted:
            self._add(value, name)
        else:
            self._split(value, name)
        return True

    def _split(self, value: str, name: str) -> None:
        for index, chunk in enumerate(_IFS.split(value)):
            if index:
                self._close()
            if chunk:
                self._add(chunk, name)
            if any(sign in chunk for sign in "*?["):
                self._mark_glob()

    def _add(self, text: str, name: str) -> None:
        known = _UNKNOWN.search(text) is None
        self._field().parts.append(_Part(text, name, known))

    def _unknown_span(self) -> bool:
        end = self._opaque.get(self._at, self._stop + 1)
        return end <= self._stop and self._unknown(end, "")

    def _unknown(self, end: int, name: str) -> bool:
        # Nested $(…) would be kept once for each of its levels.
        text = self._layer.text[self._at : end] if self._values.budget.takes(end - self._at) else ""
        self._field().parts.append(_Part(text, name, known=False))
        self._at = end
        return True


_TAKEN: Mapping[str, Callable[[_WordScanner], bool]] = {
    "\\": _WordScanner._escape,
    "'": _WordScanner._single,
    '"': _WordScanner._double,
    "$": _WordScanner._dollar,
    "`": _WordScanner._unknown_span,
    "<": _WordScanner._unknown_span,
    ">": _WordScanner._unknown_span,
}
