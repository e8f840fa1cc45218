"""A KV event configuration that a vLLM command line carries already: read it, merge ours into it.

Words are taken as vLLM's ``FlexibleArgumentParser`` takes them (``vllm/utils/argparse_utils.py``),
values as pydantic takes them for ``KVEventsConfig`` (``vllm/config/kv_events.py``; lax, unknown keys
refused). The parser takes dotted arguments out first and appends them as JSON at the end, where they
win over JSON that was given: it is dropped without a word. Here both count, as their owner meant.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsync.core.render import TemplateRenderError
from kvsync.model.reasons import ModelReason

CONFIG = "kv-events-config"
_ENABLE = "enable-kv-cache-events"
_DISABLE = f"no-{_ENABLE}"
_FLAG_KEYS = {
    _ENABLE: "enable_kv_cache_events",
    _DISABLE: "enable_kv_cache_events",
    "kv-events-buffer-steps": "buffer_steps",
    "kv-events-topic": "topic",
}
"""The product text's flags, and the key of the JSON that each stands for."""

# argparse takes a beginning that fits one flag only; these are the shortest (vLLM 0.9 to 0.33).
_SHORTEST = {
    CONFIG: "kv-e",
    _ENABLE: "enable-kv",
    _DISABLE: "no-enable-kv",
    "kv-events-buffer-steps": "kv-events-b",
    "kv-events-topic": "kv-events-t",
}
_TOO_SHORT = ("kv", "kv-")
_UNKNOWN = "?"

_LONGEST = 16_384
"""A longer configuration is not read: a real one has some 200 characters."""
_QUOTED = 300
_SHOWN = 80

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_WHOLE = re.compile(r"\s*[+-]?[0-9]+(_[0-9]+)*(\.0+)?\s*")
_HUMAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKmMgGtT])")
_STRING_OR_HUMAN = re.compile(r'"(?:[^"\\]|\\.)*"?|\b' + _HUMAN.pattern + r"\b", re.DOTALL)
# The kubelet puts a value for $(NAME), a shell for ${NAME}; JSON can hide a $ in an escape.
_REFERENCE = re.compile(r"\$[({]|\\u0024|\$\\u00(28|7b)", re.IGNORECASE)
_TCP = re.compile(r"tcp://(?P<host>.*):(?P<port>[0-9]{1,5})", re.DOTALL)
_LOOPBACK = re.compile(r"(127\..*|localhost|lo|(0*:)*:0*1|::ffff:127\..*)", re.IGNORECASE)


class Spelling(enum.StrEnum):
    """How a command line gives the configuration."""

    JSON = "JSON"
    """``--kv-events-config`` with a JSON object."""
    DOTTED = "dotted"
    """``--kv-events-config.topic x`` (pull requests 18208 and, for underscores in keys, 19030)."""
    FLAGS = "flags"
    """``--enable-kv-cache-events`` and the other two of the product text."""


