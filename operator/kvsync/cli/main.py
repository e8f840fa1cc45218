"""The ``kvsync`` command: its subcommands and how errors leave it."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from kvsync.model.errors import KvsyncError

COMMANDS = (
    "quickstart",
    "enable",
    "disable",
    "verify",
    "top",
    "doctor",
    "render",
    "probe",
    "record",
    "decode",
    "run",
    "relay",
)
"""Each is a module of this package with a command of the same name."""


class Commands(click.Group):
    """Loads a subcommand when it is asked for: most need neither kopf nor the Kubernetes client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of a user's story."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"kvsync.cli.{cmd_name}"), cmd_name)
        return command


@click.command(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="kvsync-operator", prog_name="kvsync")
def cli() -> None:
    """Turn on, verify and undo KV event synchronization of vLLM models behind the AIBrix gateway."""


def main() -> None:
    """Entry point: a known error is one line on stderr and exit code 1; a usage error is 2."""
    try:
        cli()
    except KvsyncError as error:
        click.secho(f"kvsync: {error}", fg="red", err=True)
        sys.exit(1)
