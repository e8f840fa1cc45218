"""``kvsync run``: the operator itself."""

from __future__ import annotations

import click

from kvsync.adapters.log_lines import FORMATS, LEVELS, begin_logging
from kvsync.cli.options import (
    Gateway,
    ListenAddress,
    NamespaceName,
    ObjectName,
    cluster_options,
    run_async,
)
from kvsync.core.gateway_access import GatewayGrant
from kvsync.core.leadership import LONGEST, SHORTEST
from kvsync.model.address import Address
from kvsync.shell.process import serve
from kvsync.shell.settings import DEFAULT_GATEWAYS, Settings, SettingsError


@click.command()
@cluster_options
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAME",
    envvar="KVSYNC_NAMESPACES",
    help="Serve KVEventSync objects of this namespace only; repeatable. Default: all.  "
    "[env: KVSYNC_NAMESPACES, separated by spaces]",
)
@click.option(
    "--gateway",
    "gateways",
    multiple=True,
    type=Gateway(),
    metavar="NAMESPACE/NAME[=NAMESPACE,…]",
    envvar="KVSYNC_GATEWAYS",
    default=DEFAULT_GATEWAYS,
    help="A Deployment that may be changed as a gateway, for objects of the namespaces after '='; "
    "without '=', of those that carry the label kvsync.aibrix.ai/gateway-access=true and of the "
    "operator's own. * matches any part of a name; repeatable, and one that lets an object in is "
    "enough. Default: aibrix-system/aibrix-gateway-plugins and "
    "aibrix-system/kvcache-watcher.  "
    "[env: KVSYNC_GATEWAYS, separated by spaces]",
)
@click.option(
    "--operator-namespace",
    type=NamespaceName(),
    default="",
    metavar="NAME",
    envvar="KVSYNC_OPERATOR_NAMESPACE",
    help="The operator's own namespace, whose objects need no label. Default: that of the pod "
    "which it runs in; outside of a pod none.  [env: KVSYNC_OPERATOR_NAMESPACE]",
)
@click.option(
    "--image",
    default="",
    metavar="IMAGE",
    envvar="KVSYNC_IMAGE",
    help="The operator's own image, of which relays are made where spec.events.relay.image says no "
    "other.  [env: KVSYNC_IMAGE]",
)
@click.option(
    "--relay-images",
    "relay_images",
    multiple=True,
    metavar="REPOSITORY",
    envvar="KVSYNC_RELAY_IMAGES",
    help="A repository of which spec.events.relay.image may name images, beside that of --image; all "
    "that begin so where it ends with a slash. Repeatable.  "
    "[env: KVSYNC_RELAY_IMAGES, separated by spaces]",
)
@click.option(
    "--templates",
    metavar="FOLDER",
    envvar="KVSYNC_TEMPLATES",
    help="Folder of templates that replace built-in ones.  [env: KVSYNC_TEMPLATES]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    envvar="KVSYNC_WORKERS",
    help="Objects worked on at once.  [env: KVSYNC_WORKERS]",
)
@click.option(
    "--max-rolling",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    envvar="KVSYNC_MAX_ROLLING",
    help="Models of all objects together that may restart or wait for verification at once, beside "
    "each object's own spec.rollout.maxConcurrent; 0 for no limit.  [env: KVSYNC_MAX_ROLLING]",
)
@click.option(
    "--probe-workers",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    envvar="KVSYNC_PROBE_WORKERS",
    help="Processes that watch the engines; one is enough for about 5,000 of them.  "
    "[env: KVSYNC_PROBE_WORKERS]",
)
@click.option(
    "--probe-memory",
    type=click.IntRange(64, 65536),
    default=256,
    show_default=True,
    metavar="MIB",
    envvar="KVSYNC_PROBE_MEMORY",
    help="Memory that each of these processes may use.  [env: KVSYNC_PROBE_MEMORY]",
)
@click.option(
    "--gateway-silence",
    type=click.FloatRange(1, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    envvar="KVSYNC_GATEWAY_SILENCE",
    help="How long after its start a Ready gateway's log may say nothing of KV events before that "
    "counts as not consuming any.  [env: KVSYNC_GATEWAY_SILENCE]",
)
@click.option(
    "--relay-budget",
    type=click.FloatRange(0, 1e7),
    default=50_000,
    show_default=True,
    metavar="EVENTS/S",
    envvar="KVSYNC_RELAY_BUDGET",
    help="Events a second, at most, that all relays of one gateway together tell it again when it "
    "restarts; shared out by the size of their tables, at least 10 and at most 10,000 each. 0: each "
    "as it is configured.  [env: KVSYNC_RELAY_BUDGET]",
)
@click.option(
    "--metrics-address",
    type=ListenAddress(),
    default="0.0.0.0:8080",
    show_default=True,
    metavar="HOST:PORT",
    envvar="KVSYNC_METRICS_ADDRESS",
    help="Where /metrics, /healthz and /readyz are served, to anybody; 'off' for nowhere.  "
    "[env: KVSYNC_METRICS_ADDRESS]",
)
@click.option(
    "--leader-elect/--no-leader-elect",
    default=None,
    envvar="KVSYNC_LEADER_ELECT",
    help="Whether several replicas agree by a Lease on one that works, while the others stand by. "
    "Default: on in a pod, off elsewhere.  [env: KVSYNC_LEADER_ELECT]",
)
@click.option(
    "--lease-name",
    type=ObjectName(),
    default="kvsync-operator",
    show_default=True,
    metavar="NAME",
    envvar="KVSYNC_LEASE_NAME",
    help="That Lease, in the operator's own namespace.  [env: KVSYNC_LEASE_NAME]",
)
@click.option(
    "--lease-duration",
    type=click.IntRange(SHORTEST, LONGEST),
    default=10,
    show_default=True,
    metavar="SECONDS",
    envvar="KVSYNC_LEASE_DURATION",
    help="How long a leader that says nothing is waited for. It renews its Lease five times as often, "
    "and writes nothing any more after two thirds of it.  [env: KVSYNC_LEASE_DURATION]",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    envvar="KVSYNC_LOG_FORMAT",
    help="Lines for people, or a JSON object a line.  [env: KVSYNC_LOG_FORMAT]",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    envvar="KVSYNC_LOG_LEVEL",
    help="Least severe lines to write.  [env: KVSYNC_LOG_LEVEL]",
)
def run(
    *,
    kubeconfig: str | None,
    context: str | None,
    namespaces: tuple[str, ...],
    gateways: tuple[GatewayGrant, ...],
    operator_namespace: str,
    image: str,
    relay_images: tuple[str, ...],
    templates: str | None,
    workers: int,
    max_rolling: int,
    probe_workers: int,
    probe_memory: int,
    gateway_silence: float,
    relay_budget: float,
    metrics_address: Address | None,
    leader_elect: bool | None,
    lease_name: str,
    lease_duration: int,
    log_format: str,
    log_level: str,
) -> None:
    """Run the operator until SIGINT or SIGTERM."""
    begin_logging(log_format, log_level)
    settings = Settings(
        kubeconfig=kubeconfig,
        context=context,
        namespaces=namespaces,
        gateways=gateways,
        operator_namespace=operator_namespace,
        image=image,
        relay_images=relay_images,
        templates=templates,
        workers=workers,
        max_rolling=max_rolling,
        probe_workers=probe_workers,
        probe_memory=probe_memory,
        gateway_silence=gateway_silence,
        relay_budget=relay_budget,
        metrics_address=metrics_address,
        leader_elect=leader_elect,
        lease_name=lease_name,
        lease_duration=lease_duration,
        log_format=log_format,
        log_level=log_level,
    )
    try:
        run_async(serve(settings))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except (RuntimeError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
