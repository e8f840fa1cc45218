"""The ``kvsync`` command: its subcommands and how errors leave it."""

from __future__ import annotations

import sys
from importlib.metadata import version

import click

from kvsync.cli.disable import disable
from kvsync.cli.enable import enable
from kvsync.cli.quickstart import quickstart
from kvsync.cli.run import run
from kvsync.model.errors import KvsyncError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("kvsync-operator"), prog_name="kvsync")
def cli() -> None:
    """Turn on, verify and undo KV event synchronization of vLLM models behind the AIBrix gateway."""


for command in (quickstart, enable, disable, run):
    cli.add_command(command)


def main() -> None:
    """Entry point: a known error is one line on stderr and exit code 1; a usage error is 2."""
    try:
        cli()
    except KvsyncError as error:
        click.secho(f"kvsync: {error}", fg="red", err=True)
        sys.exit(1)
