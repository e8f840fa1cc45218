"""Options that several commands share, and running their coroutines."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from kvsync.cli.values import Duration, ListenAddress, SourceAddress
from kvsync.core.gateway_access import GatewayGrant, parse_grant
from kvsync.model.relay import repository_of
from kvsync.model.selector import LABEL_KEY, LABEL_VALUE, LabelSelector
from kvsync.model.selector_text import parse_selector
from kvsync.model.spec import DNS_LABEL, DNS_SUBDOMAIN, IMAGE
from kvsync.model.version import Version, parse_version

__all__ = [
    "OWN_IMAGE",
    "Duration",
    "Gateway",
    "ImageName",
    "Label",
    "ListenAddress",
    "NamespaceName",
    "Number",
    "ObjectName",
    "ObjectSelector",
    "Repository",
    "SourceAddress",
    "Whole",
    "cluster_options",
    "relay_options",
    "run_async",
    "stop_signals",
]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Result = TypeVar("Result")


OWN_IMAGE = f"kvsync-operator:{version('kvsync-operator')}"
"""What the chart of this version installs, and makes relays of."""


def _named_file(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The file of the option; the variable may name several, and is read where they are merged."""
    named = ctx.get_parameter_source(str(param.name))
    return None if named is ParameterSource.ENVIRONMENT else value


def cluster_options(command: Decorated) -> Decorated:
    """``--kubeconfig`` and ``--context``, as kubectl takes them."""
    for option in (
        click.option("--context", metavar="NAME", help="Context of the kubeconfig to use."),
        click.option(
            "--kubeconfig",
            metavar="FILE",
            envvar="KUBECONFIG",
            callback=_named_file,
            help="Kubeconfig file; default: as kubectl finds it.  [env: KUBECONFIG]",
        ),
    ):
        command = option(command)
    return command


def relay_options(command: Decorated) -> Decorated:
    """What relays are made of, where no operator says it: ``relay_image`` and ``kubernetes_version``."""
    for option in (
        click.option(
            "--kubernetes-version",
            type=Release(),
            metavar="X.Y",
            help="Write relays for this Kubernetes: before 1.29 as a plain container. Default: for a "
            "newer one.",
        ),
        click.option(
            "--relay-image",
            default=OWN_IMAGE,
            show_default=True,
            metavar="IMAGE",
            envvar="KVSYNC_IMAGE",
            help="Image of relays where spec.events.relay.image names none: the operator's own.  "
            "[env: KVSYNC_IMAGE]",
        ),
    ):
        command = option(command)
    return command


class Release(click.ParamType[Version]):
    """A release such as 1.28 or v1.30.2."""

    name = "version"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Version:
        """The release, or a usage error that says the form."""
        found = parse_version(str(value))
        if found is None:
            self.fail(f"{value!r} is no release such as 1.30", param, ctx)
        return found


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


class Label(click.ParamType[tuple[str, str]]):
    """One label: ``KEY=VALUE``."""

    name = "label"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Key and value, or a usage error that says the form."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not (equals and LABEL_KEY.match(key) and LABEL_VALUE.match(text)):
            self.fail(
                f"{value!r} is no label of the form KEY=VALUE, such as app=kvsync", param, ctx
            )
        return key, text


class ObjectSelector(click.ParamType[LabelSelector]):
    """A label selector in one line."""

    name = "selector"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> LabelSelector:
        """The selector, or a usage error that says what of it cannot be read."""
        if isinstance(value, LabelSelector):
            return value
        try:
            return parse_selector(str(value))
        except ValueError as error:
            self.fail(
                f"{value!r} is no label selector, such as shard=a or 'shard in (a, b)': {error}.",
                *(param, ctx),
            )


class NamespaceName(click.ParamType[str]):
    """The name of a namespace; empty too where it is ``optional``."""

    name = "namespace"

    def __init__(self, *, optional: bool = False) -> None:
        self._optional = optional

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or a usage error that says the form."""
        said = str(value)
        if not DNS_LABEL.fullmatch(said) and not (self._optional and not said):
            self.fail(f"{said[:80]!r} is no name of a namespace, such as kvsync-system", param, ctx)
        return said


class ObjectName(click.ParamType[str]):
    """The name of an object: a DNS subdomain (RFC 1123), as most kinds have it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, or a usage error that says the form."""
        said = str(value)
        if not DNS_SUBDOMAIN.fullmatch(said):
            self.fail(
                f"{said[:64]!r} is no name of an object: lower case letters, digits, '-' and '.'",
                param,
                ctx,
            )
        return said


class ImageName(click.ParamType[str]):
    """An image as a pod names it, or empty."""

    name = "image"
    form = "an image, such as registry.example.com/kvsync-operator:0.1.0"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The image, or a usage error that says the form."""
        said = str(value)
        if not IMAGE.fullmatch(said):
            self.fail(f"{said[:80]!r} is not {self.form}", param, ctx)
        return said


class Repository(ImageName):
    """A repository of images, or the beginning of such with a slash at its end."""

    name = "repository"
    form = "a repository without tag, such as registry.example.com/kvsync-operator, or registry.example.com/"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The repository, or a usage error that says the form."""
        said = super().convert(value, param, ctx)
        if not said or repository_of(said) != said:
            self.fail(f"{said[:80]!r} is not {self.form}", param, ctx)
        return said


class Whole(click.IntRange):
    """A whole number within bounds; what is none is told the bounds as well."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error that says the bounds."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            bounds = f"from {self.min} to {self.max}"
            self.fail(f"{str(value)[:80]!r} is no whole number {bounds}", param, ctx)


class Number(click.FloatRange):
    """A number within bounds; what is none is told the bounds as well."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a usage error that says the bounds."""
        try:
            number = float(super().convert(value, param, ctx))
        except click.BadParameter:
            number = math.nan
        if math.isnan(number):  # which lies within any bounds
            bounds = f"from {self.min:g} to {self.max:g}"
            self.fail(f"{str(value)[:80]!r} is no number {bounds}", param, ctx)
        return number


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
