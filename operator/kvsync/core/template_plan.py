"""The plan for one pod template: what to change and why, or the refusal.

The target is always computed from the owner's own template (the live one without our changes) and
then compared with the live one. So planning twice gives nothing the second time, an edit by the
owner is simply a new base, and the inverse is known before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from kvsync.core.applied import as_applied, bases_of, labelled_by_nobody
from kvsync.core.arguments import KV_EVENT_FLAGS, flag_of
from kvsync.core.caution import notes
from kvsync.core.delivery import TOKEN_FIELD, delivered, injection_of, refused, stands
from kvsync.core.desired import (
    EVENTS_LABEL,
    Desired,
    configure,
    desire,
    is_heard,
    record_for,
)
from kvsync.core.detect import Detected, find_engine
from kvsync.core.digest import digest
from kvsync.core.guard import Case, check
from kvsync.core.patch import difference, guarded
from kvsync.core.placement import Placement, place
from kvsync.core.planned import Ask, Change, ModelPlan, Outcome, Part
from kvsync.core.ports import EnginePod, settle_ports
from kvsync.core.preflight import args_at_risk, judge
from kvsync.core.recognise import is_record_lost, strip_recognised
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT
from kvsync.core.render import engine_arguments
from kvsync.core.revert import carries_words, record_of, strip, token_of
from kvsync.core.sidecar.choice import ANY_ENGINE, choose_relay
from kvsync.core.sidecar.form import RelayWish, to_relay
from kvsync.core.sidecar.pieces import has_relay, is_recognised
from kvsync.model.finding import Note, Refusal
from kvsync.model.injection import INJECTED_LABEL, Injection
from kvsync.model.reasons import ModelReason
from kvsync.model.record import (
    INJECTION_ANNOTATION,
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    Record,
    RelayChange,
    TextChange,
    dump_record,
    parse_owner,
)
from kvsync.model.relay import RelayForm, RelayPorts
from kvsync.model.spec import Dialect, EngineLabels, EventsSpec, Mode, RelayMode
from kvsync.model.storm import role_of
from kvsync.model.workload import Container, Deployment

_LARGEST_ANNOTATIONS = 256 * 1024
"""Bytes of all annotations of an object (Kubernetes, ``TotalAnnotationSizeLimitB``)."""


def plan_template(deployment: Deployment, ask: Ask) -> ModelPlan:
    """What to do with a workload of one pod template: a Deployment, or a role of a StormService.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    if ask.spec.mode is Mode.RENDER:
        return _for_its_owner(deployment, ask)
    look = _look_at(deployment, strip_template(deployment), ask)
    if isinstance(look, Refusal):
        return ModelPlan(Outcome.REFUSED, refusal=look)
    plan = _plan_admission if ask.spec.mode is Mode.ADMISSION else _plan_patch
    return plan(deployment, look.detected, look.pod, look.pieces, ask)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found out about a pod template, from how it is without our changes."""

    detected: Detected
    pod: EnginePod
    pieces: _Pieces


def _look_at(deployment: Deployment, base: Deployment, ask: Ask) -> _Look | Refusal:
    written, role = written_dialect(deployment), role_of(deployment)
    detected = find_engine(base, ask.spec.engine, ask.running_versions.get(role), written)
    if isinstance(detected, Refusal):
        return detected
    pod = EnginePod(base, detected.container, detected.finding)
    pieces = _find_pieces(deployment, detected, pod, ask)
    return pieces if isinstance(pieces, Refusal) else _Look(detected, pod, pieces)


def _plan_patch(
    deployment: Deployment, detected: Detected, pod: EnginePod, found: _Pieces, ask: Ask
) -> ModelPlan:
    """The plan in mode Patch: the pieces stand in the workload."""
    kept = _kept(deployment, found)
    pieces = found if kept is None else kept
    planned = _planned(deployment, detected, pod, pieces, ask)
    if kept is not None:
        planned = replace(planned, notes=(*planned.notes, *args_at_risk(deployment)))
        return _owned(planned, deployment, ask)
    refusal = _image_refused(deployment, pieces.desired.relay, ask)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    judged = judge(deployment, _target(pod.base, pieces, ask), ask)
    refusal = judged if isinstance(judged, Refusal) else _unwritable(deployment, judged.target)
    if isinstance(judged, Refusal) or refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    planned = replace(planned, written=judged.written, claims=judged.claims)
    return _changed(planned, deployment, pod.base, judged.target)


def _planned(
    deployment: Deployment, detected: Detected, pod: EnginePod, pieces: _Pieces, ask: Ask
) -> ModelPlan:
    """What is known of a model whatever is done to it."""
    return ModelPlan(
        Outcome.UNCHANGED,
        parts=(_part(deployment, detected, pieces),),
        notes=(*pieces.notes, *lost_record_notes(deployment)),
        fingerprint=fingerprint(pod.base, pieces.desired, ask),
    )


def _target(base: Deployment, pieces: _Pieces, ask: Ask) -> Deployment:
    """The workload as it shall be, without anything of ours where its owner's own template suffices."""
    if pieces.desired.is_nothing:
        return base
    record = record_for(base, pieces.desired, max(ask.at, ask.proven_at))
    return configure(base, pieces.desired, pieces.placement, ask.owner, record)


