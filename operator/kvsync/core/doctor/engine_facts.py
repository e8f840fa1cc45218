"""What is told of an engine and of an object, out of what one look observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kvsync.core.desired import EVENTS_LABEL
from kvsync.core.doctor.facts import EngineFacts
from kvsync.core.planned import Part
from kvsync.model.finding import VersionSource
from kvsync.model.observed import KVEventSync, ObservedModel
from kvsync.model.workload import Pod


def conditions_of(sync: KVEventSync) -> Mapping[str, tuple[str, str, str, bool]]:
    """The conditions of its status, by type."""
    return {
        str(each.get("type")): (
            str(each.get("status")),
            str(each.get("reason")),
            str(each.get("message")),
            each.get("observedGeneration") == sync.generation,
        )
        for each in sync.status.get("conditions") or ()
    }


def engine_facts(part: Part, pods: Sequence[Pod], model: ObservedModel) -> EngineFacts:
    """What is told of one engine of a model, and of its running pods."""
    engine, events = part.engine, part.events
    answers = (each.version for each in (model.answers or {}).values())
    version = str(engine.version or next(filter(None, answers), ""))
    ports = [(events.port + rank, events.replay_port + rank) for rank in range(part.sources)]
    wanted = {port for pair in ports for port in pair if port}
    meant = EVENTS_LABEL in part.desired.labels
    bare = [pod.name for pod in pods if pod.labels.get(EVENTS_LABEL) != "true"]
    return EngineFacts(
        kind=engine.type.value,
        version=version,
        version_source=str(engine.version_source if engine.version else VersionSource.RUNNING),
        dialect=engine.dialect.value,
        buffer_steps=events.buffer_steps,
        ports=tuple(sorted(wanted)),
        undeclared=tuple(sorted(wanted - _declared(pods))) if pods else (),
        unlabelled=tuple(bare) if meant else (),
        labelled=len(pods) - len(bare),
        pods=len(pods),
    )


def _declared(pods: Sequence[Pod]) -> set[int]:
    """The ports that every one of the pods declares, also those of a sidecar."""
    sets = [
        {
            int(port.get("containerPort") or 0)
            for body in (
                *(pod.body["spec"].get("containers") or ()),
                *(pod.body["spec"].get("initContainers") or ()),
            )
            for port in body.get("ports") or ()
        }
        for pod in pods
    ]
    return set.intersection(*sets)
