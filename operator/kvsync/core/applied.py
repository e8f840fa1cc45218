"""Mode Render: whether a workload's owner has applied what an object wants, whoever wrote it, and how.

Nothing here is written, so no record says what was there before: what counts is what the pods get.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from kvsync.core.desired import Desired
from kvsync.core.planned import Change
from kvsync.core.recognise import is_record_lost, strip_recognised
from kvsync.core.revert import contains_run, record_of, strip
from kvsync.core.sidecar.pieces import has_relay, is_recognised, without_relay
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import Owner, Place
from kvsync.model.workload import Container, Deployment

_NAMED = 4
"""Changes that a message names; the patch has them all."""

_SHOWN = 120
"""Characters of each."""


def bases_of(workload: Deployment) -> Iterator[Deployment]:
    """The workload as it would be without what was applied for us, in the order in which to believe it.

    First what an owner wrote is his own: it is judged as any configuration, and kept where it works,
    without the relay, which nobody but us asks for. Only where that is in the way, words in the form in
    which they are printed count as ours: those of a wish that has changed since, or of a relay that
    goes.
    """
    if is_record_lost(workload):
        yield strip_recognised(workload)
        return
    base = strip(workload)
    if record_of(workload) is None and is_recognised(workload.template):
        base = base.with_template(without_relay(base.template, None))
    yield base
    by_form = strip_recognised(workload)
    if by_form.body != base.body:
        yield by_form


def as_applied(workload: Deployment, desired: Desired) -> Desired | None:
    """The pieces as they stand in a workload, in whichever of the two lists; None where one is missing.

    Declared ports inform, they open nothing: none is missing.
    """
    container = workload.container(desired.container)
    if (
        container is None
        or not _is_labelled(workload, desired)
        or not _is_relayed(workload, desired)
    ):
        return None
    found = _moved(container, desired)
    return replace(found, ports=()) if found.is_carried_by(container) else None


def _is_labelled(workload: Deployment, desired: Desired) -> bool:
    return desired.labels.items() <= workload.template_labels.items()


def _is_relayed(workload: Deployment, desired: Desired) -> bool:
    if desired.relay is None:
        return not is_recognised(workload.template)
    return has_relay(workload.template, desired.relay)


def _moved(container: Container, desired: Desired) -> Desired:
    """The pieces with the list in which their words stand."""
    words = desired.words
    if words is None:
        return desired
    for place in (words.place, Place.ARGS, Place.COMMAND):
        if contains_run(tuple(container.body.get(place.value) or ()), words.added):
            return replace(desired, words=replace(words, place=place))
    return desired


def not_applied(workload: Deployment, changes: Iterable[Change], owner: Owner) -> Refusal:
    """What to say of a workload whose owner has still to apply something."""
    told = [_short(change.what) for change in changes]
    more = f"; and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    made_by = workload.controller
    where = f"it is made by {made_by.get('kind')} {made_by.get('name')}: there" if made_by else ""
    return Refusal(
        ModelReason.NOT_APPLIED,
        f"{workload.title} lacks what is asked for, and mode Render writes nothing: "
        f"{'; '.join(told[:_NAMED])}{more}.",
        f"Commit the patch for its manifest{f' ({where})' if where else ''}: status.models[].patch, or "
        f"kvsync render {owner.namespace} {owner.name} -o kustomize, helm or argocd.",
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def labelled_by_nobody(workload: Deployment) -> Note:
    """What to know where an object leaves the gateway's label to the operator, which writes nothing."""
    return Note(
        ModelReason.NOT_LABELLED,
        f"spec.engine.labels is WhenVerified, and mode Render labels no pod: the gateway hears those of "
        f"{workload.title} only where somebody else does. Set it to Template to have the label in the "
        "patch.",
    )
