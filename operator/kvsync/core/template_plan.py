"""The plan for one pod template: what to change and why, or the refusal.

The target is always computed from the owner's own template (the live one without our changes) and
then compared with the live one. So planning twice gives nothing the second time, an edit by the
owner is simply a new base, and the inverse is known before anything is written.
"""

from __future__ import annotations

from dataclasses import replace

from kvsync.core.annotations import LARGEST_ANNOTATIONS, beyond_limit
from kvsync.core.applied import as_applied, bases_of, labelled_by_nobody
from kvsync.core.changes import changes_of
from kvsync.core.delivery import (
    TOKEN_FIELD,
    delivered,
    injection_of,
    refused,
    rendered_otherwise,
    stands,
)
from kvsync.core.desired import EVENTS_LABEL, configure, is_heard, record_for
from kvsync.core.detect import Detected
from kvsync.core.patch import difference, guarded
from kvsync.core.pieces import (
    Look,
    Pieces,
    carries,
    fingerprint,
    look_at,
    lost_record_notes,
    readable_record,
    strip_template,
    with_relay_kept,
)
from kvsync.core.planned import Ask, Change, ModelPlan, Outcome, Part
from kvsync.core.preflight import args_at_risk, judge
from kvsync.core.recognise import is_record_lost
from kvsync.core.revert import is_marked_by, record_of, token_of
from kvsync.model.finding import Refusal
from kvsync.model.injection import Injection
from kvsync.model.reasons import ModelReason
from kvsync.model.record import (
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    RelayChange,
    dump_record,
)
from kvsync.model.spec import EngineLabels, Mode
from kvsync.model.storm import role_of
from kvsync.model.workload import Deployment


def plan_template(deployment: Deployment, ask: Ask) -> ModelPlan:
    """What to do with a workload of one pod template: a Deployment, or a role of a StormService.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    if ask.spec.mode is Mode.RENDER:
        return _for_its_owner(deployment, ask)
    look = look_at(deployment, strip_template(deployment), ask)
    if isinstance(look, Refusal):
        return ModelPlan(Outcome.REFUSED, refusal=look)
    plan = _plan_admission if ask.spec.mode is Mode.ADMISSION else _plan_patch
    return plan(deployment, look, ask)


def _plan_patch(deployment: Deployment, look: Look, ask: Ask) -> ModelPlan:
    """The plan in mode Patch: the pieces stand in the workload."""
    base, kept = look.pod.base, _kept(deployment, look.pieces)
    pieces = look.pieces if kept is None else kept
    planned = _planned(deployment, look, pieces, ask)
    if kept is not None:
        planned = replace(planned, notes=(*planned.notes, *args_at_risk(deployment, ask.admission)))
        return _owned(planned, deployment, ask)
    refusal = _image_refused(deployment, pieces.desired.relay, ask)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    judged = judge(deployment, _target(base, pieces, ask), ask)
    refusal = judged if isinstance(judged, Refusal) else _unwritable(deployment, judged.target)
    if isinstance(judged, Refusal) or refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    planned = replace(
        planned,
        written=judged.written,
        claims=judged.claims,
        notes=(*planned.notes, *args_at_risk(judged.target, ask.admission)),
    )
    return _changed(planned, deployment, base, judged.target)


def _planned(deployment: Deployment, look: Look, pieces: Pieces, ask: Ask) -> ModelPlan:
    """What is known of a model whatever is done to it."""
    return ModelPlan(
        Outcome.UNCHANGED,
        parts=(_part(deployment, look.detected, pieces),),
        notes=(*pieces.notes, *lost_record_notes(deployment)),
        fingerprint=fingerprint(look.pod.base, pieces.desired, ask),
    )


def _target(base: Deployment, pieces: Pieces, ask: Ask) -> Deployment:
    """The workload as it shall be, without anything of ours where its owner's own template suffices."""
    if pieces.desired.is_nothing:
        return base
    record = record_for(base, pieces.desired, max(ask.at, ask.proven_at))
    return configure(base, pieces.desired, pieces.placement, ask.owner, record)


