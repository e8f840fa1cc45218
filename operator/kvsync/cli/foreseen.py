"""What enabling a model would come to, before anything is written: its workload, and the plan for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import DEPLOYMENTS, STORMSERVICES
from kvsync.adapters.kube.server_version import server_version
from kvsync.adapters.manifests import dump_manifest
from kvsync.adapters.templates import read_templates
from kvsync.cli.choosing import admission_means
from kvsync.cli.options import OWN_IMAGE
from kvsync.core.plan import plan
from kvsync.core.planned import Ask, ModelPlan, Outcome
from kvsync.core.releases import GATEWAY_RELEASES
from kvsync.model.errors import NotFound
from kvsync.model.reasons import ModelReason
from kvsync.model.record import OWNER_ANNOTATION, Owner, parse_owner
from kvsync.model.relay import RelayMeans, form_in
from kvsync.model.spec import KVEventSyncSpec, Mode
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment


async def find_workload(kube: Kube, namespace: str, name: str) -> Deployment | None:
    """The Deployment or StormService of that name."""
    for resource, kind in ((DEPLOYMENTS, Deployment), (STORMSERVICES, StormService)):
        with suppress(NotFound):
            return kind(await kube.get(resource, namespace, name))
    return None


async def ask_for(kube: Kube, sync: Mapping[str, Any], live: Deployment) -> Ask:
    """What the operator would ask of a workload, were the object there."""
    kubernetes = await server_version(kube)
    return Ask(
        spec=KVEventSyncSpec.from_manifest(sync["spec"]),
        owner=_owner(sync, live),
        templates=read_templates(),
        running_versions={},
        retry="",
        at=int(time.time()),
        relays=RelayMeans(OWN_IMAGE, form_in(kubernetes)),
        admission=await admission_means(kube, kubernetes),
        gateway_reads=GATEWAY_RELEASES[-1].layouts,
    )


def _owner(sync: Mapping[str, Any], live: Deployment) -> Owner:
    """The object as the operator would know it: what it configured before is its own."""
    owner = Owner(sync["metadata"]["namespace"], sync["metadata"]["name"], "dry-run")
    mark = parse_owner(live.annotations.get(OWNER_ANNOTATION, ""))
    ours = mark is not None and (mark.namespace, mark.name) == (owner.namespace, owner.name)
    return mark if mark is not None and ours else owner


def show_plan(sync: Mapping[str, Any], name: str, live: Deployment | None, ask: Ask | None) -> bool:
    """Print the object and the plan; False where that does not lead on by itself."""
    click.echo("Would write:\n")
    click.echo(dump_manifest(sync))
    if live is None or ask is None:
        where = f"{sync['metadata']['namespace']}/{name}"
        click.secho(f"There is no Deployment and no StormService {where}.", fg="red", err=True)
        return False
    return show(live, plan(live, ask), ask.spec.mode)


def show(live: Deployment, planned: ModelPlan, mode: Mode = Mode.PATCH) -> bool:
    """Print a plan; False where the model is refused, or where its owner has to act first."""
    if planned.refusal is not None:
        click.secho(f"Refused ({planned.refusal.reason}): {planned.refusal}", fg="red", err=True)
        if planned.refusal.reason == ModelReason.DIALECT_UNKNOWN:
            click.echo("(The operator also asks the running engine for its version.)", err=True)
        return False
    if planned.outcome is Outcome.UNCHANGED:
        click.echo(f"{live.title} is right already; nothing would be changed.")
        return True
    if mode is Mode.RENDER:
        click.echo(f"{live.title} would be left as it is. Its owner has to change:")
    else:
        click.echo(f"{live.title} would be changed:")
    for change in planned.changes:
        click.echo(f"  - {change}")
    for note in planned.notes:
        click.secho(f"  ! {note}", fg="yellow")
    if mode is Mode.RENDER:
        return False
    click.echo(f"{planned.restarts} pods would be restarted, by its own update strategy.")
    click.echo("The gateway would be configured when events of every pod were seen.")
    return True


def warn_refused(live: Deployment, ask: Ask) -> None:
    """Say beforehand that the operator will refuse the model, as it does in a mode that does not fit."""
    refusal = plan(live, ask).refusal
    if refusal is not None:
        said = f"The operator will refuse it in mode {ask.spec.mode} ({refusal.reason}): {refusal}"
        click.secho(said, fg="yellow", err=True)
