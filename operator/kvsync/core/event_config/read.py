"""A configuration of KV events, read from a command line."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from kvsync.core.event_config.arguments import CONFIG, arguments_in
from kvsync.core.event_config.keys import READERS, UnreadableError
from kvsync.core.event_config.model import Found, Spelling
from kvsync.core.event_config.values import settings_in
from kvsync.core.render import TemplateRenderError

_QUOTED = 300


def find_event_config(words: Sequence[str], known: Collection[str] = ()) -> Found | None:
    """The KV event configuration on a command line, in any spelling; None if there is none.

    Args:
        words: the command line.
        known: keys beside the engine's eight that are no mistake (a replaced template's own).
    """
    given = tuple(arguments_in(words))
    if not given:
        return None
    places = sorted(place for argument in given for place in argument.places)
    problem, settings = "", {}
    try:
        settings = settings_in(given, [words[place] for place in places], {*READERS, *known})
    except UnreadableError as error:
        problem = str(error)
    dotted = {argument.spelled for argument in given if argument.spelling is Spelling.DOTTED}
    count = sum(a.flag == CONFIG and a.key is None and a.value is not None for a in given)
    text = " ".join(words[place][:_QUOTED] for place in places)[:_QUOTED]
    return Found(
        spans=tuple(_spans(places)),
        settings=settings,
        spellings=frozenset(argument.spelling for argument in given),
        count=count,
        partly_read=len(dotted) + bool(count) > 1,
        text=text.encode("utf-8", "backslashreplace").decode(),
        problem=problem,
    )


def settings_of(words: Sequence[str]) -> Mapping[str, Any]:
    """The JSON object in the operator's own rendered words; unchecked, as a template may add keys.

    Raises:
        TemplateRenderError: they hold no ``--kv-events-config`` with a JSON object.
    """
    texts = [a.value for a in arguments_in(words) if a.spelling is Spelling.JSON and a.value]
    try:
        settings = json.loads(texts[-1]) if texts else None
    except (ValueError, RecursionError) as error:
        raise TemplateRenderError(f"the template's --{CONFIG} is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise TemplateRenderError(f"the template must yield --{CONFIG}= with a JSON object")
    return settings


def with_settings(words: Sequence[str], changes: Mapping[str, Any]) -> tuple[str, ...]:
    """The operator's own rendered words with other values for some keys of their JSON object.

    Raises:
        TemplateRenderError: they hold no ``--kv-events-config`` with a JSON object.
    """
    after = json.dumps({**settings_of(words), **changes}, separators=(",", ":"))
    given = [a for a in arguments_in(words) if a.spelling is Spelling.JSON and a.value][-1]
    changed = [*words]
    for place in given.places:
        changed[place] = changed[place].replace(str(given.value), after)
    return tuple(changed)


def _spans(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = places[0]
    for place, following in zip(places, [*places[1:], -1], strict=True):
        if following != place + 1:
            yield start, place + 1
            start = following