@dataclass(frozen=True, slots=True)
class Found:
    """A configuration on a command line.

    ``spans`` are the ranges ``[start, end)`` of the words that hold it, in order, neighbours joined.
    ``settings`` are the keys that the owner gave, as meant: the last JSON, dotted keys on top, values
    as the engine takes them (``"yes"`` is true); empty where there is a problem. The flags count under
    the JSON's keys. ``count`` is how many times JSON was given. ``partly_read`` says that the engine
    drops some of it. ``text`` quotes the words, ``problem`` says what cannot be understood: the rest
    of a sentence, empty if all can.
    """

    spans: tuple[tuple[int, int], ...]
    settings: Mapping[str, Any]
    spellings: frozenset[Spelling]
    count: int
    partly_read: bool
    text: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """What the owner's configuration and ours come to.

    ``settings`` is complete, in our order. ``words`` go where the found ones stand; none if those are
    right as they are. ``notes`` say what of the owner's is changed or completed, ``kept`` names the
    keys of the owner's that differ from ours and stay.
    """

    settings: Mapping[str, Any]
    words: tuple[str, ...]
    notes: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why the two cannot be merged without breaking something, and what to do: a sentence each."""

    reason: ModelReason
    message: str
    remedy: str


class _UnreadableError(ValueError):
    """The rest of a sentence that says what cannot be understood."""


# Reading: which words it is, then what they say.


@dataclass(frozen=True, slots=True)
class _Given:
    """One argument: where its words stand, the flag as spelled and in full, dotted key, value."""

    places: tuple[int, ...]
    spelled: str
    flag: str
    key: str | None
    value: str | None

    @property
    def spelling(self) -> Spelling:
        if self.flag in _FLAG_KEYS:
            return Spelling.FLAGS
        return Spelling.JSON if self.key is None else Spelling.DOTTED


def find_event_config(words: Sequence[str], known: Collection[str] = ()) -> Found | None:
    """The KV event configuration on a command line, in any spelling; None if there is none.

    Args:
        words: the command line.
        known: keys beside the engine's eight that are no mistake (a replaced template's own).
    """
    given = tuple(_given(words))
    if not given:
        return None
    places = sorted(place for argument in given for place in argument.places)
    problem, settings = "", {}
    try:
        settings = _settings(given, [words[place] for place in places], {*_READERS, *known})
    except _UnreadableError as error:
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
    texts = [a.value for a in _given(words) if a.spelling is Spelling.JSON and a.value]
    try:
        settings = json.loads(texts[-1]) if texts else None
    except (ValueError, RecursionError) as error:
        raise TemplateRenderError(f"the template's --{CONFIG} is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise TemplateRenderError(f"the template must yield --{CONFIG}= with a JSON object")
    return settings


def _spans(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = places[0]
    for place, following in zip(places, [*places[1:], -1], strict=True):
        if following != place + 1:
            yield start, place + 1
            start = following


def _given(words: Sequence[str]) -> Iterator[_Given]:
    """Every argument about KV events: the whole ones in order, then the dotted ones in order."""
    dotted: list[_Given] = []
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
        flag = _full_name(_name(spelled), key)
        dotted.append(_Given(own, _name(spelled), flag, key, text))
    yield from (a for a in _whole(words, plain) if a.flag)
    yield from (a for a in dotted if a.flag)


def _whole(words: Sequence[str], plain: Sequence[int]) -> Iterator[_Given]:
    for place, following in zip(plain, [*plain[1:], -1], strict=False):
        spelled, equals, value = words[place].partition("=")
        name = _name(spelled)
        if equals:
            yield _Given((place,), name, _full_name(name, value), None, value)
            continue
        next_word = words[following] if following >= 0 else "-"  # as where a flag follows
        flag = _full_name(name, next_word)
        if flag in (_ENABLE, _DISABLE) and next_word.lower() not in _TRUE | _FALSE:
            yield _Given((place,), name, flag, None, "true")
        elif next_word.startswith("-"):
            yield _Given((place,), name, flag, None, None)
        else:
            yield _Given((place, following), name, flag, None, next_word)


def _name(spelled: str) -> str:
    """A flag's name with dashes for underscores; empty for a word that is no long flag."""
    return spelled[2:].replace("_", "-") if spelled.startswith("--") else ""


def _full_name(name: str, about: str) -> str:
    """The flag that a name stands for: unknown for one that only looks so, empty for another."""
    for full, shortest in _SHORTEST.items():
        if full.startswith(name) and name.startswith(shortest):
            return full
    too_short = name in _TOO_SHORT and any(key in about for key in _READERS)
    return _UNKNOWN if too_short or name.startswith("kv-event") else ""


def _settings(
    given: Sequence[_Given], words: Sequence[str], known: Collection[str]
) -> dict[str, Any]:
    for argument in given:
        _check_form(argument)
    if sum(map(len, words)) > _LONGEST:
        raise _UnreadableError(f"it is longer than {_LONGEST} characters")
    # The kubelet makes $ of $$: nothing is put in its place.
    if any(_REFERENCE.search(word.replace("$$", " ")) for word in words):
        raise _UnreadableError("it depends on a variable ($(NAME) or ${NAME})")
    flags = [argument for argument in given if argument.spelling is Spelling.FLAGS]
    if flags:
        if len(flags) < len(given):
            raise _UnreadableError(
                f"it mixes --{CONFIG} with --{flags[0].flag}: no engine has both"
            )
        return _checked({_FLAG_KEYS[a.flag]: _flag_value(a) for a in flags}, known)
    return _union(given, known)


def _check_form(argument: _Given) -> None:
    spelled = f"--{argument.spelled}"[:_SHOWN]
    if argument.flag == _UNKNOWN:
        raise _UnreadableError(f"{_shown(spelled)} names no flag of the engine, or several")
    if argument.key is not None and argument.flag != CONFIG:
        raise _UnreadableError(f"{spelled} takes no keys behind a dot")
    if argument.value is None:
        raise _UnreadableError(f"{spelled} has no value")


def _flag_value(argument: _Given) -> Any:
    return "false" if argument.flag == _DISABLE else argument.value