def _plan_admission(deployment: Deployment, look: Look, ask: Ask) -> ModelPlan:
    """The plan in mode Admission: of the workload only the token in its pod template is ours."""
    base, pieces = look.pod.base, with_relay_kept(deployment, look.pieces)
    planned, live = _planned(deployment, look, pieces, ask), readable_record(deployment)
    if live is not None and live.is_rendered:
        return _as_rendered(planned, deployment, pieces)
    if pieces.desired.is_nothing:
        return _adopted(planned, deployment, base)
    record = record_for(base, pieces.desired, max(ask.at, ask.proven_at))
    record = delivered(base, look.detected.container, record, pieces.placement)
    entry = injection_of(deployment.name, record)
    assert entry is not None  # made of a record that is delivered
    planned = replace(planned, parts=(_proven(planned.parts[0], entry),), injection=entry)
    if live is not None and stands(deployment, live) and live.injection == record.injection:
        return _owned(planned, deployment, ask)
    target = configure(base, pieces.desired, pieces.placement, ask.owner, record)
    refusal = (
        refused(base, pieces.desired.labels, entry)
        or _image_refused(deployment, pieces.desired.relay, ask)
        or _unwritable(deployment, target)
    )
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    return _changed(replace(planned, written=(TOKEN_FIELD,)), deployment, base, target)


def _adopted(planned: ModelPlan, deployment: Deployment, base: Deployment) -> ModelPlan:
    """A model whose owner's own template suffices: what is left of ours is taken off."""
    if readable_record(deployment) is None and not token_of(deployment):
        return planned
    refusal = _unwritable(deployment, base)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    return _changed(planned, deployment, base, base)


def _as_rendered(planned: ModelPlan, deployment: Deployment, pieces: Pieces) -> ModelPlan:
    """A model whose settings stand in its owner's Git: what he committed is his, and stays."""
    if carries(deployment, pieces.desired):
        return planned
    return ModelPlan(Outcome.REFUSED, refusal=rendered_otherwise(deployment))


def _proven(part: Part, entry: Injection) -> Part:
    """The part whose pods carry the label that proves what they got."""
    return replace(part, desired=replace(part.desired, labels=entry.labels))


def _for_its_owner(deployment: Deployment, ask: Ask) -> ModelPlan:
    """The plan where nothing is written (mode Render): the patch is for the workload's owner to apply."""
    looks = [look_at(deployment, base, ask) for base in bases_of(deployment)]
    look = next((each for each in looks if isinstance(each, Look)), looks[0])
    if isinstance(look, Refusal):
        return ModelPlan(Outcome.REFUSED, refusal=look)
    pieces = with_relay_kept(deployment, look.pieces)
    unheard = ask.spec.engine.labels is EngineLabels.WHEN_VERIFIED and is_heard(pieces.events)
    unlabelled = unheard and EVENTS_LABEL not in deployment.template_labels
    planned = ModelPlan(
        Outcome.UNCHANGED,
        notes=(*pieces.notes, *([labelled_by_nobody(deployment)] if unlabelled else ())),
    )
    applied = as_applied(deployment, pieces.desired)
    if applied is not None:
        pieces = replace(pieces, desired=applied)
        return replace(planned, parts=(_part(deployment, look.detected, pieces),))
    relay = pieces.desired.relay
    if relay is not None and not relay.body["image"]:
        return ModelPlan(Outcome.REFUSED, refusal=_without_image(deployment))
    record = record_for(look.pod.base, pieces.desired, 0)
    target = configure(look.pod.base, pieces.desired, pieces.placement, ask.owner, record)
    target = deployment.with_template(target.template)
    part = _part(deployment, look.detected, pieces)
    return replace(
        planned,
        outcome=Outcome.CHANGE,
        parts=(part,),
        patch=tuple(difference(deployment.body, target.body)),
        undo=tuple(difference(target.body, deployment.body)),
        changes=changes_of(part),
        restarts=deployment.replicas,
    )


def _kept(deployment: Deployment, found: Pieces) -> Pieces | None:
    """The pieces where the workload has all of them already, else None."""
    if is_record_lost(deployment):
        return None
    found = with_relay_kept(deployment, found)
    return found if carries(deployment, found.desired) else None


