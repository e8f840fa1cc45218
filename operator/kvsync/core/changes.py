"""The changes of a plan as sentences for a person."""

from __future__ import annotations

from kvsync.core.desired import Desired
from kvsync.core.planned import Change, Part
from kvsync.model.injection import INJECTED_LABEL
from kvsync.model.record import INJECTION_ANNOTATION
from kvsync.model.relay import RelayForm


def changes_of(part: Part) -> tuple[Change, ...]:
    """The changes as sentences."""
    engine, desired = part.engine, part.desired
    told = []
    if part.token:
        what = f"pod template annotation {INJECTION_ANNOTATION}={part.token}"
        told.append(Change(what, "it restarts the pods; they get the rest as they are created"))
    if desired.words is not None or desired.text is not None:
        why = f"so that it publishes KV events, {engine.dialect}"
        told.append(Change(_command_line(desired), why))
    if desired.relay is not None:
        relay = desired.relay.body
        kind = "native sidecar" if desired.relay.form is RelayForm.NATIVE else "container"
        what = f"{kind} {relay['name']} (image {relay['image']}), with a volume for it"
        told.append(
            Change(what, "it passes the engine's events on such that the gateway uses them")
        )
    if desired.ports:
        ports = ", ".join(f"{port['containerPort']} ({port['name']})" for port in desired.ports)
        what = f"container {desired.container}: declare ports {ports}"
        told.append(Change(what, "so that people and policies see them"))
    for key, value in desired.labels.items():
        if key == INJECTED_LABEL:
            continue
        told.append(Change(f"pod label {key}={value}", "the gateway finds the pods by it"))
    return tuple(told)


def _command_line(desired: Desired) -> str:
    added = " ".join(desired.arguments)
    where = f"container {desired.container}: "
    if desired.words is not None:
        replaced = " ".join(desired.words.replaced)
        instead = f" instead of {replaced}" if replaced else ""
        return f"{where}add to {desired.words.place}: {added}{instead}"
    assert desired.text is not None
    change = desired.text
    place = f"variable {change.variable}" if change.variable else f"the script in {change.place}"
    instead = f" instead of {change.replaced.strip()}" if change.replaced else ""
    return f"{where}add to {place}: {added}{instead}"
