"""The way to an API server as kubectl's options name it, for the commands of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kvsync.cli.options import cluster_options

if TYPE_CHECKING:
    from kvsync.adapters.kube.client import Kube

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Door:
    """Where and as whom a command goes to the API server; None and empty: as the kubeconfig says."""

    kubeconfig: str | None = None
    context: str | None = None
    user: str = ""
    groups: tuple[str, ...] = ()

    async def open(self) -> Kube:
        """Find the API server; nothing is sent yet.

        Raises:
            AccessError: there is no usable kubeconfig or service account.
        """
        # Half a second of CPU, and only for those who go there.
        from kvsync.adapters.kube.access import Impersonation  # noqa: PLC0415
        from kvsync.adapters.kube.client import Kube  # noqa: PLC0415

        acting = Impersonation(self.user, self.groups) if self.user else None
        return await Kube.connect(self.kubeconfig, self.context, acting)


def door_options(command: Decorated) -> Decorated:
    """``--kubeconfig``, ``--context``, ``--as`` and ``--as-group``, handed on as one ``door``."""

    @wraps(command)
    def through(
        *args: Any,
        kubeconfig: str | None,
        context: str | None,
        as_user: str,
        as_groups: tuple[str, ...],
        **more: Any,
    ) -> Any:
        if as_groups and not as_user:
            raise click.UsageError("--as-group goes with --as.")
        return command(*args, door=Door(kubeconfig, context, as_user, as_groups), **more)

    for option in (
        click.option(
            "--as-group",
            "as_groups",
            multiple=True,
            metavar="GROUP",
            help="Act as a member of this group too, with --as; repeatable.",
        ),
        click.option(
            "--as", "as_user", default="", metavar="USER", help="Act as this user, as kubectl does."
        ),
        cluster_options,
    ):
        through = option(through)
    return through  # type: ignore[return-value] # the same command with other parameters
