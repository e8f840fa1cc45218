"""What a command that changes something came to: its last word, for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict, dataclass
from typing import Any

import click

from kvsync.adapters.manifests import dump_manifest
from kvsync.cli.options import run_async

FORMS = ("table", "json", "yaml")


@dataclass(frozen=True, slots=True)
class Upshot:
    """``done``: whether it is as it was asked for. ``reason`` and ``message`` are the operator's, or ours."""

    namespace: str
    name: str
    done: bool
    reason: str = ""
    message: str = ""


def output_option() -> Callable[[Any], Any]:
    """``-o table|json|yaml``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMS),
        default="table",
        show_default=True,
        help="What is written to stdout.",
    )


def print_data(data: Any, form: str) -> None:
    """Write data to stdout as JSON or YAML."""
    text = json.dumps(data, indent=2, allow_nan=False)
    # By way of JSON: the same types in both forms, whatever subclass of a text stands in the data.
    click.echo(dump_manifest(json.loads(text)) if form == "yaml" else f"{text}\n", nl=False)


def carry_out(work: Coroutine[Any, Any, Upshot], form: str) -> None:
    """Run it, and end with exit code 1 where it is not done.

    What it tells meanwhile goes to stderr where stdout is for a program.
    """
    with redirect_stdout(sys.stderr) if form != "table" else nullcontext():
        outcome = run_async(work)
    if form != "table":
        print_data(asdict(outcome), form)
    if not outcome.done:
        sys.exit(1)
