"""Whose a model is that several objects select, and how it goes over from one to the other.

Whoever's mark is on it keeps it. Of a model without a mark the older object is the owner; a paused
one, which writes nothing, stands back. When the owner lets go, the oldest of the others gets mark
and record in one patch of the metadata: no pod restarts, and what the model had before is known on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kvsync.core.actions import mark_of
from kvsync.core.gateway import owners_of, with_owners
from kvsync.core.patch import difference, guarded
from kvsync.model.decision import Action, Deed, Kind, kind_of
from kvsync.model.observed import KVEventSync, Observed, ObservedModel, Rival
from kvsync.model.record import (
    OWNER_ANNOTATION,
    RECORD_ANNOTATION,
    Owner,
    RecordError,
    dump_record,
    load_record,
)
from kvsync.model.workload import Deployment


def elder_of(model: ObservedModel, observed: Observed) -> Owner | None:
    """The object that comes before this one where nobody's mark is on a model; None: there is none."""
    rival = next(iter(model.rivals), None)
    if rival is None:
        return None
    stands_back = bool(observed.held_by) or rival.seniority < observed.sync.seniority
    return rival.owner if stands_back else None


def handover_action(deployment: Deployment, heir: Rival, now: float) -> Action:
    """The patch that makes a configured model another object's; it is on trial anew from now on."""
    annotations = {
        key: _begun_anew(key, value, int(now)) for key, value in deployment.annotations.items()
    }
    target = deployment.with_annotations({**annotations, OWNER_ANNOTATION: str(heir.owner)})
    operations = difference(deployment.body, target.body)
    return Action(
        kind_of(deployment),
        deployment.namespace,
        deployment.name,
        tuple(guarded(deployment, operations)),
        Deed.HANDED_OVER,
        f"{deployment.title} is KVEventSync {_mark(heir)}'s from now on; no pod restarts.",
    )


def _begun_anew(key: str, value: str, now: int) -> str:
    if key != RECORD_ANNOTATION and not key.startswith(RECORD_ANNOTATION + "."):
        return value
    try:
        return dump_record(replace(load_record(value), at=now))
    except RecordError:  # what is lost stays lost: the heir says so
        return value


def gateway_heir(sync: KVEventSync, heirs: Sequence[Rival], gateway: Deployment) -> Rival | None:
    """Who gets the place among a gateway's owners with the models; None where nobody needs it or the
    heir has one already."""
    if mark_of(sync) not in owners_of(gateway):
        return None
    where = (gateway.namespace, gateway.name)
    owners = owners_of(gateway)
    wanting = [each for each in heirs if where in each.gateways]
    return next((each for each in wanting if _mark(each) not in owners), None)


def gateway_handover_action(sync: KVEventSync, heir: Rival, gateway: Deployment) -> Action:
    """The patch that puts the heir in this object's place: the gateway does not restart."""
    owners = sorted({*owners_of(gateway), _mark(heir)} - {mark_of(sync)})
    operations = difference(gateway.body, with_owners(gateway, owners).body)
    return Action(
        Kind.DEPLOYMENT,
        gateway.namespace,
        gateway.name,
        tuple(guarded(gateway, operations)),
        Deed.HANDED_OVER,
        f"The gateway is kept for KVEventSync {_mark(heir)}; it does not restart.",
    )


def _mark(rival: Rival) -> str:
    return f"{rival.owner.namespace}/{rival.owner.name}"
