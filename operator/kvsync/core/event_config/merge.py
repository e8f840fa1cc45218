"""One configuration out of the owner's and ours, and what the choice changes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from kvsync.core.event_config.arguments import CONFIG, FLAG_KEYS, flag_name, full_name
from kvsync.core.event_config.keys import DEFAULTS, shown
from kvsync.core.event_config.model import Contradiction, Found, Merged, Spelling
from kvsync.core.event_config.read import find_event_config
from kvsync.core.event_config.rules import choose
from kvsync.core.render import TemplateRenderError
from kvsync.model.reasons import ModelReason


def merge(
    found: Found, wanted: Mapping[str, Any], *, publisher_required: bool
) -> Merged | Contradiction:
    """One JSON configuration out of the owner's and ours.

    A key that the owner gave is kept unless events would not reach the gateway with it; a key that
    was not given stands at the engine's default. What somebody may depend on is never changed: that
    is a contradiction.

    Args:
        found: the owner's.
        wanted: the JSON object of our template (:func:`settings_of`).
        publisher_required: whether the engine does not start without the key (up to 0.11.0).
    """
    refusal = _unusable(found, wrong={Spelling.FLAGS})
    if refusal is not None:
        return refusal
    unsaid = DEFAULTS if publisher_required else {**DEFAULTS, "publisher": "zmq"}
    chosen = choose(found.settings, wanted)
    if isinstance(chosen, Contradiction):
        return chosen
    notes = (*_parts(found), *_changes(found.settings, chosen, unsaid))
    word = f"--{CONFIG}={json.dumps(chosen, separators=(',', ':'))}"
    return Merged(chosen, (word,) if notes else (), notes, _kept(found.settings, chosen, wanted))


def merge_flags(found: Found, wanted_words: Sequence[str]) -> Merged | Contradiction:
    """The product text's flags out of the owner's and ours, all of them, by the rules of merge.

    Args:
        found: the owner's.
        wanted_words: the words of our template, one word a flag.

    Raises:
        TemplateRenderError: those are no such flags.
    """
    refusal = _unusable(found, wrong={Spelling.JSON, Spelling.DOTTED})
    if refusal is not None:
        return refusal
    ours = find_event_config(wanted_words)
    if ours is None or ours.problem or ours.spellings != {Spelling.FLAGS}:
        raise TemplateRenderError("the template must yield the flags of the product text")
    chosen = choose(found.settings, ours.settings)
    if isinstance(chosen, Contradiction):
        return chosen
    notes = tuple(_changes(found.settings, chosen, DEFAULTS))
    words = tuple(_flag_word(word, chosen) for word in wanted_words) if notes else ()
    return Merged(chosen, words, notes, _kept(found.settings, chosen, ours.settings))


def _unusable(found: Found, wrong: Collection[Spelling]) -> Contradiction | None:
    if found.problem:
        return Contradiction(
            ModelReason.EVENTS_CONFIG_INVALID,
            f"The KV event configuration cannot be understood: {found.problem}. "
            f"It reads: {found.text}.",
            "Correct it, or remove it and let the operator write it.",
        )
    if not found.spellings & set(wrong):
        return None
    known, other = (f"--{CONFIG}", "Flags") if Spelling.FLAGS in wrong else ("flags", "ConfigJSON")
    return Contradiction(
        ModelReason.EVENTS_ALREADY_CONFIGURED,
        f"The KV event configuration is not in the form that the engine takes ({known}). "
        f"It reads: {found.text}.",
        f"Remove it, or set spec.engine.dialect to {other} if this build takes it.",
    )


def _parts(found: Found) -> Iterator[str]:
    if not found.partly_read:
        return
    if found.count:
        yield "The engine drops JSON that stands beside dotted arguments; it is one JSON now."
    else:
        yield "The engine drops dotted arguments of a second spelling; it is one JSON now."


def _changes(
    own: Mapping[str, Any], chosen: Mapping[str, Any], unsaid: Mapping[str, Any]
) -> Iterator[str]:
    """What differs from what the engine would do by the owner's configuration alone."""
    for key, value in chosen.items():
        if key in own and own[key] != value:
            yield f"{key} was {shown(own[key])} and is {shown(value)} now."
        elif key not in own and (key not in unsaid or unsaid[key] != value):
            yield f"{key} was not given and is {shown(value)} now."


def _kept(
    own: Mapping[str, Any], chosen: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[str, ...]:
    return tuple(k for k in chosen if k in own and own[k] == chosen[k] and own[k] != wanted.get(k))


def _flag_word(word: str, chosen: Mapping[str, Any]) -> str:
    spelled, equals, _ = word.partition("=")
    key = FLAG_KEYS[full_name(flag_name(spelled), "")]
    return f"{spelled}={chosen[key]}" if equals and key != "enable_kv_cache_events" else word
