"""What a pod template shall carry, found on its owner's own template, and whether it carries it already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from kvsync.core.arguments import KV_EVENT_FLAGS, flag_of
from kvsync.core.caution import notes
from kvsync.core.delivery import stands
from kvsync.core.desired import Desired, desire
from kvsync.core.detect import Detected, find_engine
from kvsync.core.digest import digest
from kvsync.core.guard import Case, check
from kvsync.core.placement import Placement, place
from kvsync.core.planned import Ask
from kvsync.core.ports import EnginePod, settle_ports
from kvsync.core.recognise import is_record_lost, strip_recognised
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT
from kvsync.core.render import engine_arguments
from kvsync.core.revert import carries_words, record_of, strip
from kvsync.core.sidecar.choice import ANY_ENGINE, choose_relay
from kvsync.core.sidecar.form import RelayWish, to_relay
from kvsync.core.sidecar.pieces import has_relay, is_recognised
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.record import RECORD_ANNOTATION, Record, TextChange
from kvsync.model.relay import RelayPorts
from kvsync.model.spec import Dialect, EventsSpec, Mode, RelayMode
from kvsync.model.storm import role_of
from kvsync.model.workload import Container, Deployment


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a pod template shall carry, and how it gets there.

    ``events`` are the settings with the ports on which its pods publish; ``ports`` those of the relay,
    None without one.
    """

    desired: Desired
    placement: Placement
    events: EventsSpec
    ports: RelayPorts | None
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What was found out about a pod template, from how it is without our changes."""

    detected: Detected
    pod: EnginePod
    pieces: Pieces


def look_at(deployment: Deployment, base: Deployment, ask: Ask) -> Look | Refusal:
    """The engine of a workload and the pieces for it, or why there are none.

    Args:
        deployment: the workload as it is.
        base: the same without our changes.
        ask: what is wanted.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    written, role = written_dialect(deployment), role_of(deployment)
    detected = find_engine(base, ask.spec.engine, ask.running_versions.get(role), written)
    if isinstance(detected, Refusal):
        return detected
    pod = EnginePod(base, detected.container, detected.finding)
    pieces = _find_pieces(deployment, detected, pod, ask)
    return pieces if isinstance(pieces, Refusal) else Look(detected, pod, pieces)


def _find_pieces(
    deployment: Deployment, detected: Detected, pod: EnginePod, ask: Ask
) -> Pieces | Refusal:
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
    return Pieces(desired, placement, events, choice.ports, told)


def _needed_for(deployment: Deployment) -> str:
    """The engine whose layout the relay on a workload was needed for; empty where there is none."""
    if is_record_lost(deployment):
        return ANY_ENGINE if is_recognised(deployment.template) else ""
    record = record_of(deployment)
    return record.relay.layout_of if record is not None and record.relay is not None else ""


def with_relay_kept(deployment: Deployment, found: Pieces) -> Pieces:
    """The pieces with the relay as it stands, while nothing else is asked of it: neither a new version
    of the operator nor an upgrade of the cluster is a reason to restart a model."""
    record = readable_record(deployment)
    there, wanted = record.relay if record is not None else None, found.desired.relay
    if there is None or wanted is None or there.wish != wanted.wish:
        return found
    return replace(found, desired=replace(found.desired, relay=there))


def readable_record(deployment: Deployment) -> Record | None:
    """The record on a workload; None without one, and where it is lost."""
    return None if is_record_lost(deployment) else record_of(deployment)


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


def written_dialect(deployment: Deployment) -> Dialect | None:
    """The dialect of our words on a workload, while they stand there."""
    record = readable_record(deployment)
    container = deployment.container(record.container) if record else None
    if record is None or container is None:
        return None
    if not (stands(deployment, record) or carries_words(container.body, record)):
        return None
    added = record.words.added if record.words else (record.text.added if record.text else "",)
    words = [word for text in added for word in text.split()]
    flags = any(flag_of(word) in KV_EVENT_FLAGS for word in words)
    return Dialect.FLAGS if flags else Dialect.CONFIG_JSON


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
