"""``kvsync enable [NAMESPACE] DEPLOYMENT``: the old migration script's arguments, done right."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import KVEVENTSYNCS, NAMESPACES
from kvsync.cli.choosing import AUTO, CHOICES, with_mode
from kvsync.cli.door import Door, door_options
from kvsync.cli.foreseen import ask_for, find_workload, show_plan, warn_refused
from kvsync.cli.named import namespace_option, one_object
from kvsync.cli.options import Duration, Label
from kvsync.cli.progress import wait_ready
from kvsync.cli.upshot import Upshot, carry_out, output_option
from kvsync.core.gateway_access import ACCESS_LABEL, is_labelled, label_command
from kvsync.model.errors import ApiError, Conflict, Forbidden, KvsyncError, NotFound
from kvsync.model.spec import Dialect, EngineType, RelayMode
from kvsync.model.workload import Deployment


@click.command()
@click.argument("words", nargs=-1, metavar="[NAMESPACE] DEPLOYMENT")
@namespace_option("The namespace, in place of the word NAMESPACE.  [default: the current one]")
@click.option("--name", metavar="NAME", help="Name of the KVEventSync; default: the Deployment's.")
@click.option(
    "--label",
    "labels",
    type=Label(),
    multiple=True,
    metavar="KEY=VALUE",
    help="A label of the KVEventSync, by which operators share the objects (docs/scale.md); repeatable.",
)
@click.option(
    "--engine-type",
    type=click.Choice([e.value for e in EngineType]),
    default=EngineType.VLLM.value,
    show_default=True,
    help="What serves the model.",
)
@click.option(
    "--dialect",
    type=click.Choice([d.value for d in Dialect]),
    default=Dialect.AUTO.value,
    show_default=True,
    help="How the engine takes its settings.",
)
@click.option("--engine-version", default="", metavar="X.Y.Z", help="Where no tag tells it.")
@click.option("--container", default="", metavar="NAME", help="The engine's, if not found.")
@click.option(
    "--tokenizer-endpoint", default="", metavar="URL", help="Default: the model's Service."
)
@click.option(
    "--relay",
    type=click.Choice([m.value for m in RelayMode]),
    default=RelayMode.OFF.value,
    show_default=True,
    help="A relay beside each engine: Auto for where the gateway could not use its events otherwise.",
)
@click.option(
    "--mode",
    type=click.Choice(CHOICES),
    default=AUTO,
    show_default=True,
    help="How the settings reach the engines: Auto is what fits whoever owns the model, and says why.",
)
@click.option("--gateway/--no-gateway", default=True, help="Configure the gateway too (default).")
@click.option(
    "--gateway-deployment",
    default="aibrix-system/aibrix-gateway-plugins",
    show_default=True,
    metavar="NAMESPACE/NAME",
)
@click.option("--dry-run", is_flag=True, help="Show what would be changed; write nothing.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is Ready (default).")
@click.option("--timeout", type=Duration(), default="30m", show_default=True)
@output_option()
@door_options
def enable(
    words: tuple[str, ...],
    given: str,
    mode: str,
    dry_run: bool,
    wait: bool,
    timeout: float,
    output: str,
    door: Door,
    **choices: Any,
) -> None:
    """Turn KV event synchronization on for one existing DEPLOYMENT, or StormService, in NAMESPACE.

    Writes a KVEventSync and waits until events are seen from every pod and the gateway consumes
    them. Exit code 0: Ready. 1: not, and the last line says why. Take it back with kvsync disable.
    With -o json or yaml stdout has one object at the end, and what happens is told on stderr.
    """
    namespace, deployment = one_object(words, given, "DEPLOYMENT")

    async def work() -> Upshot:
        async with await door.open() as kube:
            sync = manifest(namespace or kube.namespace, deployment, **choices)
            return await _enable(kube, sync, deployment, mode, dry_run, wait, timeout)

    carry_out(work(), output)


def manifest(
    namespace: str,
    deployment: str,
    *,
    name: str | None,
    labels: tuple[tuple[str, str], ...],
    engine_type: str,
    dialect: str,
    engine_version: str,
    container: str,
    tokenizer_endpoint: str,
    relay: str,
    gateway: bool,
    gateway_deployment: str,
) -> dict[str, Any]:
    """The KVEventSync that the options ask for; only what differs from the defaults is written."""
    chosen = {
        "type": engine_type,
        "dialect": dialect,
        "version": engine_version,
        "container": container,
    }
    defaults = ("", EngineType.VLLM, Dialect.AUTO)
    engine = {key: value for key, value in chosen.items() if value not in defaults}
    gateway_namespace, _, gateway_name = gateway_deployment.partition("/")
    spec: dict[str, Any] = {"models": {"names": [deployment]}}
    if engine:
        spec["engine"] = engine
    if relay != RelayMode.OFF:
        spec["events"] = {"relay": {"mode": relay}}
    spec["gateway"] = {"manage": gateway}
    if gateway:
        spec["gateway"] |= {"namespace": gateway_namespace, "deployment": gateway_name}
    if gateway and tokenizer_endpoint:
        spec["gateway"]["remoteTokenizer"] = {"endpoint": tokenizer_endpoint}
    metadata: dict[str, Any] = {"name": name or deployment, "namespace": namespace}
    if labels:
        metadata["labels"] = dict(labels)
    return {
        "apiVersion": KVEVENTSYNCS.api_version,
        "kind": "KVEventSync",
        "metadata": metadata,
        "spec": spec,
    }


async def _enable(
    kube: Kube,
    sync: dict[str, Any],
    deployment: str,
    mode: str,
    dry_run: bool,
    wait: bool,
    timeout: float,
) -> Upshot:
    namespace, name = sync["metadata"]["namespace"], sync["metadata"]["name"]
    if sync["spec"]["gateway"]["manage"]:
        await _warn_unlabelled(kube, namespace)
    live = await _look_at(kube, namespace, deployment, must=dry_run)
    ask = None if live is None else await ask_for(kube, sync, live)
    if live is not None and ask is not None:
        sync, ask = await with_mode(kube, sync, live, ask, mode)
    elif mode != AUTO:
        sync["spec"]["mode"] = mode
    if dry_run:
        fits = show_plan(sync, deployment, live, ask)
        return Upshot(namespace, name, fits, "DryRun", "Nothing was written.")
    if live is not None and ask is not None and mode != AUTO:
        warn_refused(live, ask)
    await _write(kube, sync)
    if not wait:
        return Upshot(namespace, name, True, "Written", "Nobody waited for it to be Ready.")
    return await wait_ready(kube, namespace, name, timeout)


async def _look_at(kube: Kube, namespace: str, name: str, *, must: bool) -> Deployment | None:
    """The workload; None where there is none, or where it may not be read and need not be."""
    try:
        return await find_workload(kube, namespace, name)
    except Forbidden:
        if must:
            raise
        return None


async def _warn_unlabelled(kube: Kube, namespace: str) -> None:
    """Say beforehand what the operator will say; nothing, where the namespace cannot be read."""
    with suppress(ApiError):
        if not is_labelled(await kube.get(NAMESPACES, None, namespace)):
            click.secho(
                f"Namespace {namespace} lacks the label {ACCESS_LABEL}=true, so the operator will "
                "leave the gateway as it is, unless its settings list the namespace. To let its "
                f"objects change the gateway: {label_command(namespace)}",
                fg="yellow",
                err=True,
            )


async def _write(kube: Kube, sync: dict[str, Any]) -> None:
    namespace, name = sync["metadata"]["namespace"], sync["metadata"]["name"]
    try:
        await kube.create(KVEVENTSYNCS, namespace, sync)
        click.echo(f"KVEventSync {namespace}/{name} created.")
    except Conflict:
        models = (await kube.get(KVEVENTSYNCS, namespace, name))["spec"]["models"]
        if models != sync["spec"]["models"]:
            raise KvsyncError(
                f"KVEventSync {namespace}/{name} is there already and serves other models; choose "
                "another name with --name."
            ) from None
        labels = {"labels": sync["metadata"].get("labels") or {}}
        patch = {"spec": sync["spec"], "metadata": labels}
        await kube.merge_patch(KVEVENTSYNCS, namespace, name, patch)
        click.echo(f"KVEventSync {namespace}/{name} was there already; its spec is updated.")
    except NotFound as error:
        raise KvsyncError(
            f"{error}. If the namespace exists, the CRD is missing: install kvsync-operator first."
        ) from error
