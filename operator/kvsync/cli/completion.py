"""``kvsync completion``: what a shell needs to complete the words of this command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_KVSYNC_COMPLETE"
"""The variable by which the shell asks for completions (click: of the program's name)."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL.

    \b
    bash:  source <(kvsync completion bash)
    zsh:   source <(kvsync completion zsh)
    fish:  kvsync completion fish | source

    kubectl kvsync is completed by kubectl's own completion (1.26 and newer): it calls
    kubectl_complete-kvsync, which is installed beside this command.
    """
    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None  # click knows these three
    click.echo(kind(root, {}, "kvsync", VARIABLE).source())