def _plan_admission(
    deployment: Deployment, detected: Detected, pod: EnginePod, found: _Pieces, ask: Ask
) -> ModelPlan:
    """The plan in mode Admission: of the workload only the token in its pod template is ours."""
    pieces, live = _with_relay_kept(deployment, found), _readable_record(deployment)
    planned = _planned(deployment, detected, pod, pieces, ask)
    if pieces.desired.is_nothing:
        return _adopted(planned, deployment, pod.base)
    record = record_for(pod.base, pieces.desired, max(ask.at, ask.proven_at))
    record = delivered(pod.base, detected.container, record, pieces.placement)
    entry = injection_of(deployment.name, record)
    assert entry is not None  # made of a record that is delivered
    planned = replace(planned, parts=(_proven(planned.parts[0], entry),), injection=entry)
    if live is not None and stands(deployment, live) and live.injection == record.injection:
        return _owned(planned, deployment, ask)
    target = configure(pod.base, pieces.desired, pieces.placement, ask.owner, record)
    refusal = (
        refused(pod.base, pieces.desired.labels, entry)
        or _image_refused(deployment, pieces.desired.relay, ask)
        or _unwritable(deployment, target)
    )
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    planned = replace(planned, written=(TOKEN_FIELD,))
    return _changed(planned, deployment, pod.base, target)


def _adopted(planned: ModelPlan, deployment: Deployment, base: Deployment) -> ModelPlan:
    """A model whose owner's own template suffices: what is left of ours is taken off."""
    if _readable_record(deployment) is None and not token_of(deployment):
        return planned
    refusal = _unwritable(deployment, base)
    if refusal is not None:
        return ModelPlan(Outcome.REFUSED, refusal=refusal)
    return _changed(planned, deployment, base, base)


def _proven(part: Part, entry: Injection) -> Part:
    """The part whose pods carry the label that proves what they got."""
    return replace(part, desired=replace(part.desired, labels=entry.labels))


