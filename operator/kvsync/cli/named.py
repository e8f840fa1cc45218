"""Which object the words of a command name: ``NAMESPACE NAME``, or ``NAME`` with ``-n NAMESPACE``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from kvsync.cli.options import NamespaceName


def namespace_option(help_text: str) -> Callable[[Any], Any]:
    """``-n NAME``, as kubectl has it."""
    return click.option(
        "-n",
        "--namespace",
        "given",
        type=NamespaceName(optional=True),
        default="",
        metavar="NAME",
        help=help_text,
    )


def one_object(words: Sequence[str], given: str, what: str) -> tuple[str | None, str]:
    """Namespace and name; None for the current namespace. ``given`` is that of ``-n``.

    Raises click.UsageError where they are too few, too many, or contradict each other.
    """
    if not words or len(words) > 2:
        raise click.UsageError(f"give NAMESPACE {what}, or {what} and -n NAMESPACE.")
    if len(words) == 2 and given:
        raise click.UsageError(f"give NAMESPACE or -n, not both: {what} is one word.")
    return (words[0] if len(words) == 2 else given or None), words[-1]


def some_objects(words: Sequence[str], given: str) -> tuple[str | None, str | None]:
    """Namespace and name, each None where it is not named. A single word is NAMESPACE, or NAME beside
    ``-n``.

    Raises click.UsageError where they are too many, or contradict each other.
    """
    if len(words) > 2 or (len(words) == 2 and given):
        raise click.UsageError("give [NAMESPACE] [NAME], or -n NAMESPACE [NAME].")
    if given:
        return given, words[0] if words else None
    namespace, name = (*words, None, None)[:2]
    return namespace, name
