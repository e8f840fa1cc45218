"""``kvsync run``: the operator itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from kvsync.adapters.log_lines import FORMATS, LEVELS, begin_logging
from kvsync.cli.options import (
    Gateway,
    ImageName,
    Label,
    ListenAddress,
    NamespaceName,
    Number,
    ObjectName,
    ObjectSelector,
    Repository,
    Whole,
    cluster_options,
    run_async,
)
from kvsync.core.leadership import DEFAULT_LEASE, USUAL
from kvsync.shell.settings import BOUNDS, DEFAULT_GATEWAYS, Settings, SettingsError

_GATEWAYS = " ".join(f"{each.gateway_namespace}/{each.gateway}" for each in DEFAULT_GATEWAYS)

setting = partial(click.option, show_envvar=True, show_default=True)
"""An option that tells its variable and its default, also where its value is wrong."""


@click.command()
@cluster_options
@setting(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAME",
    type=NamespaceName(),
    show_default="all",
    envvar="KVSYNC_NAMESPACES",
    help="Serve KVEventSync objects of this namespace only; repeatable. In the variable they are "
    "separated by spaces.",
)
@setting(
    "--object-selector",
    type=ObjectSelector(),
    show_default="all",
    metavar="SELECTOR",
    envvar="KVSYNC_OBJECT_SELECTOR",
    help="Serve only those of them with these labels, as kubectl -l takes them: several operators can "
    "share the objects, each with a selector and a Lease of its own. Needs --leader-elect.",
)
@setting(
    "--gateway",
    "gateways",
    multiple=True,
    type=Gateway(),
    metavar="NAMESPACE/NAME[=NAMESPACE,…]",
    envvar="KVSYNC_GATEWAYS",
    default=DEFAULT_GATEWAYS,
    show_default=_GATEWAYS,
    help="A Deployment that may be changed as a gateway, for objects of the namespaces after '='; "
    "without '=', of those that carry the label kvsync.aibrix.ai/gateway-access=true and of the "
    "operator's own. * matches any part of a name; repeatable, and one that lets an object in is "
    "enough. In the variable they are separated by spaces.",
)
@setting(
    "--operator-namespace",
    type=NamespaceName(optional=True),
    default="",
    show_default="that of the pod which it runs in; outside of a pod none",
    metavar="NAME",
    envvar="KVSYNC_OPERATOR_NAMESPACE",
    help="The operator's own namespace, where its Lease is, and whose objects need no label.",
)
@setting(
    "--operator-labels",
    "operator_labels",
    multiple=True,
    show_default="none",
    type=Label(),
    callback=lambda _ctx, _param, labels: tuple(sorted(labels)),
    metavar="KEY=VALUE",
    envvar="KVSYNC_OPERATOR_LABELS",
    help="A label by which the operator's own pods are known: policies for models let them in. "
    "Repeatable; all must hold. In the variable they are separated by spaces.",
)
@setting(
    "--model-network-policy/--no-model-network-policy",
    default=False,
    envvar="KVSYNC_MODEL_NETWORK_POLICY",
    help="Keep a NetworkPolicy for the pods of each model, by which only gateway and operator reach "
    "the event ports. Needs --operator-labels, and a right on networkpolicies.",
)
@setting(
    "--admission-policy/--no-admission-policy",
    default=False,
    envvar="KVSYNC_ADMISSION_POLICY",
    help="Whether the admission policy is installed by which pods get their settings as they are created "
    "(spec.mode Admission): the operator may not look for it itself.",
)
@setting(
    "--image",
    type=ImageName(),
    default="",
    show_default="not known",
    metavar="IMAGE",
    envvar="KVSYNC_IMAGE",
    help="The operator's own image, of which relays are made where spec.events.relay.image says no "
    "other.",
)
@setting(
    "--relay-images",
    "relay_images",
    multiple=True,
    type=Repository(),
    show_default="none",
    metavar="REPOSITORY",
    envvar="KVSYNC_RELAY_IMAGES",
    help="A repository of which spec.events.relay.image may name images, beside that of --image; all "
    "that begin so where it ends with a slash. Repeatable. In the variable they are separated by spaces.",
)
@setting(
    "--templates",
    type=click.Path(exists=True, file_okay=False),
    show_default="the built-in ones",
    metavar="FOLDER",
    envvar="KVSYNC_TEMPLATES",
    help="A folder that exists: its templates replace built-in ones.",
)
@setting(
    "--workers",
    type=Whole(*BOUNDS["workers"]),
    default=4,
    envvar="KVSYNC_WORKERS",
    help="Objects worked on at once.",
)
@setting(
    "--max-rolling",
    type=Whole(*BOUNDS["max_rolling"]),
    default=10,
    envvar="KVSYNC_MAX_ROLLING",
    help="Models of all objects together that may restart or wait for verification at once, beside "
    "each object's own spec.rollout.maxConcurrent; 0 for no limit.",
)
@setting(
    "--probe-workers",
    type=Whole(*BOUNDS["probe_workers"]),
    default=1,
    envvar="KVSYNC_PROBE_WORKERS",
    help="Processes that watch the engines; one is enough for about 5,000 of them.",
)
@setting(
    "--probe-memory",
    type=Whole(*BOUNDS["probe_memory"]),
    default=256,
    metavar="MIB",
    envvar="KVSYNC_PROBE_MEMORY",
    help="Memory that each of these processes may use.",
)
@setting(
    "--gateway-silence",
    type=Number(*BOUNDS["gateway_silence"]),
    default=60,
    metavar="SECONDS",
    envvar="KVSYNC_GATEWAY_SILENCE",
    help="How long after its start a Ready gateway's log may say nothing of KV events before that "
    "counts as not consuming any.",
)
@setting(
    "--relay-budget",
    type=Number(*BOUNDS["relay_budget"]),
    default=50_000,
    metavar="EVENTS/S",
    envvar="KVSYNC_RELAY_BUDGET",
    help="Events a second, at most, that all relays of one gateway together tell it again when it "
    "restarts; shared out by the size of their tables, at least 10 and at most 10,000 each. 0: each "
    "as it is configured.",
)
@setting(
    "--metrics-address",
    type=ListenAddress(),
    default="0.0.0.0:8080",
    metavar="HOST:PORT",
    envvar="KVSYNC_METRICS_ADDRESS",
    help="Where /metrics, /healthz and /readyz are served, to anybody; 'off' for nowhere.",
)
@setting(
    "--leader-elect/--no-leader-elect",
    default=None,
    show_default="on in a pod, off elsewhere",
    envvar="KVSYNC_LEADER_ELECT",
    help="Whether several replicas agree by a Lease on one that works, while the others stand by.",
)
@setting(
    "--lease-name",
    type=ObjectName(),
    default=None,
    show_default=f"{DEFAULT_LEASE}; with --object-selector a name that follows from it",
    metavar="NAME",
    envvar="KVSYNC_LEASE_NAME",
    help="That Lease, in the operator's own namespace.",
)
@setting(
    "--lease-duration",
    type=Whole(*BOUNDS["lease_duration"]),
    default=USUAL,
    metavar="SECONDS",
    envvar="KVSYNC_LEASE_DURATION",
    help="How long a leader that says nothing is waited for. It renews its Lease five times as often, "
    "and writes nothing any more after two thirds of it.",
)
@setting(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    envvar="KVSYNC_LOG_FORMAT",
    help="Lines for people, or a JSON object a line.",
)
@setting(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    envvar="KVSYNC_LOG_LEVEL",
    help="Least severe lines to write.",
)
def run(**values: Any) -> None:
    """Run the operator until SIGINT or SIGTERM."""
    # A second of CPU, and of no use to who only asks for help.
    from kvsync.shell.process import serve  # noqa: PLC0415

    try:
        settings = Settings(**values)  # each option is named as its setting
        begin_logging(settings.log_format, settings.log_level)
        run_async(serve(settings))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except (RuntimeError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