def _for_its_owner(deployment: Deployment, ask: Ask) -> ModelPlan:
    """The plan where nothing is written (mode Render): the patch is for the workload's owner to apply."""
    looks = [_look_at(deployment, base, ask) for base in bases_of(deployment)]
    look = next((each for each in looks if isinstance(each, _Look)), looks[0])
    if isinstance(look, Refusal):
        return ModelPlan(Outcome.REFUSED, refusal=look)
    pieces = _with_relay_kept(deployment, look.pieces)
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
        changes=_told(part),
        restarts=deployment.replicas,
    )


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What a pod template shall carry, and how it gets there.

    ``events`` are the settings with the ports on which its pods publish; ``ports`` those of the relay,
    None without one.
    """

    desired: Desired
    placement: Placement
    events: EventsSpec
    ports: RelayPorts | None
    notes: tuple[Note, ...]


def _find_pieces(
    deployment: Deployment, detected: Detected, pod: EnginePod, ask: Ask
) -> _Pieces | Refusal:
    """The pieces for one engine, or why there are none."""
    engine, wanted = pod.engine, ask.spec.events
    settled = wanted
    if engine.dialect is not Dialect.FLAGS:  # those carry no port
        settled = settle_ports(pod, wanted)
    choice = choose_relay(pod, settled, ask, role_of(deployment), _needed_for(deployment))
    if isinstance(choice, Refusal):
        return choice
    relayed = choice.ports is not None
    events = replace(wanted, port=GATEWAY_PORT, replay_port=GATEWAY_REPLAY_PORT)
    unwritten = ask.spec.mode is not Mode.PATCH
    case = Case(pod, wanted, events if relayed else settled, relayed, unwritten)
    arguments = engine_arguments(ask.templates, engine.type, engine.dialect, settled)
    if choice.ports is not None:
        arguments = to_relay(arguments, choice.ports)
    placement = check(case) or place(detected, arguments)
    if isinstance(placement, Refusal):
        return placement
    relay = None
    if choice.ports is not None:
        wish = RelayWish(pod, wanted, choice.ports)
        relay = wish.change(ask.relays, choice.layout_of)
    desired = desire(pod.base, detected, case.events, placement, ask.spec.engine.labels, relay)
    events = case.events
    if placement.topic is not None and relay is None:
        events = replace(events, topic=placement.topic)
    told = (*notes(case), *choice.notes, *placement.notes)
    return _Pieces(desired, placement, events, choice.ports, told)


def _needed_for(deployment: Deployment) -> str:
    """The engine whose layout the relay on a workload was needed for; empty where there is none."""
    if is_record_lost(deployment):
        return ANY_ENGINE if is_recognised(deployment.template) else ""
    record = record_of(deployment)
    return record.relay.layout_of if record is not None and record.relay is not None else ""


def _kept(deployment: Deployment, found: _Pieces) -> _Pieces | None:
    """The pieces where the workload has all of them already, else None."""
    if is_record_lost(deployment):
        return None
    found = _with_relay_kept(deployment, found)
    return found if carries(deployment, found.desired) else None


def _with_relay_kept(deployment: Deployment, found: _Pieces) -> _Pieces:
    """The pieces with the relay as it stands, while nothing else is asked of it: neither a new version
    of the operator nor an upgrade of the cluster is a reason to restart a model."""
    record = _readable_record(deployment)
    there, wanted = record.relay if record is not None else None, found.desired.relay
    if there is None or wanted is None or there.wish != wanted.wish:
        return found
    return replace(found, desired=replace(found.desired, relay=there))


def _readable_record(deployment: Deployment) -> Record | None:
    return None if is_record_lost(deployment) else record_of(deployment)


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


def _part(deployment: Deployment, detected: Detected, pieces: _Pieces) -> Part:
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
    size = sum(len(f"{key}{value}".encode()) for key, value in target.annotations.items())
    return _too_large(deployment, size) if size > _LARGEST_ANNOTATIONS else None


def rollout_paused(deployment: Deployment) -> Refusal:
    """The refusal of a change that reaches no pod, and would count as failed after its deadline."""
    return Refusal(
        ModelReason.ROLLOUT_PAUSED,
        f"The rollout of {deployment.title} is paused (spec.paused): no change would reach its pods.",
        "Set spec.paused to false (kubectl rollout resume); it is configured then.",
    )


def _too_large(deployment: Deployment, size: int) -> Refusal:
    return Refusal(
        ModelReason.RECORD_TOO_LARGE,
        f"The annotations of {deployment.title} would come to {size} bytes with the record of its "
        f"arguments, and the API server takes {_LARGEST_ANNOTATIONS} at most.",
        "Move long values, such as a chat template, from its arguments into a file.",
    )


def strip_template(deployment: Deployment) -> Deployment:
    """The workload without anything of ours: by its record, or by form where that is lost."""
    if is_record_lost(deployment):
        return strip_recognised(deployment)
    return strip(deployment)


def lost_record_notes(deployment: Deployment) -> tuple[Note, ...]:
    """What to say of a workload whose record cannot be read; nothing of any other."""
    if not is_record_lost(deployment):
        return ()
    return (
        Note(
            ModelReason.RECORD_LOST,
            f"The record of {deployment.title} (annotation {RECORD_ANNOTATION}) was "
            "edited or removed. Only what is recognisably ours counts as ours; compare the Deployment "
            "with your own manifest.",
        ),
    )


def written_dialect(deployment: Deployment) -> Dialect | None:
    """The dialect of our words on a workload, while they stand there."""
    record = _readable_record(deployment)
    container = deployment.container(record.container) if record else None
    if record is None or container is None:
        return None
    if not (stands(deployment, record) or carries_words(container.body, record)):
        return None
    added = record.words.added if record.words else (record.text.added if record.text else "",)
    words = [word for text in added for word in text.split()]
    flags = any(flag_of(word) in KV_EVENT_FLAGS for word in words)
    return Dialect.FLAGS if flags else Dialect.CONFIG_JSON


def _changed(
    planned: ModelPlan, deployment: Deployment, base: Deployment, target: Deployment
) -> ModelPlan:
    part = planned.parts[0]
    patch = difference(deployment.body, target.body)
    restarts = deployment.replicas if target.template != deployment.template else 0
    return replace(
        planned,
        outcome=Outcome.CHANGE,
        notes=(*planned.notes, *args_at_risk(target)),
        patch=guarded(deployment, patch, part.desired.container),
        undo=tuple(difference(target.body, base.body)),
        changes=_told(part),
        restarts=restarts,
    )


def _told(part: Part) -> tuple[Change, ...]:
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


def _owned(planned: ModelPlan, deployment: Deployment, ask: Ask) -> ModelPlan:
    """What is configured already may still need our mark, or a new time in its record.

    Its mark is missing after deletionPolicy Retain, and is another's where a revision of a gone
    object came back. What its owner rendered for Git stays his: our mark on it would be a difference.
    Where the record is older than what was seen working, or no longer ours, its time starts anew: it
    is on trial from now on.
    """
    record = record_of(deployment)
    mark = parse_owner(deployment.annotations.get(OWNER_ANNOTATION, ""))
    # Without a mark that can be read nobody would undo it when the object goes.
    ours = mark is not None and mark.uid == ask.owner.uid
    if record is None or record.is_rendered or (ours and record.at >= ask.proven_at):
        return planned
    annotations = {
        **deployment.annotations,
        OWNER_ANNOTATION: str(ask.owner),
        RECORD_ANNOTATION: dump_record(replace(record, at=max(ask.at, ask.proven_at))),
    }
    target = deployment.with_annotations(annotations).body
    return replace(
        planned,
        outcome=Outcome.CHANGE,
        patch=guarded(deployment, difference(deployment.body, target)),
        undo=tuple(difference(target, deployment.body)),
        changes=(Change("annotations of the Deployment", "they say who configured it, and when"),),
    )


def carries(deployment: Deployment, desired: Desired) -> bool:
    """Whether a workload has every piece already, so that nothing is written.

    The place of our words among the others does not matter: an argument that the owner added
    behind them is no reason to restart a model.
    """
    record = record_of(deployment)
    if desired.is_nothing:
        # Right as its owner wrote it: adopted. A record of ours would be out of date.
        return record is None
    container = deployment.container(desired.container)
    if record is None or container is None or record.container != desired.container:
        return False
    return record.injection is None and (
        (record.words and record.words.piece) == (desired.words and desired.words.piece)
        and _same_text(record.text, desired.text)
        and desired.is_carried_by(container)
        and record.ports == desired.ports
        and _declares(container, desired.ports)
        and {key: change.after for key, change in record.labels.items()} == desired.labels
        and desired.labels.items() <= deployment.template_labels.items()
        and record.relay == desired.relay
        and (record.relay is None or has_relay(deployment.template, record.relay))
    )


def _same_text(one: TextChange | None, other: TextChange | None) -> bool:
    """Whether two changes write the same piece; the blank in front of it depends on what stands there."""
    if one is None or other is None:
        return one is other
    return replace(one, added=one.added.strip()) == replace(other, added=other.added.strip())


def _declares(container: Container, ports: tuple[Mapping[str, Any], ...]) -> bool:
    declared = {port.get("containerPort") for port in container.ports}
    return all(port["containerPort"] in declared for port in ports)


def fingerprint(base: Deployment, desired: Desired, ask: Ask) -> str:
    """A digest of the owner's template, what we add to it, and the retry annotation.

    Where a relay is added only if it is needed, it is no part of it, nor is what comes with it: what was
    rejected in one form would else be tried in the other, and again in the first.
    """
    content: Any = [base.template, desired.container]
    relay = ask.spec.events.relay
    if relay.mode is RelayMode.AUTO:
        content += [asdict(ask.spec.events), asdict(ask.spec.engine)]
    else:
        content += [
            list(desired.arguments),
            [dict(port) for port in desired.ports],
            dict(desired.labels),
        ]
    if relay.mode is RelayMode.ALWAYS and desired.relay is not None:
        content.append(desired.relay.wish)
    if ask.spec.mode is not Mode.PATCH:
        content.append(ask.spec.mode.value)
    return digest([*content, ask.retry])
