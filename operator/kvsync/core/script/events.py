"""The words of a script that configure KV events."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kvsync.core.arguments import kv_event_words
from kvsync.core.script.calls import Call

EVENT_FLAG = re.compile(r"--(?:kv[-_]events|enable[-_]kv[-_]cache[-_]events)[\w.-]*(?:=[^\s'\"]*)?")


def flags_in(text: str) -> tuple[str, ...]:
    """What looks like a flag of KV events in any text, with the value that is joined to it."""
    return tuple(match.group() for match in EVENT_FLAG.finditer(text))


def event_words(calls: Iterable[Call], text: str) -> tuple[str, ...]:
    """What configures KV events: as words of commands, and else as it stands in the text."""
    found: list[str] = []
    for call in calls:
        if not call.evaluated:  # its arguments are read as a layer of their own
            found += kv_event_words(call.texts)
    for flag in flags_in(text):
        if not any(flag in word for word in found):
            found.append(flag)
    return tuple(found)