def _union(given: Sequence[_Given], known: Collection[str]) -> dict[str, Any]:
    """The last JSON and the dotted keys; a JSON before the last must still pass the parser."""
    wholes = [_checked(_object(a.value or ""), known) for a in given if a.key is None]
    groups: dict[str, dict[str, Any]] = {}
    for argument in given:
        if argument.key is not None:
            values = groups.setdefault(argument.spelled, {})
            values[_single(argument.key)] = _dotted_value(argument.value or "")
    union: dict[str, Any] = {}
    for piece in (*wholes[-1:], *(_checked(values, known) for values in groups.values())):
        for key, value in piece.items():
            if union.setdefault(key, value) != value:
                both = f"{_shown(union[key])} and {_shown(value)}"
                raise _UnreadableError(f"it gives {_named(key)} two values: {both}")
    return union


def _single(key: str) -> str:
    single = key.partition(".")[0].removesuffix("+")
    if single != key:
        raise _UnreadableError(f"{_named(single)} is given as a list or an object")
    return key


def _object(text: str) -> Mapping[str, Any]:
    if text in ("", "None"):  # what argparse's type of an optional setting takes for None
        return {}
    try:
        value = json.loads(_STRING_OR_HUMAN.sub(_expanded, text))
    except RecursionError:
        raise _UnreadableError("its JSON is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise _UnreadableError(f"its JSON is broken ({error})") from None
    if not isinstance(value, dict):
        raise _UnreadableError(f"its JSON is no object but {_shown(value)}")
    return value


def _expanded(match: re.Match[str]) -> str:
    """A bare ``10k`` as a number, which vLLM's newer releases (pull request 40473) make of it."""
    return match[0] if match[0].startswith('"') else str(_human(match[0]))


def _dotted_value(text: str) -> Any:
    """JSON if it is some, else a number such as ``10k``, else text."""
    try:
        return json.loads(text)
    except RecursionError:
        raise _UnreadableError("a value in it is nested too deeply") from None
    except ValueError:
        pass
    try:
        return _human(text)
    except (ValueError, OverflowError):
        return text


def _human(text: str) -> int:
    """A whole number, also with a unit: small letters count in thousands, capitals in 1024s."""
    match = _HUMAN.fullmatch(text.strip())
    if match is None:
        return int(text)
    number, unit = match.groups()
    power = "kmgt".index(unit.lower()) + 1
    return int(float(number) * 1000**power) if unit.islower() else int(number) * 1024**power


# The keys, and what the engine takes for each.

_Reader = Callable[[Any], Any]


def _switch(value: Any) -> bool:
    folded = value.lower() if isinstance(value, str) else value
    if isinstance(folded, int | float) and folded in (0, 1):
        return bool(folded)
    if folded in (*_TRUE, *_FALSE):
        return folded in _TRUE
    raise ValueError("true or false")


def _number(lowest: int, highest: int) -> _Reader:
    def read(value: Any) -> int:
        number = lowest - 1
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            number = int(value)
        elif isinstance(value, str) and _WHOLE.fullmatch(value):
            number = _int_of(value.partition(".")[0], number)
        if not lowest <= number <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return number

    return read


def _int_of(text: str, otherwise: int) -> int:
    try:
        return int(text)
    except ValueError:  # Python reads no more than 4300 digits
        return otherwise


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text in quotes")  # noqa: TRY004 - one kind of error for all readers
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("text that is valid Unicode") from None
    return value


def _text_or_null(value: Any) -> str | None:
    return None if value is None else _text(value)


_READERS: Mapping[str, _Reader] = {
    "enable_kv_cache_events": _switch,
    "publisher": _text,
    "endpoint": _text,
    "replay_endpoint": _text_or_null,
    # Bounds of what holds them: deque(maxlen), ZMQ's 32-bit option, Queue (0 and less: no bound).
    "buffer_steps": _number(0, 2**63 - 1),
    "hwm": _number(0, 2**31 - 1),
    "max_queue_size": _number(-(2**63), 2**63 - 1),
    "topic": _text,
}

_DEFAULTS: Mapping[str, Any] = {
    "enable_kv_cache_events": False,
    "endpoint": "tcp://*:5557",
    "replay_endpoint": None,
    "buffer_steps": 10000,
    "hwm": 100000,
    "max_queue_size": 100000,
    "topic": "",
}
"""What the engine does where a key is not given; the publisher differs by release."""


def _checked(values: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    checked = {}
    for key, value in values.items():
        if key not in known:
            meant = key.replace("-", "_")
            hint = f" (it is written {meant})" if meant in known else ""
            raise _UnreadableError(f"{_named(key)} is no key of it{hint}")
        try:
            checked[key] = _READERS[key](value) if key in _READERS else value
        except ValueError as error:
            raise _UnreadableError(f"{key} must be {error}, not {_shown(value)}") from None
    return checked


def _named(key: str) -> str:
    return key if key in _READERS else _shown(key)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of many digits"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# Merging: a rule for each key, and what the choice changes.


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
    unsaid = _DEFAULTS if publisher_required else {**_DEFAULTS, "publisher": "zmq"}
    chosen = _choose(found.settings, wanted)
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
    chosen = _choose(found.settings, ours.settings)
    if isinstance(chosen, Contradiction):
        return chosen
    notes = tuple(_changes(found.settings, chosen, _DEFAULTS))
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


_Rule = Callable[[str, Any, Any], Any]
"""From a key, the owner's value (None if not given) and ours: the value to have, or why not."""


def _choose(own: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | Contradiction:
    chosen: dict[str, Any] = {}
    for key, ours in wanted.items():
        value = _RULES.get(key, _owners)(key, own.get(key), ours)
        if isinstance(value, Contradiction):
            return value
        chosen[key] = value
    return chosen | {key: value for key, value in own.items() if key not in wanted}


def _owners(_key: str, own: Any, ours: Any) -> Any:
    return ours if own is None else own


def _on(_key: str, _own: Any, _ours: Any) -> bool:
    return True


def _zmq(key: str, own: str | None, ours: str) -> str | Contradiction:
    if own in (None, "null", ours):
        return ours
    return _already(
        key, own, f"the gateway hears {_shown(ours)} only", f'Write "{key}": {_shown(ours)}'
    )


def _topic(key: str, own: str | None, ours: str) -> str | Contradiction:
    """Subscribers take every topic that begins with ours."""
    if not own:
        return ours
    if own.startswith(ours):
        return own
    return _already(
        key,
        own,
        f"subscribers take topics that begin with {_shown(ours)} only",
        f"Set spec.events.topic to {_shown(own)} or a beginning of it",
    )


def _replay(key: str, own: str | None, ours: str | None) -> str | Contradiction | None:
    """The replay socket always binds, whatever the text (``ZmqEventPublisher._socket_setup``)."""
    if not own or ours is None:
        return own or ours
    return _reachable(key, own, ours, "spec.events.replayPort")


def _publish(key: str, own: str | None, ours: str) -> str | Contradiction:
    """The publishing socket binds where its text holds ``*`` or ``::``, and connects otherwise."""
    if own is None:
        return ours
    if _TCP.fullmatch(own) and own != ours and "*" not in own and "::" not in own:
        return Contradiction(
            ModelReason.ENDPOINT_CONNECTS,
            f"With {key} {_shown(own)} the engine connects there and opens no port: vLLM binds only "
            "where the text holds * or ::.",
            f'Write "{key}": {_shown(ours)} in the KV event configuration.',
        )
    return _reachable(key, own, ours, "spec.events.port")


def _reachable(key: str, own: str, ours: str, field: str) -> str | Contradiction:
    have, want = _TCP.fullmatch(own), _TCP.fullmatch(ours)
    if own == ours:
        return own
    write = f'Write "{key}": {_shown(ours)}'
    if have is None or not 0 < int(have["port"]) < 65536:
        return _already(key, own, "the gateway can reach a tcp port only", write)
    if _LOOPBACK.fullmatch(have["host"].strip("[]")):
        return _already(key, own, "that can be reached inside the pod only", write)
    if want is None or int(have["port"]) != int(want["port"]):
        port = int(have["port"])
        return _already(key, own, f"{_shown(ours)} is wanted", f"Set {field} to {port}")
    return own


_RULES: Mapping[str, _Rule] = {
    "enable_kv_cache_events": _on,
    "publisher": _zmq,
    "endpoint": _publish,
    "replay_endpoint": _replay,
    "topic": _topic,
}


def _already(key: str, own: Any, why: str, instead: str) -> Contradiction:
    return Contradiction(
        ModelReason.EVENTS_ALREADY_CONFIGURED,
        f"The KV event configuration has {key} {_shown(own)}, but {why}.",
        f"{instead}, or remove {key} from it and let the operator set it.",
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
            yield f"{key} was {_shown(own[key])} and is {_shown(value)} now."
        elif key not in own and (key not in unsaid or unsaid[key] != value):
            yield f"{key} was not given and is {_shown(value)} now."


def _kept(
    own: Mapping[str, Any], chosen: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[str, ...]:
    return tuple(k for k in chosen if k in own and own[k] == chosen[k] and own[k] != wanted.get(k))


def _flag_word(word: str, chosen: Mapping[str, Any]) -> str:
    spelled, equals, _ = word.partition("=")
    key = _FLAG_KEYS[_full_name(_name(spelled), "")]
    return f"{spelled}={chosen[key]}" if equals and key != "enable_kv_cache_events" else word
