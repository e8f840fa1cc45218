"""Configurations for the tests: written, read, merged, and as the testbed's parser hears them.

The reading is held against that parser, which was held against vLLM's own.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kvsync.adapters.templates import read_templates
from kvsync.core.event_config.merge import merge
from kvsync.core.event_config.model import Contradiction, Found, Merged
from kvsync.core.event_config.read import find_event_config, settings_of
from kvsync.core.render import engine_arguments
from kvsync.model.spec import Dialect, EngineType, EventsSpec
from testbed.engine.arguments import parse_serve
from testbed.engine.events_config import EventsConfig
from testbed.engine.versions import Build, Version

Json = dict[str, Any]
TEMPLATES = read_templates()
(CONFIG,) = engine_arguments(TEMPLATES, EngineType.VLLM, Dialect.CONFIG_JSON, EventsSpec())
FLAGS = engine_arguments(TEMPLATES, EngineType.VLLM, Dialect.FLAGS, EventsSpec())
WANTED = settings_of([CONFIG])

RIGHT: Json = {
    "enable_kv_cache_events": True,
    "publisher": "zmq",
    "replay_endpoint": "tcp://*:5558",
}

MARK = "--kv-events-config"


def found_in(*words: str) -> Found:
    found = find_event_config(words)
    assert found is not None
    return found


def config(settings: Json) -> str:
    return f"{MARK}={json.dumps(settings)}"


def merged(*words: str, wanted: Json | None = None, required: bool = False) -> Merged:
    made = merge(found_in(*words), {**WANTED, **(wanted or {})}, publisher_required=required)
    assert isinstance(made, Merged), made
    return made


def refused(*words: str, wanted: Json | None = None) -> Contradiction:
    made = merge(found_in(*words), {**WANTED, **(wanted or {})}, publisher_required=False)
    assert isinstance(made, Contradiction), made
    return made


def in_place(words: Sequence[str], found: Found, new: Sequence[str]) -> list[str]:
    """The command line with the new words where the first of the found ones stands."""
    if not new:
        return list(words)
    taken = {place for start, end in found.spans for place in range(start, end)}
    first = found.spans[0][0]
    kept = [word for place, word in enumerate(words) if place not in taken and place > first]
    return [*words[:first], *new, *kept]


def heard(words: Sequence[str]) -> EventsConfig:
    """What the testbed's parser makes of a command line: vLLM's 0.32."""
    parsed = parse_serve(Build(Version(0, 32)), words).options.kv_events_config
    return parsed if parsed is not None else EventsConfig()


def resolved(settings: Mapping[str, Any]) -> EventsConfig:
    """What the engine makes of the keys it was given."""
    default: Json = {"publisher": "zmq" if settings.get("enable_kv_cache_events") else "null"}
    return EventsConfig(**(default | dict(settings)))
