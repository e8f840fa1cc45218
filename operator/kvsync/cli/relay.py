"""``kvsync relay``: the sidecar between an engine and the gateway."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import click

from kvsync.cli.values import BindAddress, Duration, ListenAddress, PageAddress
from kvsync.model.address import Address, HttpAddress
from kvsync.model.relay import MAX_RANKS
from kvsync.relay.process import Process
from kvsync.relay.settings import Settings

LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.option(
    "--upstream",
    type=BindAddress(),
    default="tcp://127.0.0.1:5657",
    show_default=True,
    metavar="tcp://HOST:PORT",
    help="Where to listen for the engine's publisher, which connects; rank r on PORT + r.",
)
@click.option(
    "--upstream-replay",
    type=BindAddress(optional=True),
    default="tcp://127.0.0.1:5658",
    show_default=True,
    metavar="tcp://HOST:PORT",
    help="Where the engine replays, rank r on PORT + r; 'off' where it does not.",
)
@click.option(
    "--listen",
    type=BindAddress(),
    default="tcp://*:5557",
    show_default=True,
    metavar="tcp://HOST:PORT",
    help="Where to publish.",
)
@click.option(
    "--replay",
    type=BindAddress(),
    default="tcp://*:5558",
    show_default=True,
    metavar="tcp://HOST:PORT",
    help="Where to answer replay requests.",
)
@click.option(
    "--ranks",
    type=click.IntRange(1, MAX_RANKS),
    default=1,
    show_default=True,
    help="Data-parallel ranks of the engine in this pod.",
)
@click.option("--topic", default="", help="Topic to publish under; empty by default.")
@click.option(
    "--max-blocks",
    type=click.IntRange(1, 10_000_000),
    default=100_000,
    show_default=True,
    help="Blocks that are remembered; with more, the oldest ends of chains are taken back.",
)
@click.option(
    "--engine-metrics",
    type=PageAddress(),
    default="off",
    show_default=True,
    metavar="http://IP:PORT/PATH",
    help="Where the engine tells how many blocks its cache has: as many are remembered, and a tenth "
    "more, for each rank, and never more than --max-blocks.",
)
@click.option(
    "--max-memory",
    type=click.IntRange(1, 65536),
    default=64,
    show_default=True,
    metavar="MIB",
    help="Memory that they may take; the process needs about 30 MiB besides.",
)
@click.option(
    "--reannounce",
    type=Duration(),
    default="5m",
    show_default=True,
    metavar="5m",
    help="Everything is told again once in this time, slowly; 0s for never.",
)
@click.option(
    "--budget",
    type=click.FloatRange(1.0, 1e6),
    default=10_000.0,
    show_default=True,
    metavar="EVENTS/S",
    help="Events a second, at most, of all that is told again, unless the operator says another number.",
)
@click.option(
    "--grace",
    type=Duration(),
    default="5s",
    show_default=True,
    metavar="5s",
    help="When the engine went, what it held is taken back this much later, or as soon as it comes "
    "again: where its pod ends, a gateway forgets that by itself.",
)
@click.option(
    "--own-hashes",
    is_flag=True,
    help="Publish hashes of this pod's own, made of the engine's and the host name: for a gateway that "
    "listens to several pods whose engines make the same hashes (vLLM 0.29 and newer).",
)
@click.option(
    "--metrics-address",
    type=ListenAddress(),
    default="0.0.0.0:8081",
    show_default=True,
    metavar="HOST:PORT",
    help="Where /metrics and /healthz are served, to anybody, with [::] on IPv4 too; 'off' for nowhere.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File for what was told, so that a relay that was killed goes on; it holds hashes, no tokens.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="Least severe lines to write.",
)
def relay(
    *,
    upstream: Address,
    upstream_replay: Address | None,
    listen: Address,
    replay: Address,
    ranks: int,
    topic: str,
    max_blocks: int,
    engine_metrics: HttpAddress | None,
    max_memory: int,
    reannounce: float,
    budget: float,
    grace: float,
    own_hashes: bool,
    metrics_address: Address | None,
    journal: Path | None,
    log_level: str,
) -> None:
    """Stand between the engine in this pod and the gateway, until SIGINT or SIGTERM.

    The engine of any release publishes to --upstream (an endpoint without * makes it connect); what
    it holds is published on --listen in the form that every gateway since v0.6.0 reads, told again
    to each new subscriber and slowly for ever, and replay requests are answered at once.
    """
    _check_ports(upstream, upstream_replay, listen, replay, ranks)
    logging.basicConfig(
        level=log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    settings = Settings(
        upstream=upstream,
        upstream_replay=upstream_replay,
        listen=listen,
        replay=replay,
        ranks=ranks,
        topic=topic,
        max_blocks=max_blocks,
        engine_metrics=engine_metrics,
        max_memory=max_memory,
        reannounce=reannounce,
        budget=budget,
        grace=grace,
        own_hashes=own_hashes,
        metrics_address=metrics_address,
        journal=journal,
    )
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopping.append(number))
    Process(settings).run(lambda: bool(stopping))


def _check_ports(
    upstream: Address, upstream_replay: Address | None, listen: Address, replay: Address, ranks: int
) -> None:
    """Each rank has ports of its own, and none of the four is another one's."""
    taken: dict[int, str] = {}
    wanted = [("--upstream", upstream, ranks), ("--listen", listen, 1), ("--replay", replay, 1)]
    if upstream_replay is not None:
        wanted.append(("--upstream-replay", upstream_replay, ranks))
    for option, address, count in wanted:
        for port in range(address.port, address.port + count):
            if port > 65535:
                raise click.BadParameter(
                    f"rank {port - address.port} would be on port {port}", param_hint=option
                )
            if port in taken:
                raise click.BadParameter(
                    f"port {port} is already one of {taken[port]}, which takes "
                    f"{ranks} for the ranks; give another one",
                    param_hint=option,
                )
            taken[port] = option
