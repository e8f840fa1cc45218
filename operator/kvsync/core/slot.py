"""The slot: a word of the engine's command line that its owner leaves to us.

Its owner writes ``$(KVSYNC_KV_EVENTS)`` among the words and a variable of that name with a value that
turns nothing on. Configuring is then a change of that one value, in a list that Kubernetes merges by
name: the words stay as they are in Git.

Source: Kubernetes, ``third_party/forked/golang/expansion`` and ``pkg/kubelet/container/helpers.go``
(command and args are expanded by the whole environment, wherever the variable stands in it).
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsync.core.releases import NEUTRAL_EVENTS
from kvsync.model.spec import EngineType
from kvsync.model.workload import Container

SLOT_VARIABLE = "KVSYNC_KV_EVENTS"
"""The variable's name. It stands in users' manifests: it is an API."""

SLOT_WORD = f"$({SLOT_VARIABLE})"

NEUTRAL = {engine: values[0] for engine, values in NEUTRAL_EVENTS.items()}
"""What a slot holds while nothing is configured, where we write it."""

_KEEPING = frozenset({value for values in NEUTRAL_EVENTS.values() for value in values} | {""})


def is_neutral(value: str) -> bool:
    """Whether a slot's value only keeps the place; not every engine starts with each of them."""
    return value in _KEEPING


def stops(value: str, engine: EngineType, *, as_word: bool) -> bool:
    """Whether an engine does not start with a value that only keeps the place.

    Args:
        value: a neutral one.
        engine: which engine.
        as_word: whether an empty value is a word all the same, as in a container's args.
    """
    return as_word if value == "" else value not in NEUTRAL_EVENTS[engine]


def variable_obstacle(container: Container) -> str:
    """Why the slot's variable cannot be written, as a clause; empty if it can be."""
    env = container.body.get("env") or ()
    found = [item for item in env if item.get("name") == SLOT_VARIABLE]
    if not found:
        return "the container has no variable of that name in its env"
    if "valueFrom" in found[-1]:
        return "its value comes from elsewhere (valueFrom)"
    return ""


def words_obstacle(words: Sequence[str], options_end: int) -> str:
    """Why a slot among a container's words cannot be used, as a clause; empty if it can be."""
    times = words.count(SLOT_WORD)
    if times > 1:
        return f"it stands {times} times among the container's words"
    if words.index(SLOT_WORD) >= options_end:
        return "it stands behind --, where the engine takes no options"
    return ""
