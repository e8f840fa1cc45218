"""Our own pieces on a workload whose record is lost: known by their form, and by nothing else.

What stood there before is lost with the record, so only what nobody but us writes in this form is
taken out: the arguments as the templates render them, the ports by our names, the label that came
with them. Labels that an owner may have set himself stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kvsync.core.desired import EVENTS_LABEL, PORT_NAME, REPLAY_PORT_NAME
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT
from kvsync.core.revert import put, readable, record_of, without_token
from kvsync.core.sidecar.pieces import is_recognised, without_relay
from kvsync.core.slot import NEUTRAL, SLOT_VARIABLE
from kvsync.model.record import (
    OUR_ANNOTATIONS,
    OWNER_ANNOTATION,
    REJECTED_ANNOTATION,
    Place,
    Record,
)
from kvsync.model.spec import EngineType
from kvsync.model.workload import Deployment

_CONFIG = re.compile(r" ?(?P<quote>'?)--kv-events-config=(?P<config>\{[^{}']*\})(?P=quote)(?!\S)")
_FLAGS = re.compile(
    r" ?--enable-kv-cache-events --kv-events-buffer-steps=\d+ --kv-events-topic=[^\s']*(?!\S)"
)
_KEYS = {
    "vllm": (
        *("enable_kv_cache_events", "publisher", "endpoint", "replay_endpoint"),
        *("buffer_steps", "hwm", "max_queue_size", "topic"),
    ),
    "sglang": (
        *("publisher", "endpoint", "replay_endpoint"),
        *("buffer_steps", "hwm", "max_queue_size", "topic"),
    ),
}


def is_record_lost(deployment: Deployment) -> bool:
    """Whether we changed a workload and cannot read what: its record is edited, or gone.

    A model that was rolled back has no record either: nothing of ours is on it.
    """
    if not readable(deployment):
        return True
    marks = deployment.annotations
    marked = OWNER_ANNOTATION in marks and REJECTED_ANNOTATION not in marks
    return marked and record_of(deployment) is None


def newest_record(workload: Deployment) -> Record | None:
    """The record on a workload, of a StormService that of the role changed last; None if it is lost."""
    records = [record_of(each) for each in workload.templates if not is_record_lost(each)]
    return max((r for r in records if r is not None), key=lambda r: r.at, default=None)


def strip_recognised(deployment: Deployment) -> Deployment:
    """The workload without the pieces that are recognisably ours."""
    kept = {k: v for k, v in deployment.annotations.items() if k not in OUR_ANNOTATIONS}
    stripped = without_token(deployment.with_annotations(kept or None), None)
    found = False
    for container in deployment.containers:
        body = _without_pieces(container.body)
        if body != container.body:
            found = True
            stripped = stripped.with_container(container.index, body)
    if is_recognised(stripped.template):
        found = True
        stripped = stripped.with_template(without_relay(stripped.template, None))
    return _without_label(stripped) if found else stripped


def _without_pieces(body: Mapping[str, Any]) -> dict[str, Any]:
    ours = {pair for text in _texts(body) for pair in _ports_in(text)}
    if not ours:
        return dict(body)
    changed = dict(body)
    for place in (Place.ARGS, Place.COMMAND):
        if body.get(place.value):
            put(changed, place.value, _without_words([*body[place.value]]), absent=True)
    if body.get("env"):
        changed["env"] = [_without_piece(each) for each in body["env"]]
    if body.get("ports"):
        put(changed, "ports", [p for p in body["ports"] if _named(p) not in ours], absent=True)
    return changed


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    """Where our arguments may stand: as words, in a script among them, in a variable."""
    for place in (Place.ARGS, Place.COMMAND):
        yield from body.get(place.value) or ()
        yield " ".join(body.get(place.value) or ())
    yield from (str(item.get("value") or "") for item in body.get("env") or ())


def _ports_in(text: str) -> Iterator[tuple[str, int]]:
    """The ports by our names that come with our arguments, if a text has any of those."""
    if _FLAGS.search(text):
        yield from ((PORT_NAME, GATEWAY_PORT), (REPLAY_PORT_NAME, GATEWAY_REPLAY_PORT))
    for match in _CONFIG.finditer(text):
        if _is_rendered(match["config"]):
            config = json.loads(match["config"])
            yield PORT_NAME, _number(config["endpoint"])
            yield REPLAY_PORT_NAME, _number(config["replay_endpoint"])


def _number(endpoint: object) -> int:
    digits = str(endpoint).rpartition(":")[2]
    return int(digits) if digits.isdecimal() else 0


def _named(port: Mapping[str, Any]) -> tuple[str, object]:
    """A port by its name without the number that made the name unique."""
    name = re.sub(r"-\d+$", "", str(port.get("name", "")))
    return name, port.get("containerPort")


def _without_words(words: list[str]) -> list[str]:
    left = [cut for word in words if (cut := _without_text(word)) or not word]
    for start in range(len(left) - 2):
        if _FLAGS.fullmatch(" ".join(left[start : start + 3])):
            return left[:start] + left[start + 3 :]
    return left


def _without_piece(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variable without our argument; an empty one stays, it may have been there before us."""
    value = str(item.get("value") or "")
    cut = _without_text(value)
    if cut == value:
        return item
    # A slot that held nothing would be an empty word, which no engine takes.
    empty = NEUTRAL[_kind_of(value)] if item.get("name") == SLOT_VARIABLE else ""
    return {**item, "value": cut or empty}


def _kind_of(text: str) -> EngineType:
    """The engine that a piece of ours was written for, by the keys of its configuration."""
    found = (match["config"] for match in _CONFIG.finditer(text) if _is_rendered(match["config"]))
    keys = tuple(json.loads(next(found, "{}")))
    return EngineType.SGLANG if keys == _KEYS["sglang"] else EngineType.VLLM


def _without_text(text: str) -> str:
    text = _CONFIG.sub(lambda match: "" if _is_rendered(match["config"]) else match[0], text)
    return _FLAGS.sub("", text)


def _is_rendered(text: str) -> bool:
    """Whether a configuration is written as our templates write it, to the letter."""
    try:
        config = json.loads(text)
    except ValueError:
        return False
    compact = json.dumps(config, separators=(",", ":")) == text
    return compact and isinstance(config, dict) and tuple(config) in _KEYS.values()


def _without_label(deployment: Deployment) -> Deployment:
    if deployment.template_labels.get(EVENTS_LABEL) != "true":
        return deployment
    metadata = deployment.template["metadata"]
    labels = {k: v for k, v in metadata["labels"].items() if k != EVENTS_LABEL}
    return deployment.with_template(
        {**deployment.template, "metadata": {**metadata, "labels": labels}}
    )
