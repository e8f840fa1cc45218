"""A KV event configuration that is there already, written by the workload's owner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kvsync.core.arguments import flag_of, kv_event_words

CONFIG_FLAG = "--kv-events-config"

# What the engine does where a key is not given; "publisher" differs by release, so it must be given.
_ENGINE_DEFAULTS: Mapping[str, Any] = {
    "enable_kv_cache_events": False,
    "endpoint": "tcp://*:5557",
    "replay_endpoint": None,
    "buffer_steps": 10000,
    "hwm": 100000,
    "max_queue_size": 100000,
    "topic": "",
}

# What the probe and the gateway depend on. Buffer sizes are the owner's to choose.
_MUST_AGREE = ("enable_kv_cache_events", "publisher", "endpoint", "replay_endpoint", "topic")


def satisfies(words: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the configuration on a command line already does what the rendered words would.

    ConfigJSON is compared by meaning, over the keys that something else depends on; the flags
    dialect by its words.
    """
    present = kv_event_words(words)
    if present == tuple(wanted):
        return True
    have, want = config_of(present), config_of(tuple(wanted))
    if have is None or want is None:
        return False
    return all(_setting(have, key) == _setting(want, key) for key in _MUST_AGREE)


def config_of(words: Sequence[str]) -> Mapping[str, Any] | None:
    """The JSON of a single ``--kv-events-config``; None where there is none, or more than that.

    Several, dotted or broken ones are never taken for settled: the engine drops JSON silently
    where a dotted argument stands beside it.
    """
    if not words or flag_of(words[0]) != CONFIG_FLAG[2:] or "." in words[0].partition("=")[0]:
        return None
    if "=" in words[0]:
        text, rest = words[0].partition("=")[2], words[1:]
    else:
        text, rest = "".join(words[1:2]), words[2:]
    if rest:
        return None
    try:
        config = json.loads(text)
    except ValueError:
        return None
    return config if isinstance(config, Mapping) else None


def _setting(config: Mapping[str, Any], key: str) -> Any:
    return config.get(key, _ENGINE_DEFAULTS.get(key))
