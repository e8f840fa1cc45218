"""``kvsync disable NAMESPACE DEPLOYMENT``: the way back; of all objects with ``--all``."""

from __future__ import annotations

import click

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import DEPLOYMENTS, KVEVENTSYNCS
from kvsync.cli.disable_all import disable_all
from kvsync.cli.door import Door, door_options
from kvsync.cli.named import one_object
from kvsync.cli.options import Duration, NamespaceName, ObjectSelector
from kvsync.cli.progress import wait_gone
from kvsync.cli.upshot import Upshot, carry_out, output_option
from kvsync.model.errors import KvsyncError, NotFound
from kvsync.model.record import OWNER_ANNOTATION, parse_owner
from kvsync.model.selector import LabelSelector
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment


@click.command()
@click.argument("words", nargs=-1, metavar="[NAMESPACE] DEPLOYMENT")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="In place of DEPLOYMENT: delete every KVEventSync, and wait until all is undone.",
)
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    type=NamespaceName(),
    metavar="NAME",
    help="The namespace, in place of the word NAMESPACE; with --all: of this one only, repeatable.",
)
@click.option(
    "--object-selector",
    type=ObjectSelector(),
    metavar="SELECTOR",
    help="With --all: only objects with these labels, as kubectl -l takes them.",
)
@click.option("--name", metavar="NAME", help="Name of the KVEventSync, if it cannot be found.")
@click.option("--wait/--no-wait", default=True, help="Wait until all is undone (default).")
@click.option("--timeout", type=Duration(), default="30m", show_default=True)
@output_option()
@door_options
def disable(
    *,
    words: tuple[str, ...],
    everything: bool,
    namespaces: tuple[str, ...],
    object_selector: LabelSelector | None,
    name: str | None,
    wait: bool,
    timeout: float,
    output: str,
    door: Door,
) -> None:
    """Undo kvsync enable for one DEPLOYMENT in NAMESPACE, or for all: gateways first, then models.

    Exit code 0: everything is as it was. 1: not yet, and the last line says why.
    With -o json or yaml stdout has one object at the end, and what happens is told on stderr.
    """
    if everything:
        if words or name or not wait:
            raise click.UsageError(
                "--all takes neither NAMESPACE DEPLOYMENT nor --name or --no-wait."
            )
        carry_out(disable_all(door, namespaces, timeout, object_selector), output)
        return
    if object_selector:
        raise click.UsageError("--object-selector goes with --all.")
    if len(namespaces) > 1:
        raise click.UsageError("several namespaces go with --all.")
    if not words:
        raise click.UsageError("give NAMESPACE and DEPLOYMENT, or --all.")
    namespace, deployment = one_object(words, "".join(namespaces), "DEPLOYMENT")
    carry_out(_disable(door, namespace, deployment, name, wait, timeout), output)


async def _disable(
    door: Door,
    namespace: str | None,
    deployment: str,
    name: str | None,
    wait: bool,
    timeout: float,
) -> Upshot:
    async with await door.open() as kube:
        place = namespace or kube.namespace
        found = name or await _find(kube, place, deployment)
        sync = await kube.get(KVEVENTSYNCS, place, found)
        others = [n for n in _names(sync) if n != deployment]
        if others or (sync["spec"]["models"].get("selector")):
            raise KvsyncError(
                f"KVEventSync {place}/{found} serves other models too. Take {deployment} out "
                f"of its spec.models, or delete it with kubectl delete kves -n {place} {found}."
            )
        await kube.delete(KVEVENTSYNCS, place, found)
        click.echo(f"KVEventSync {place}/{found} is being deleted.")
        if not wait:
            return Upshot(place, found, True, "Undoing", "Nobody waited until all is undone.")
        if not await wait_gone(kube, place, found, str(sync["metadata"]["uid"]), timeout):
            return Upshot(place, found, False, "Undoing", f"Not undone after {timeout:.0f} s.")
        message = f"{place}/{deployment} and the gateway are as they were."
        click.echo(message)
        return Upshot(place, found, True, "Undone", message)


def _names(sync: dict[str, object]) -> tuple[str, ...]:
    spec = sync["spec"]
    return KVEventSyncSpec.from_manifest(spec if isinstance(spec, dict) else {}).models.names


async def _find(kube: Kube, namespace: str, deployment: str) -> str:
    """The KVEventSync that configured a Deployment: by its mark, or by the name that enable gives."""
    try:
        live = Deployment(await kube.get(DEPLOYMENTS, namespace, deployment))
        owner = parse_owner(live.annotations.get(OWNER_ANNOTATION, ""))
    except NotFound:
        owner = None
    name = owner.name if owner else deployment
    try:
        await kube.get(KVEVENTSYNCS, namespace, name)
    except NotFound:
        raise KvsyncError(
            f"KV event synchronization is not on for {namespace}/{deployment}: no KVEventSync "
            "names it."
        ) from None
    return name
