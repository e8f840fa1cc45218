"""Options that several commands share, and running their coroutines."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from kvsync.cli.values import Duration, ListenAddress, SourceAddress
from kvsync.core.gateway_access import GatewayGrant, parse_grant
from kvsync.model.spec import DNS_LABEL

__all__ = [
    "Duration",
    "Gateway",
    "ListenAddress",
    "NamespaceName",
    "SourceAddress",
    "cluster_options",
    "run_async",
    "stop_signals",
]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Result = TypeVar("Result")


def cluster_options(command: Decorated) -> Decorated:
    """``--kubeconfig`` and ``--context``, as kubectl takes them."""
    for option in (
        click.option("--context", metavar="NAME", help="Context of the kubeconfig to use."),
        click.option(
            "--kubeconfig",
            metavar="FILE",
            envvar="KUBECONFIG",
            help="Kubeconfig file; default: as kubectl finds it.  [env: KUBECONFIG]",
        ),
    ):
        command = option(command)
    return command


class Gateway(click.ParamType[GatewayGrant]):
    """Who may have which gateway changed: ``NAMESPACE/NAME`` or ``NAMESPACE/NAME=NAMESPACE,…``."""

    name = "gateway"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> GatewayGrant:
        """The grant, or a usage error that says the form."""
        if isinstance(value, GatewayGrant):
            return value
        try:
            return parse_grant(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class NamespaceName(click.ParamType[str]):
    """The name of a namespace, or empty."""

    name = "namespace"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or a usage error that says the form."""
        if value and not DNS_LABEL.match(str(value)):
            self.fail(f"{value!r} is no name of a namespace, such as kvsync-system", param, ctx)
        return str(value)


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine; Ctrl-C ends it with click's own message."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise click.Abort from None


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set; after it Ctrl-C interrupts as always."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
