"""The words of a command line that are about KV events, in any spelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvsync.core.event_config.keys import FALSE, READERS, TRUE
from kvsync.core.event_config.model import Spelling

CONFIG = "kv-events-config"
_ENABLE = "enable-kv-cache-events"
DISABLE = f"no-{_ENABLE}"

FLAG_KEYS = {
    _ENABLE: "enable_kv_cache_events",
    DISABLE: "enable_kv_cache_events",
    "kv-events-buffer-steps": "buffer_steps",
    "kv-events-topic": "topic",
}
"""The product text's flags, and the key of the JSON that each stands for."""

# argparse takes a beginning that fits one flag only; these are the shortest (vLLM 0.9 to 0.33).
_SHORTEST = {
    CONFIG: "kv-e",
    _ENABLE: "enable-kv",
    DISABLE: "no-enable-kv",
    "kv-events-buffer-steps": "kv-events-b",
    "kv-events-topic": "kv-events-t",
}

_TOO_SHORT = ("kv", "kv-")
UNKNOWN = "?"
"""What stands for a flag that no engine has, or that may be several."""


@dataclass(frozen=True, slots=True)
class Given:
    """One argument: where its words stand, the flag as spelled and in full, dotted key, value."""

    places: tuple[int, ...]
    spelled: str
    flag: str
    key: str | None
    value: str | None

    @property
    def spelling(self) -> Spelling:
        """How it gives the configuration."""
        if self.flag in FLAG_KEYS:
            return Spelling.FLAGS
        return Spelling.JSON if self.key is None else Spelling.DOTTED


def arguments_in(words: Sequence[str]) -> Iterator[Given]:
    """Every argument about KV events: the whole ones in order, then the dotted ones in order."""
    dotted: list[Given] = []
    plain: list[int] = []
    places = iter(range(len(words)))
    for place in places:
        name, equals, value = words[place].partition("=")
        if not (name.startswith("-") and "." in name):
            plain.append(place)
            continue
        # Without '=' the next word is its value, whatever it looks like.
        following = None if equals else next(places, None)
        own = (place,) if following is None else (place, following)
        text = words[following] if following is not None else value if equals else None
        spelled, _, key = name.partition(".")
        flag = full_name(flag_name(spelled), key)
        dotted.append(Given(own, flag_name(spelled), flag, key, text))
    yield from (a for a in _whole(words, plain) if a.flag)
    yield from (a for a in dotted if a.flag)


def _whole(words: Sequence[str], plain: Sequence[int]) -> Iterator[Given]:
    for place, following in zip(plain, [*plain[1:], -1], strict=False):
        spelled, equals, value = words[place].partition("=")
        name = flag_name(spelled)
        if equals:
            yield Given((place,), name, full_name(name, value), None, value)
            continue
        next_word = words[following] if following >= 0 else "-"  # as where a flag follows
        flag = full_name(name, next_word)
        if flag in (_ENABLE, DISABLE) and next_word.lower() not in TRUE | FALSE:
            yield Given((place,), name, flag, None, "true")
        elif next_word.startswith("-"):
            yield Given((place,), name, flag, None, None)
        else:
            yield Given((place, following), name, flag, None, next_word)


def flag_name(spelled: str) -> str:
    """A flag's name with dashes for underscores; empty for a word that is no long flag."""
    return spelled[2:].replace("_", "-") if spelled.startswith("--") else ""


def full_name(name: str, about: str) -> str:
    """The flag that a name stands for: unknown for one that only looks so, empty for another."""
    for full, shortest in _SHORTEST.items():
        if full.startswith(name) and name.startswith(shortest):
            return full
    too_short = name in _TOO_SHORT and any(key in about for key in READERS)
    return UNKNOWN if too_short or name.startswith("kv-event") else ""
