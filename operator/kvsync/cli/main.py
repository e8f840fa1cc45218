"""The ``kvsync`` command, also as ``kubectl kvsync``: its subcommands and how errors leave it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TextIO

import click
from click.shell_completion import CompletionItem

from kvsync.cli.table import printable
from kvsync.model.errors import KvsyncError

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "quickstart": "Print Deployment, Service and KVEventSync of a new model NAME.",
        "enable": "Turn KV event synchronization on for one existing DEPLOYMENT, or StormService, in "
        "NAMESPACE.",
        "disable": "Undo kvsync enable for one DEPLOYMENT in NAMESPACE, or for all: gateways first, then "
        "models.",
        "verify": "Look once, from here, at every source of KVEventSync NAME in NAMESPACE, and say what "
        "is wrong.",
        "top": "Show what the sources of KVEventSync NAME in NAMESPACE do, seen from here, until Ctrl-C.",
        "doctor": "Check an installation: API server, CRD, rights, operator, gateway, engines, the way to "
        "their ports.",
        "render": "Show what a KVEventSync would change on manifests, or write them changed.",
        "probe": "Say what is true of the publisher of KV events at tcp://HOST:PORT, and what to do about "
        "it.",
        "record": "Write what the publisher at tcp://HOST:PORT sends from now on, for kvsync decode.",
        "decode": "Decode recorded messages of FILE, or of stdin, to JSON Lines. Needs no cluster.",
        "completion": "Print the completion script of a SHELL.",
        "run": "Run the operator until SIGINT or SIGTERM.",
        "relay": "Stand between the engine in this pod and the gateway, until SIGINT or SIGTERM.",
    }
)
"""Each is a module of this package with a command of the same name, whose help begins with these words:
a list of commands loads none of them."""

PLUGIN = "kubectl-kvsync"
"""By this name on PATH kubectl finds its plugin ``kvsync`` (Kubernetes, "Extend kubectl with plugins")."""

NO_FILES = ":4"
"""How a completion ends that has no file names beside it (cobra ``ShellCompDirectiveNoFileComp``)."""


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without loading them."""
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=told).get_short_help_str(limit))
                    for name, told in COMMANDS.items()
                ]
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of subcommands without loading them: a person waits."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]


@click.command(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="kvsync-operator", prog_name="kvsync")
def cli() -> None:
    """Turn on, verify and undo KV event synchronization of vLLM models behind the AIBrix gateway."""


def main() -> None:
    """Entry point: a known error is one line on stderr and exit code 1; a usage error is 2."""
    for stream in (sys.stdout, sys.stderr):
        _be_lenient(stream)
    color = False if colorless() else None
    try:
        cli(prog_name=program(sys.argv[0]), color=color)
    except KvsyncError as error:
        click.secho(f"kvsync: {printable(str(error))}", fg="red", err=True, color=color)
        sys.exit(1)


def program(called: str) -> str:
    """The command's name in usage lines, by the path it was called with."""
    name = os.path.basename(called)  # noqa: PTH119 - a word of a command line, not a path to walk
    return PLUGIN.replace("-", " ") if name.startswith(PLUGIN) else "kvsync"


def colorless() -> bool:
    """Whether no colors are wanted anywhere: NO_COLOR set and not empty (https://no-color.org), or a dumb
    terminal. Without either they are used on a terminal only."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def _be_lenient(stream: TextIO) -> None:
    """A sign that the stream's encoding lacks is written as an escape: no reason to end."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def complete() -> None:
    """Entry point ``kubectl_complete-kvsync``: kubectl calls it with the words behind ``kubectl kvsync``.

    Printed is what cobra's completions print: a word a line, its description behind a tab, a directive
    (kubectl ``pkg/cmd/plugin/plugin_completion.go``).
    """
    for line in completions(sys.argv[1:]):
        click.echo(line)


def completions(words: Sequence[str]) -> list[str]:
    """The lines for the last of ``words``, which is not complete."""
    from click.shell_completion import ShellComplete  # noqa: PLC0415 - only here

    *before, incomplete = words or [""]
    found = ShellComplete(cli, {}, "kvsync", "").get_completions(list(before), incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else item.value for item in found]
    plain = [line for item, line in zip(found, lines, strict=True) if item.type == "plain"]
    return [*plain, NO_FILES if len(plain) == len(found) else ":0"]
