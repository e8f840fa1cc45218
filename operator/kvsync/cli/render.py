"""``kvsync render``: what would be changed on manifests, for Git and for an owner's tool."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from kvsync.adapters.manifests import Document, read_manifests
from kvsync.adapters.templates import read_templates
from kvsync.cli.door import Door, door_options
from kvsync.cli.named import namespace_option, one_object
from kvsync.cli.options import relay_options
from kvsync.cli.policy_options import FORM, Reader
from kvsync.cli.render_files import One, Order, Work
from kvsync.cli.render_forms import (
    all_as_yaml,
    as_argocd,
    as_diff,
    as_helm,
    as_kustomize,
    change_entry,
    template_diff,
)
from kvsync.cli.render_slot import ADVICE, argocd_for_slot, slot_kinds
from kvsync.cli.render_usage import FOR_ITS_OWNER, Asked, check
from kvsync.cli.table import printable
from kvsync.core.manifest_policy import Network, is_policy
from kvsync.core.owner_change import OwnerChange
from kvsync.core.owner_gateway import OwnersVariables, owners_variables
from kvsync.core.planned import Outcome
from kvsync.core.render import Templates
from kvsync.model.network import NetworkPolicy, Peer
from kvsync.model.relay import RelayMeans, form_in
from kvsync.model.spec import Dialect, EngineType, RelayMode
from kvsync.model.version import Version

if TYPE_CHECKING:
    from kvsync.cli.render_live import Live


@click.command()
@click.argument("words", nargs=-1, metavar="[NAMESPACE] [NAME]")
@namespace_option("The namespace of NAME.  [default: the current one]")
@door_options
@click.option(
    "-f",
    "--filename",
    "sources",
    multiple=True,
    metavar="FILE|FOLDER|-",
    help="Manifests; a folder is read to its bottom. May be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["diff", "yaml", "json", "kustomize", "helm", "argocd"]),
    default="diff",
    show_default=True,
    help="diff: what changes. yaml: all objects, ready for Git. json: the plan as data. kustomize: a "
    "component with the patches. helm: values of the charts that are known, the rest in words. argocd: "
    "the patches in an Application; with --slot, what it ignores.",
)
@click.option("--undo", is_flag=True, help="Take back what an earlier render wrote.")
@click.option(
    "--slot",
    is_flag=True,
    help="Add a slot instead: one value that the manifest leaves to the operator. With --undo, take it out.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 when a workload is refused.")
@click.option("--cr", metavar="FILE", help="A KVEventSync; it selects the workloads.")
@click.option("--engine-type", type=click.Choice([e.value for e in EngineType]))
@click.option("--container", metavar="NAME", help="The engine's container, if not found.")
@click.option("--dialect", type=click.Choice([d.value for d in Dialect]))
@click.option("--engine-version", metavar="X.Y.Z", help="Where no image tag tells it.")
@click.option("--port", type=int, help="spec.events.port")
@click.option("--replay-port", type=int, help="spec.events.replayPort")
@click.option("--topic", help="spec.events.topic")
@click.option("--buffer-steps", type=int, help="spec.events.bufferSteps")
@click.option("--hwm", type=int, help="spec.events.hwm")
@click.option("--max-queue-size", type=int, help="spec.events.maxQueueSize")
@click.option(
    "--relay", type=click.Choice([m.value for m in RelayMode]), help="spec.events.relay.mode"
)
@click.option(
    "--network-policy",
    "readers",
    multiple=True,
    type=Reader(),
    metavar=FORM,
    help="Add a NetworkPolicy for each model, by which of all pods only these reach its event ports: "
    "name the gateway's and the operator's. Repeatable.",
)
@relay_options
@click.option(
    "--templates", metavar="FOLDER", envvar="KVSYNC_TEMPLATES", help="Templates to use instead."
)
def render(
    *,
    words: tuple[str, ...],
    given: str,
    door: Door,
    sources: tuple[str, ...],
    output: str,
    undo: bool,
    slot: bool,
    strict: bool,
    cr: str | None,
    templates: str | None,
    readers: tuple[Peer, ...],
    relay_image: str,
    kubernetes_version: Version | None,
    **options: Any,
) -> None:
    """Show what a KVEventSync would change on manifests, or write them changed.

    With -f no cluster is needed. Without --cr every Deployment and StormService is meant, and the options
    stand for the object's fields. Other objects pass through as they are. Refusals go to stderr, each with
    its reason and remedy. The running engine cannot be asked: where no tag tells the version, give
    --engine-version or --dialect. Nor is the gateway: with --relay Auto a model gets a relay where
    AIBrix's newest release would need one.

    With NAMESPACE NAME, of a KVEventSync, the same is said of the models in the cluster: what their owners
    are to commit (mode Render). Nothing is written.
    """
    options = {name: value for name, value in options.items() if value is not None}
    asked = Asked(
        sources, output, cr, undo=undo, slot=slot, policies=bool(readers), options=options
    )
    check(asked, words or given)
    relays = RelayMeans(relay_image, form_in(kubernetes_version))
    known_templates = read_templates(templates)
    if words or given:
        live = _read_live(door, one_object(words, given, "NAME"), known_templates, relays)
        refused = _print_live(live, output)
        sys.exit(1 if strict and refused else 0)
    order = Order.read(cr) if cr else Order.from_options(options)
    documents = list(read_manifests(sources))
    known = tuple(NetworkPolicy(each.body) for each in documents if is_policy(each.body))
    network = Network(readers, known) if readers else None
    for_its_owner = output in FOR_ITS_OWNER and not slot
    work = Work(
        order, known_templates, relays, network, undo=undo, slot=slot, for_its_owner=for_its_owner
    )
    done = [(document, *work.render(document)) for document in documents]
    rendered = [one for _, _, found in done for one in found]
    for one in rendered:
        if one.rendered.outcome is Outcome.REFUSED:
            _complain(f"{one.where}: refused ({one.rendered.reason}): {one.rendered.message}")
    if for_its_owner:
        changes = [one.change for one in rendered if one.change is not None]
        variables = None
        if order.owner is not None:
            namespace = order.owner.namespace
            variables = owners_variables(order.spec, changes, known_templates, namespace)
        click.echo(_for_its_owner(output, changes, variables), nl=False)
    else:
        _print_rendered(done, rendered, output, slot=slot and not undo)
    if strict and any(one.rendered.outcome is Outcome.REFUSED for one in rendered):
        sys.exit(1)


def _print_rendered(
    done: list[tuple[Document, Any, list[One]]], rendered: list[One], output: str, *, slot: bool
) -> None:
    found = [one.rendered for one in rendered]
    if slot and output != "argocd" and slot_kinds(found):
        click.echo(ADVICE + argocd_for_slot(found), err=True, nl=False)
    match output:
        case "json":
            click.echo(json.dumps([each.entry() for each in found], indent=2))
        case "argocd":
            click.echo(argocd_for_slot(found), nl=False)
        case "yaml":
            click.echo("".join(all_as_yaml(done)), nl=False)
        case _:
            click.echo("".join(map(as_diff, rendered)), nl=False)


def _read_live(
    door: Door, named: tuple[str | None, str], templates: Templates, relays: RelayMeans
) -> Live:
    # What reads a cluster is most of this command, and files need none of it.
    from kvsync.cli.reading import Scope  # noqa: PLC0415
    from kvsync.cli.render_live import read_live  # noqa: PLC0415
    from kvsync.cli.wanted import run_looking  # noqa: PLC0415

    return run_looking(read_live(door, Scope(*named), templates, relays))


def _print_live(live: Live, output: str) -> bool:
    """Print the changes of live models. Returns whether one was refused."""
    for name in live.missing:
        _complain(f"{name}: there is no Deployment or StormService of that name")
    refused = [(each.name, each.refusal) for each in live.changes if each.refusal is not None]
    for name, refusal in refused:
        _complain(f"{name}: refused ({refusal.reason}): {refusal}")
    match output:
        case "json":
            click.echo(json.dumps([*map(change_entry, live.changes)], indent=2))
        case "diff":
            due = (each for each in live.changes if each.operations)
            click.echo("".join(map(template_diff, due)), nl=False)
        case _:
            click.echo(_for_its_owner(output, live.changes, live.variables), nl=False)
    return bool(refused or live.missing)


def _for_its_owner(
    output: str, changes: Sequence[OwnerChange], variables: OwnersVariables | None
) -> str:
    match output:
        case "kustomize":
            return as_kustomize(changes)
        case "helm":
            return as_helm(changes, variables)
        case _:
            return as_argocd(changes)


def _complain(message: str) -> None:
    click.secho(printable(message), fg="red", err=True)
