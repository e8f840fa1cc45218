"""Mode Admission: the pieces of a model as an entry of the status, given to its pods as they are created.

The pieces are those of mode Patch, found on the owner's own template. Only their delivery differs: the
pod template gets one annotation with the entry's token, the record keeps the pieces, and the admission
policy gives them to the pods that carry the token. So the entry can be made again from the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kvsync.core.digest import digest
from kvsync.core.ownership import Field
from kvsync.core.placement import Placement
from kvsync.core.revert import last_item, token_of
from kvsync.model.finding import Refusal
from kvsync.model.injection import INJECTED_LABEL, InjectedRelay, Injection
from kvsync.model.reasons import ModelReason
from kvsync.model.record import (
    INJECTION_ANNOTATION,
    Delivery,
    ListChange,
    Place,
    Record,
    Rewrite,
    Variable,
)
from kvsync.model.workload import Container, Deployment

TOKEN_FIELD = Field(f"annotation {INJECTION_ANNOTATION} of the pod template")
"""All of a workload that is written, as ownership and contests know it."""


def delivered(workload: Deployment, container: Container, record: Record, how: Placement) -> Record:
    """The record of a change that pods get at admission.

    Args:
        workload: the workload without our changes.
        container: its container that is changed.
        record: what is changed, as in mode Patch.
        how: where the command line is changed.
    """
    metadata = workload.template.get("metadata")
    noted = replace(
        record,
        injection=Delivery("", _edit(container, how)),
        metadata_absent=metadata is None,
        template_annotations_absent=(metadata or {}).get("annotations") is None,
        # What tells of pieces in a template is of no use here.
        ports_absent=False,
        labels_absent=False,
        env_absent=False,
    )
    entry = _entry(workload.name, noted).entry()
    token = digest({k: v for k, v in entry.items() if k not in ("since", "token")})
    return replace(noted, injection=Delivery(token, _edit(container, how)))


def _edit(container: Container, how: Placement) -> Rewrite | Variable | None:
    """The whole text before and after, where a piece of a text is changed."""
    if how.text is None:
        return None
    change, text = how.text.change, how.text.text
    if change.place is Place.ENV:
        found = last_item(container.body.get("env") or (), change.variable)
        before = None if found is None else str(found[1].get("value") or "")
        return Variable(change.variable, text, before)
    words = tuple(container.body.get(change.place.value) or ())
    at = how.text.index
    return Rewrite(change.place, words, (*words[:at], text, *words[at + 1 :]))


def injection_of(workload: str, record: Record | None, since: int = 0) -> Injection | None:
    """The entry that a record tells of; None where it tells of none.

    ``since`` is when it was published first, in seconds since the epoch.
    """
    if record is None or record.injection is None:
        return None
    entry, token = _entry(workload, record), record.injection.token
    labels = {**entry.labels, INJECTED_LABEL: token}
    return replace(entry, token=token, since=since, labels=labels)


def _entry(workload: str, record: Record) -> Injection:
    """The entry without its token, and without the label that proves it."""
    edit = record.injection.edit if record.injection is not None else None
    words = record.words
    appended = words is not None and _is_appended(words)
    if words is not None and not appended:
        edit = Rewrite(words.place, words.before or (), words.after)
    return Injection(
        workload=workload,
        container=record.container,
        token="",
        since=0,
        args=words.added if words is not None and appended else (),
        rewrite=edit if isinstance(edit, Rewrite) else None,
        env=edit if isinstance(edit, Variable) else None,
        ports=tuple((str(port["name"]), int(port["containerPort"])) for port in record.ports),
        labels={key: str(change.after) for key, change in record.labels.items()},
        relay=_relay(record),
    )


def _is_appended(words: ListChange) -> bool:
    """Whether our words stand behind all others of ``args``: then the others do not matter."""
    behind = words.after == (*(words.before or ()), *words.added)
    return words.place is Place.ARGS and not words.replaced and behind


def _relay(record: Record) -> InjectedRelay | None:
    relay = record.relay
    return InjectedRelay(relay.form.field, relay.body, relay.volume) if relay is not None else None


def stands(workload: Deployment, record: Record) -> bool:
    """Whether the pod template still carries the token of a record."""
    return record.injection is not None and token_of(workload) == record.injection.token


def refused(base: Deployment, labels: Mapping[str, str], entry: Injection) -> Refusal | None:
    """Why pods of a workload cannot be given an entry; None where they can.

    Args:
        base: the workload without our changes.
        labels: those that its pods lack.
        entry: what they would get.
    """
    present = base.template_labels
    taken = sorted(key for key in (*labels, INJECTED_LABEL) if key in present)
    if taken:
        return _label_taken(base, taken[0], present[taken[0]])
    if entry.relay is not None and (base.template.get("spec") or {}).get("resources"):
        return _pod_resources(base)
    return None if entry.fits else _too_large(base)


def _label_taken(base: Deployment, label: str, value: str) -> Refusal:
    # A ReplicaSet lets go of a pod whose labels its selector does not match, and makes another one.
    return Refusal(
        ModelReason.UNSUPPORTED,
        f"The pod template of {base.title} has the label {label}={value}, and a label is never changed "
        "at admission: the pod could be lost to its ReplicaSet.",
        "Take the label out of its manifest, or set spec.mode to Patch or Render.",
    )


def _pod_resources(base: Deployment) -> Refusal:
    # Those of one more container may be more than the pod as a whole is given: it would be refused.
    return Refusal(
        ModelReason.UNSUPPORTED,
        f"The pods of {base.title} have resources as a whole (spec.resources), and a relay is not put beside "
        "such ones at admission.",
        'Set spec.mode to Patch, or spec.events.relay.mode to "Off".',
    )


def _too_large(base: Deployment) -> Refusal:
    return Refusal(
        ModelReason.RECORD_TOO_LARGE,
        f"The command line of {base.title} is too long to be kept in status.injections.",
        "Move long values, such as a chat template, into a file, or set spec.mode to Patch.",
    )


def unsupported(workload: Deployment) -> Refusal:
    """The refusal of a workload whose pods no ReplicaSet makes."""
    return Refusal(
        ModelReason.UNSUPPORTED,
        f"{workload.title}: mode Admission reaches the pods of Deployments only.",
        "Set spec.mode of its KVEventSync to Patch or Render, or leave it out of this one.",
    )


def rendered_otherwise(workload: Deployment) -> Refusal:
    """The refusal of a workload whose manifest has settings for Git, and others than are wanted now."""
    return Refusal(
        ModelReason.UNSUPPORTED,
        f"{workload.title} has the settings of an earlier kvsync render in its manifest, and mode Admission "
        "leaves to its owner what stands there.",
        "Take them out of the manifest (kvsync render --undo), render it anew, or set spec.mode to Patch.",
    )


def with_token(template: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The pod template with the annotation that restarts it, which its pods carry too."""
    metadata = template.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), INJECTION_ANNOTATION: token}
    return {**template, "metadata": {**metadata, "annotations": annotations}}
