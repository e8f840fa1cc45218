"""``kvsync disable NAMESPACE DEPLOYMENT``: the way back; of all objects with ``--all``."""

from __future__ import annotations

import sys

import click

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import DEPLOYMENTS, KVEVENTSYNCS
from kvsync.cli.disable_all import disable_all
from kvsync.cli.options import Duration, cluster_options, run_async
from kvsync.cli.progress import wait_gone
from kvsync.model.errors import KvsyncError, NotFound
from kvsync.model.record import OWNER_ANNOTATION, parse_owner
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment


@click.command()
@click.argument("namespace", required=False)
@click.argument("deployment", required=False)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="In place of NAMESPACE DEPLOYMENT: delete every KVEventSync, and wait until all is undone.",
)
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAME",
    help="With --all: of this namespace only; repeatable.",
)
@click.option("--name", metavar="NAME", help="Name of the KVEventSync, if it cannot be found.")
@click.option("--wait/--no-wait", default=True, help="Wait until all is undone (default).")
@click.option("--timeout", type=Duration(), default="30m", show_default=True)
@cluster_options
def disable(
    *,
    namespace: str | None,
    deployment: str | None,
    everything: bool,
    namespaces: tuple[str, ...],
    name: str | None,
    wait: bool,
    timeout: float,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Undo kvsync enable for one DEPLOYMENT in NAMESPACE, or for all: gateways first, then models.

    Exit code 0: everything is as it was. 1: not yet, and the last line says why.
    """
    if everything:
        if namespace or name or not wait:
            raise click.UsageError(
                "--all takes neither NAMESPACE DEPLOYMENT nor --name or --no-wait."
            )
        work = disable_all(kubeconfig, context, namespaces, timeout)
    elif namespace is None or deployment is None:
        raise click.UsageError("give NAMESPACE and DEPLOYMENT, or --all.")
    elif namespaces:
        raise click.UsageError("--namespace goes with --all.")
    else:
        work = _disable(namespace, deployment, name, wait, timeout, kubeconfig, context)
    if not run_async(work):
        sys.exit(1)


async def _disable(
    namespace: str,
    deployment: str,
    name: str | None,
    wait: bool,
    timeout: float,
    kubeconfig: str | None,
    context: str | None,
) -> bool:
    async with await Kube.connect(kubeconfig, context) as kube:
        found = name or await _find(kube, namespace, deployment)
        sync = await kube.get(KVEVENTSYNCS, namespace, found)
        others = [n for n in _names(sync) if n != deployment]
        if others or (sync["spec"]["models"].get("selector")):
            raise KvsyncError(
                f"KVEventSync {namespace}/{found} serves other models too. Take {deployment} out "
                f"of its spec.models, or delete it with kubectl delete kves -n {namespace} {found}."
            )
        await kube.delete(KVEVENTSYNCS, namespace, found)
        click.echo(f"KVEventSync {namespace}/{found} is being deleted.")
        uid = str(sync["metadata"]["uid"])
        if wait and not await wait_gone(kube, namespace, found, uid, timeout):
            return False
        if wait:
            click.echo(f"{namespace}/{deployment} and the gateway are as they were.")
        return True


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
