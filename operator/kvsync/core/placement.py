"""Where an engine's event arguments are written: behind its words, into its script, into a variable.

An existing configuration is merged in its own place. What cannot be written without guessing is
refused, with the exact text for a person to add.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from kvsync.core.detect import Detected
from kvsync.core.engines import ENGINES
from kvsync.core.event_config.merge import merge, merge_flags
from kvsync.core.event_config.model import Contradiction, Found, Merged
from kvsync.core.event_config.read import find_event_config, settings_of
from kvsync.core.launch import Launch, ScriptText
from kvsync.core.releases import release_of
from kvsync.core.revert import last_item
from kvsync.core.script.model import Quoting, ScriptCommand, Word
from kvsync.core.script.write import fill_slot, insert_word, quote_word
from kvsync.core.slot import SLOT_VARIABLE
from kvsync.core.slot_placement import slot_change, slot_refusal
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import ListChange, Place, TextChange
from kvsync.model.spec import Dialect
from kvsync.model.workload import Container


@dataclass(frozen=True, slots=True)
class TextEdit:
    """A change of one text, and the whole text as it shall be; ``index`` is the script's place."""

    change: TextChange
    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """The change of the engine's command line; neither of both where it is right already.

    ``topic`` is the one of the owner's own configuration, where that is kept or merged.
    """

    words: ListChange | None = None
    text: TextEdit | None = None
    notes: tuple[Note, ...] = ()
    topic: str | None = None

    @property
    def fills_slot(self) -> bool:
        """Whether all that is written of the command line is the value of the owner's slot."""
        return self.text is not None and self.text.change.variable == SLOT_VARIABLE


def place(detected: Detected, arguments: tuple[str, ...]) -> Placement | Refusal:
    """Where the rendered arguments go, or why they cannot."""
    found = find_event_config(detected.start.words, ENGINES[detected.finding.type].more_event_keys)
    refusal = slot_refusal(detected, found) if detected.start.launch is Launch.SLOT else None
    if refusal is not None:
        return refusal
    if found is None:
        return _added(detected, arguments)
    merged = _merged(detected, found, arguments)
    if isinstance(merged, Contradiction):
        return Refusal(merged.reason, merged.message, merged.remedy)
    topic = str(merged.settings.get("topic") or "")
    if not merged.words:
        return Placement(topic=topic)
    placed = _rewritten(detected, found, merged.words)
    if isinstance(placed, Refusal):
        return placed
    told = tuple(Note(ModelReason.EVENTS_MERGED, note) for note in merged.notes)
    return replace(placed, notes=told, topic=topic)


def _merged(detected: Detected, found: Found, arguments: tuple[str, ...]) -> Merged | Contradiction:
    finding = detected.finding
    if finding.dialect is Dialect.FLAGS:
        return merge_flags(found, arguments)
    release = release_of(finding)
    required = release is None or release.publisher_required
    return merge(found, settings_of(arguments), publisher_required=required)


def _added(detected: Detected, arguments: tuple[str, ...]) -> Placement | Refusal:
    start = detected.start
    match start.launch:
        case Launch.SLOT:
            return _slot_filled(detected, arguments)
        case Launch.SCRIPT:
            assert start.text is not None  # a plain command stands in a script
            assert start.command is not None
            return _script_extended(start.text, start.command, arguments)
        case Launch.VARIABLE:
            return _variable_extended(detected, arguments)
        case Launch.SHELL:
            return _shell_wrapped(detected, arguments)
        case _:
            return Placement(words=_words_added(detected, arguments))


def _words_added(detected: Detected, arguments: tuple[str, ...]) -> ListChange:
    container, head = detected.container, len(detected.container.command)
    end = ENGINES[detected.finding.type].options_end(container.words)
    if end < head:
        field, current, index = Place.COMMAND, container.command, end
    else:
        field, current, index = Place.ARGS, container.args, end - head
    before = None if container.body.get(field.value) is None else current
    return ListChange(before, current[:index] + arguments + current[index:], arguments, place=field)


def _script_extended(
    script: ScriptText, command: ScriptCommand, arguments: tuple[str, ...]
) -> Placement:
    text = script.text
    for word in reversed(arguments):  # each goes right behind the command's last word
        text = insert_word(text, command, word)
    piece = text[command.end : len(text) - len(script.text) + command.end]
    return _inserted(script, command.end, command.end, piece)


def _inserted(script: ScriptText, start: int, end: int, piece: str) -> Placement:
    change = TextChange(script.place, piece, replaced=script.text[start:end])
    text = script.text[:start] + piece + script.text[end:]
    return Placement(text=TextEdit(change, text, script.index))


def _variable_extended(detected: Detected, arguments: tuple[str, ...]) -> Placement | Refusal:
    slot = detected.start.slot
    assert slot is not None  # what makes it a launch by variable
    before = detected.container.env(slot.name)
    value: str | None = before or ""
    found = last_item(detected.container.body.get("env") or (), slot.name)
    bare = found is not None and "value" not in found[1]
    for word in arguments:
        value = fill_slot(slot, value, word) if value is not None else None
    if value is None:
        return _shell_wrapped(detected, arguments)
    added = value[len(before or "") :]
    change = TextChange(Place.ENV, added, variable=slot.name, absent=before is None, bare=bare)
    return Placement(text=TextEdit(change, value))


