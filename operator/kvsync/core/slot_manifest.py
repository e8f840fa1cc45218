"""A slot in a manifest: put in, and taken out. The way for Git, once for each model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kvsync.core.desired import our_labels, with_labels
from kvsync.core.detect import Detected, find_engine
from kvsync.core.engines import ENGINES
from kvsync.core.event_config.model import Found
from kvsync.core.event_config.read import find_event_config
from kvsync.core.launch import Launch
from kvsync.core.manifest import (
    UNSUPPORTED,
    Rendered,
    changed,
    read_workload,
    refused,
    unsupported,
)
from kvsync.core.placement import place
from kvsync.core.planned import Outcome
from kvsync.core.revert import put
from kvsync.core.slot import NEUTRAL, SLOT_VARIABLE, SLOT_WORD, is_neutral
from kvsync.core.slot_placement import slot_refusal
from kvsync.model.finding import Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import RECORD_ANNOTATION
from kvsync.model.spec import Dialect, EngineSpec
from kvsync.model.storm import Role, StormService
from kvsync.model.workload import JSON, Container, Deployment

_IN_SCRIPT = f'"${{{SLOT_VARIABLE}}}"'
_USE = re.compile(rf"\$[({{]?{SLOT_VARIABLE}\b")
_LISTS = ("command", "args")

Change = Callable[[Deployment], Deployment | Refusal]


def with_slot(body: JSON, engine: EngineSpec) -> Rendered:
    """The workload with a slot in each engine's command line, and the labels that harm nobody.

    The label by which a gateway finds pods is not among them: nothing publishes yet.

    Raises:
        ValueError: the manifest is no valid workload; the message names the field.
    """
    if body["kind"] in UNSUPPORTED:
        return unsupported(body)
    return _together(
        body,
        lambda each: _with_slot(each, _engine_for(each, engine)),
        "It has a slot already.",
    )


def without_slot(body: JSON) -> Rendered:
    """The workload without a slot; labels stay, for nobody can tell whose they are.

    Raises:
        ValueError: the manifest is no valid workload; the message names the field.
    """
    if body["kind"] in UNSUPPORTED:
        return unsupported(body)
    return _together(body, _without_slot, "It has no slot.")


def _together(body: JSON, change: Change, unchanged: str) -> Rendered:
    """A change of each pod template; a role that runs no engine is left as it is."""
    workload = read_workload(body)
    found = [(each, change(each)) for each in workload.templates]
    refusals = [(each, after) for each, after in found if isinstance(after, Refusal)]
    fatal = [
        after
        for _, after in refusals
        if after.reason != ModelReason.NO_ENGINE_CONTAINER or len(refusals) == len(found)
    ]
    if fatal:
        return refused(body, fatal[0])
    kept = [each if isinstance(after, Refusal) else after for each, after in found]
    if isinstance(workload, StormService):
        after = workload.with_templates([each.template for each in kept]).body
    else:
        after = kept[0].body
    if after == body:
        return Rendered(body, Outcome.UNCHANGED, message=unchanged)
    return changed(body, after, ())


def _engine_for(template: Deployment, engine: EngineSpec) -> EngineSpec:
    """A container that is named is that of the roles that have it; in others the engine is looked for."""
    named = template.container(engine.container) is not None
    return replace(engine, container="") if isinstance(template, Role) and not named else engine


def _with_slot(template: Deployment, engine: EngineSpec) -> Deployment | Refusal:
    if RECORD_ANNOTATION in template.annotations:
        return _configured_already(template)
    detected = find_engine(template, engine, None)
    if isinstance(detected, Refusal):
        return detected
    refusal = _refusal(detected)
    if refusal is not None:
        return refusal
    container = detected.container
    if detected.start.launch is not Launch.SLOT:
        words = _with_word(detected)
        if isinstance(words, Refusal):
            return words
        container = replace(container, body=_with_variable(words, NEUTRAL[engine.type]))
    after = template.with_container(container.index, container.body)
    again = find_engine(after, engine, None)
    if isinstance(again, Refusal) or again.start.launch is not Launch.SLOT:
        return _cannot(template, "its start cannot be read with a slot in it")
    labels = our_labels(after, again.finding, announced=False)
    labelled = after.with_template(with_labels(after.template, labels))
    return slot_refusal(again, _events(again)) or labelled


def _events(detected: Detected) -> Found | None:
    known = ENGINES[detected.finding.type].more_event_keys
    return find_event_config(detected.start.words, known)


def _refusal(detected: Detected) -> Refusal | None:
    if detected.start.launch is Launch.SLOT:
        return slot_refusal(detected, _events(detected))
    name, found = detected.finding.container, _events(detected)
    if detected.finding.dialect is Dialect.FLAGS:
        return Refusal(
            ModelReason.SLOT_UNUSABLE,
            f"Container {name} takes three flags (Flags), and a slot holds one argument; an engine "
            "of that kind would stop at the neutral one too.",
            "Let the operator add words of its own.",
        )
    if found is not None:
        return Refusal(
            ModelReason.EVENTS_ALREADY_CONFIGURED,
            f"Container {name} has a KV event configuration of its own. It reads: {found.text}.",
            "Take it out first. Or leave it: the operator takes one that is right as it is.",
        )
    return None


def _with_word(detected: Detected) -> JSON | Refusal:
    """The container's body with the slot among its words."""
    start, container = detected.start, detected.container
    if start.launch is Launch.SCRIPT:
        assert start.text is not None  # a plain command stands in a script
        assert start.command is not None
        text, end = start.text.text, start.command.end
        words = [*container.body[start.text.place.value]]
        words[start.text.index] = f"{text[:end]} {_IN_SCRIPT}{text[end:]}"
        return {**container.body, start.text.place.value: words}
    placed = place(detected, (SLOT_WORD,)) if start.launch is Launch.DIRECT else None
    if isinstance(placed, Refusal) or placed is None or placed.words is None:
        return Refusal(
            ModelReason.SHELL_WRAPPED,
            f"Container {container.name} starts through a shell or a variable, and where a slot "
            "belongs is not plain.",
            f"Write {_IN_SCRIPT} behind the engine's command in the script, and the variable "
            f"{SLOT_VARIABLE} with the value {NEUTRAL[detected.finding.type]} into env.",
        )
    return {**container.body, placed.words.place.value: [*placed.words.after]}


