"""What is written into a slot, and when nothing is: the refusals, each with its remedy."""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.detect import Detected
from kvsync.core.engines import ENGINES
from kvsync.core.event_config.model import Found
from kvsync.core.revert import last_item
from kvsync.core.script.pasting import unpasted
from kvsync.core.script.write import fill_slot, quote_word
from kvsync.core.slot import NEUTRAL, SLOT_VARIABLE, is_neutral, stops
from kvsync.model.finding import Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import Place, TextChange
from kvsync.model.spec import Dialect

_RENDER = "Write it as kvsync render --slot does, or take it out of the manifest (--slot --undo)."


def slot_refusal(detected: Detected, found: Found | None) -> Refusal | None:
    """Why a slot is not written, or None.

    Args:
        detected: an engine that starts with a slot.
        found: the KV event configuration on its command line, if any; of a neutral slot one beside it.
    """
    before = detected.container.env(SLOT_VARIABLE) or ""
    if detected.start.obstacle:
        return _unusable(detected, f"because {detected.start.obstacle}", _RENDER)
    if detected.finding.dialect is Dialect.FLAGS:
        return _unusable(
            detected,
            "because it is one argument, and this engine takes three (Flags)",
            "Take the slot out of its manifest (kvsync render --slot --undo).",
        )
    if found is not None and not _holds(detected, found, before):
        return _unusable(
            detected,
            "because a KV event configuration of its own stands beside it, and the engine takes the "
            f"last one. It reads: {found.text}",
            f"Take that out, or write it as the value of {SLOT_VARIABLE}.",
        )
    as_word = detected.start.text is None
    if is_neutral(before) and stops(before, detected.finding.type, as_word=as_word):
        engine = ENGINES[detected.finding.type]
        return _unusable(
            detected,
            f"because {engine.name} does not start with its value, {before or 'an empty word'}",
            f"Write {NEUTRAL[detected.finding.type]} as the value of {SLOT_VARIABLE}.",
        )
    if found is None and not is_neutral(before):
        shown = before[:100].encode("unicode_escape").decode()
        return _unusable(
            detected,
            f"because its value is no KV event configuration: {shown}",
            f"{_RENDER} Other arguments belong into words of their own.",
        )
    return None


def slot_change(detected: Detected, word: str) -> TextChange | Refusal:
    """The variable's value with the argument in it, in place of all that it holds."""
    slot, container = detected.start.slot, detected.container
    assert slot is not None  # what makes it a launch by slot
    # A word of the manifest is one word to the engine, whatever stands in it.
    value = unpasted(word) if detected.start.text is None else fill_slot(slot, "", word)
    if value is None:
        return _unusable(
            detected,
            "because the script splits its value at blanks, and the argument has one",
            f'Write "${{{SLOT_VARIABLE}}}" into the script, in double quotes.',
        )
    found = last_item(container.body.get("env") or (), SLOT_VARIABLE)
    bare = found is not None and "value" not in found[1]
    before = container.env(SLOT_VARIABLE) or ""
    return TextChange(Place.ENV, value, replaced=before, variable=SLOT_VARIABLE, bare=bare)


def _holds(detected: Detected, found: Found, value: str) -> bool:
    """Whether a configuration is all that the slot's value is; a neutral value is none, and not looked at."""
    words: Sequence[str] = [
        word for start, end in found.spans for word in detected.start.words[start:end]
    ]
    own = len(words) == 1 and value in (words[0], quote_word(words[0]))
    return own and not is_neutral(value)


def _unusable(detected: Detected, why: str, remedy: str) -> Refusal:
    return Refusal(
        ModelReason.SLOT_UNUSABLE,
        f"Container {detected.finding.container} has a slot for KV events ({SLOT_VARIABLE}) that "
        f"cannot be used, {why}.",
        remedy,
    )
