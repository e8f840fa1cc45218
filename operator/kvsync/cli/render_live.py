"""What the owners of a KVEventSync's models are to change, read from the cluster. Nothing is written."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from kvsync.cli.door import Door
from kvsync.cli.reading import Scope, read
from kvsync.cli.survey import with_told_versions
from kvsync.cli.wanted import NothingThere
from kvsync.core.decide import ask_of, layouts_by_pod
from kvsync.core.owner_change import OwnerChange, owner_change
from kvsync.core.owner_gateway import OwnersVariables, owners_variables
from kvsync.core.plan import without_ours
from kvsync.core.planned import Ask
from kvsync.core.render import Templates
from kvsync.core.revert import is_marked_by
from kvsync.model.fields import SpecError
from kvsync.model.relay import RelayMeans
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment
from kvsync.shell.world import Heard


@dataclass(frozen=True, slots=True)
class Live:
    """The changes of an object's models, those that there are not, and the variables of its gateway."""

    changes: tuple[OwnerChange, ...]
    missing: tuple[str, ...]
    variables: OwnersVariables


async def read_live(door: Door, scope: Scope, templates: Templates, relays: RelayMeans) -> Live:
    """What an object waits for; for one that writes by itself, what would make that needless.

    ``scope`` names it; without a namespace the current one is meant.

    Raises:
        NothingThere: there is no such object, or its spec cannot be read.
        AccessError, ApiError: the cluster cannot be read.
        TemplateRenderError: a template is broken.
    """
    async with await door.open() as kube:
        scope = replace(scope, namespace=scope.namespace or kube.namespace)
        reading = await read(kube, scope)
    sync = next(iter(reading.syncs), None)
    if sync is None:
        raise NothingThere(
            f"There is no KVEventSync {scope.name} in namespace {scope.namespace}: kubectl get kves -A "
            "lists all."
        )
    try:
        spec = KVEventSyncSpec.from_manifest(sync.body.get("spec") or {})
    except SpecError as error:
        raise NothingThere(f"KVEventSync {scope.words}: {error}") from error
    observed = reading.world.observe(sync, spec, Heard({}, {}, {}), time.time())
    observed = replace(with_told_versions(observed), relays=relays)
    meant = [model for model in observed.models if model.selected]
    layouts = layouts_by_pod(observed)
    asked = ((m, ask_of(m, observed, templates, layouts)) for m in meant)
    changes = tuple(_change(m.deployment, ask) for m, ask in asked if m.deployment is not None)
    gateway = observed.gateway.deployment
    return Live(
        changes,
        tuple(model.name for model in meant if model.deployment is None),
        owners_variables(spec, changes, templates, sync.namespace, gateway),
    )


def _change(workload: Deployment, ask: Ask) -> OwnerChange:
    if is_marked_by(workload, ask.owner):
        # What the operator wrote is not in its owner's manifest.
        workload = without_ours(workload)
    change = owner_change(workload, ask)
    # Its owner's manifest may well leave the namespace to his tool.
    metadata = {k: v for k, v in change.body["metadata"].items() if k != "namespace"}
    return replace(change, body={**change.body, "metadata": metadata})