def _with_variable(body: JSON, neutral: str) -> JSON:
    env = [*(body.get("env") or ())]
    if not any(item.get("name") == SLOT_VARIABLE for item in env):
        env.append({"name": SLOT_VARIABLE, "value": neutral})
    return {**body, "env": env}


def _without_slot(template: Deployment) -> Deployment | Refusal:
    if RECORD_ANNOTATION in template.annotations:
        return _configured_already(template)
    after = template
    for container in template.containers:
        if not is_neutral(container.env(SLOT_VARIABLE) or ""):
            return _cannot(template, f"{SLOT_VARIABLE} holds a configuration; take that out first")
        body = _without_word(container)
        if any(_USE.search(word) for key in _LISTS for word in body.get(key) or ()):
            return _cannot(template, "its words name the slot where render does not write it")
        after = after.with_container(container.index, body)
    return after


def _without_word(container: Container) -> JSON:
    body = dict(container.body)
    for key in _LISTS:
        words: Sequence[str] = body.get(key) or ()
        left = [word.replace(f" {_IN_SCRIPT}", "") for word in words if word != SLOT_WORD]
        if left != [*words]:
            put(body, key, left, absent=True)
    env: Sequence[Mapping[str, Any]] = body.get("env") or ()
    others = [item for item in env if item.get("name") != SLOT_VARIABLE]
    if len(others) != len(env):
        put(body, "env", others, absent=True)
    return body


def _configured_already(template: Deployment) -> Refusal:
    return _cannot(template, "it holds what kvsync render, or the operator, wrote")


def _cannot(template: Deployment, why: str) -> Refusal:
    return Refusal(
        ModelReason.SLOT_UNUSABLE,
        f"The slot of {template.title} is not changed: {why}.",
        "Use the manifest as it was before (kvsync render --undo takes out what render wrote).",
    )