def _slot_filled(detected: Detected, arguments: tuple[str, ...]) -> Placement | Refusal:
    """The slot's value replaced, whatever it held; the words around it stay as they are."""
    (word,) = arguments
    change = slot_change(detected, word)
    if isinstance(change, Refusal):
        return change
    return Placement(text=TextEdit(change, change.added))


def _shell_wrapped(detected: Detected, arguments: tuple[str, ...]) -> Refusal:
    name = detected.finding.container
    exact = " ".join(map(quote_word, arguments))
    return Refusal(
        ModelReason.SHELL_WRAPPED,
        f"Container {name} starts through a shell, and its script is not changed because "
        f"{detected.start.obstacle}.",
        f"Add this to the engine's command in the script yourself: {exact} — or start the engine "
        "without a shell.",
    )


def _rewritten(detected: Detected, found: Found, words: tuple[str, ...]) -> Placement | Refusal:
    match detected.start.launch:
        case Launch.DIRECT:
            return _words_replaced(detected, found, words)
        case Launch.SCRIPT:
            return _script_rewritten(detected, found, words)
        case Launch.SLOT:
            return _slot_filled(detected, words)
        case Launch.VARIABLE:
            return _variable_rewritten(detected, found, words)
        case _:
            return _not_rewritten(detected, found, words)


def _words_replaced(
    detected: Detected, found: Found, words: tuple[str, ...]
) -> Placement | Refusal:
    container = detected.container
    head = len(container.command)
    in_command = all(end <= head for _, end in found.spans)
    in_args = all(start >= head for start, _ in found.spans)
    own = _taken_literally(container, detected.start.words, found)
    if not own or not (in_command or in_args):
        return _not_rewritten(detected, found, words)
    if in_command:
        return Placement(words=_list_change(container, Place.COMMAND, found.spans, words))
    spans = tuple((start - head, end - head) for start, end in found.spans)
    return Placement(words=_list_change(container, Place.ARGS, spans, words))


def _taken_literally(container: Container, words: Sequence[str], found: Found) -> bool:
    spans = (slice(start, end) for start, end in found.spans)
    return all(container.words[span] == tuple(words[span]) for span in spans)


def _list_change(
    container: Container, place: Place, spans: Sequence[tuple[int, int]], words: tuple[str, ...]
) -> ListChange:
    """The new words stand where the first old one stood."""
    current = container.command if place is Place.COMMAND else container.args
    after: list[str] = []
    for index, word in enumerate(current):
        if index == spans[0][0]:
            after += words
        if not any(start <= index < end for start, end in spans):
            after.append(word)
    replaced = tuple(word for start, end in spans for word in current[start:end])
    return ListChange(current, tuple(after), words, replaced, place)


def _script_rewritten(
    detected: Detected, found: Found, words: tuple[str, ...]
) -> Placement | Refusal:
    script, command = detected.start.text, detected.start.command
    assert script is not None  # a plain command stands in a script
    assert command is not None
    if len(found.spans) != 1:
        return _not_rewritten(detected, found, words)
    start, end = found.spans[0]
    old: tuple[Word, ...] = command.words[start:end]
    if any(word.variable or not word.literal for word in old) or not _adjoin(script.text, old):
        return _not_rewritten(detected, found, words)
    piece = " ".join(map(quote_word, words))
    return _inserted(script, old[0].start, old[-1].end, piece)


def _adjoin(text: str, words: Sequence[Word]) -> bool:
    """Whether nothing but blanks and continued lines stands between words of a script."""
    gaps = (text[one.end : other.start] for one, other in pairwise(words))
    return all(re.fullmatch(r"(\s|\\\n)*", gap) for gap in gaps)


def _variable_rewritten(
    detected: Detected, found: Found, words: tuple[str, ...]
) -> Placement | Refusal:
    slot = detected.start.slot
    assert slot is not None  # what makes it a launch by variable
    value = detected.container.env(slot.name) or ""
    old = [w for start, end in found.spans for w in detected.start.words[start:end]]
    piece, joined = " ".join(words), " ".join(old)
    if slot.quoting is not Quoting.RAW or len(found.spans) != 1 or value.count(joined) != 1:
        return _not_rewritten(detected, found, words)
    change = TextChange(Place.ENV, piece, replaced=joined, variable=slot.name)
    return Placement(text=TextEdit(change, value.replace(joined, piece)))


def _not_rewritten(detected: Detected, found: Found, words: tuple[str, ...]) -> Refusal:
    return Refusal(
        ModelReason.EVENTS_ALREADY_CONFIGURED,
        f"Container {detected.finding.container} has a KV event configuration of its own that "
        f"does not suffice and stands where it is not changed. It reads: {found.text}.",
        f"Write this in its place: {' '.join(map(quote_word, words))}",
    )