def _image_refused(deployment: Deployment, relay: RelayChange | None, ask: Ask) -> Refusal | None:
    """Why a relay is not made of its image: there is none, or the operator's owner did not allow it."""
    if relay is None:
        return None
    image = relay.body["image"]
    if not image:
        return _without_image(deployment)
    return None if ask.relays.permits(image) else _image_not_permitted(deployment, image)


def _image_not_permitted(deployment: Deployment, image: str) -> Refusal:
    # Whoever may write a KVEventSync need not have the right to run an image beside an engine.
    return Refusal(
        ModelReason.RELAY_IMAGE_NOT_PERMITTED,
        f"{deployment.title} is to have a relay of the image {image}, which the operator may not use.",
        "Leave spec.events.relay.image empty, or ask the operator's owner to allow the image "
        "(kvsync run --relay-images, chart value relayImages).",
    )


def _without_image(deployment: Deployment) -> Refusal:
    return Refusal(
        ModelReason.RELAY_IMAGE_UNKNOWN,
        f"{deployment.title} is to have a relay, and the operator was not told of its own image.",
        "Set spec.events.relay.image, or start the operator with KVSYNC_IMAGE, as its chart does.",
    )


def _part(deployment: Deployment, detected: Detected, pieces: Pieces) -> Part:
    return Part(
        detected.finding,
        pieces.desired,
        pieces.events,
        deployment.replicas,
        role_of(deployment),
        pieces.ports,
    )


def _unwritable(deployment: Deployment, target: Deployment) -> Refusal | None:
    """Why a change is not written although it is right: it would reach no pod, or be refused."""
    if deployment.body["spec"].get("paused"):
        return rollout_paused(deployment)
    return _too_large(deployment, target)


def rollout_paused(deployment: Deployment) -> Refusal:
    """The refusal of a change that reaches no pod, and would count as failed after its deadline."""
    return Refusal(
        ModelReason.ROLLOUT_PAUSED,
        f"The rollout of {deployment.title} is paused (spec.paused): no change would reach its pods.",
        "Set spec.paused to false (kubectl rollout resume); it is configured then.",
    )


def _too_large(deployment: Deployment, target: Deployment) -> Refusal | None:
    size = beyond_limit(target)
    if not size:
        return None
    return Refusal(
        ModelReason.RECORD_TOO_LARGE,
        f"The annotations of {deployment.title} would come to {size} bytes with the record of its "
        f"arguments, and the API server takes {LARGEST_ANNOTATIONS} at most.",
        "Take long annotations off it, and move long values, such as a chat template, from its arguments "
        "into a file.",
    )


def _changed(
    planned: ModelPlan, deployment: Deployment, base: Deployment, target: Deployment
) -> ModelPlan:
    part = planned.parts[0]
    patch = difference(deployment.body, target.body)
    restarts = deployment.replicas if target.template != deployment.template else 0
    return replace(
        planned,
        outcome=Outcome.CHANGE,
        patch=guarded(deployment, patch, part.desired.container),
        undo=tuple(difference(target.body, base.body)),
        changes=changes_of(part),
        restarts=restarts,
    )


def _owned(planned: ModelPlan, deployment: Deployment, ask: Ask) -> ModelPlan:
    """What is configured already may still need our mark, or a new time in its record.

    Its mark is missing after deletionPolicy Retain, and is another's where a revision of a gone
    object came back. What its owner rendered for Git stays his: our mark on it would be a difference.
    Where the record is older than what was seen working, or no longer ours, its time starts anew: it
    is on trial from now on.
    """
    record = record_of(deployment)
    # Without a mark that can be read nobody would undo it when the object goes.
    ours = is_marked_by(deployment, ask.owner)
    if record is None or record.is_rendered or (ours and record.at >= ask.proven_at):
        return planned
    annotations = {
        **deployment.annotations,
        OWNER_ANNOTATION: str(ask.owner),
        RECORD_ANNOTATION: dump_record(replace(record, at=max(ask.at, ask.proven_at))),
    }
    target = deployment.with_annotations(annotations)
    refusal = _too_large(deployment, target)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    return replace(
        planned,
        outcome=Outcome.CHANGE,
        patch=guarded(deployment, difference(deployment.body, target.body)),
        undo=tuple(difference(target.body, deployment.body)),
        changes=(Change("annotations of the Deployment", "they say who configured it, and when"),),
    )
