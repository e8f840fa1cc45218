"""Which KVEventSyncs a command looks at, through which door, and how it ends without any."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import click

from kvsync.adapters.templates import read_templates
from kvsync.cli.door import Door, door_options
from kvsync.cli.named import namespace_option, some_objects
from kvsync.cli.options import run_async
from kvsync.cli.reading import Scope
from kvsync.cli.survey import Manner, Survey
from kvsync.cli.table import printable
from kvsync.model.errors import AccessError, ApiError, KvsyncError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Result = TypeVar("Result")


def wanted_options(command: Decorated) -> Decorated:
    """``[NAMESPACE] [NAME]`` and what else a :class:`Wanted` is made of."""
    for option in (
        door_options,
        click.option(
            "--templates",
            metavar="FOLDER",
            envvar="KVSYNC_TEMPLATES",
            help="The operator's own templates, where it has such.",
        ),
        click.option("-A", "--all-namespaces", is_flag=True, help="All objects of the cluster."),
        namespace_option("The namespace; a word beside it is NAME.  [default: the current one]"),
        click.argument("words", nargs=-1, metavar="[NAMESPACE] [NAME]"),
    ):
        command = option(command)
    return command


class NothingThere(KvsyncError):  # noqa: N818 - says what it means
    """What a command was asked to look at does not exist."""


class NothingSeen(click.ClickException):
    """A command could not look at anything: wrong usage, no access, no such object."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """One line on stderr, as every error of this command."""
        click.secho(f"kvsync: {printable(self.message)}", fg="red", err=True)


def run_looking(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the coroutine of a command that only looks; where there is nothing to look at, exit code 2."""
    try:
        return run_async(work)
    except (AccessError, ApiError, NothingThere) as error:
        raise NothingSeen(str(error)) from error


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command was asked to look at, and through which door."""

    words: tuple[str, ...]
    given: str
    """The namespace of ``-n``, or empty."""
    all_namespaces: bool
    templates: str | None
    door: Door

    def scope(self, current: str) -> Scope:
        """``current`` is the namespace that is meant where none is named.

        Raises click.UsageError where what was given contradicts itself.
        """
        if self.all_namespaces and (self.words or self.given):
            raise click.UsageError("give NAMESPACE or --all-namespaces, not both")
        namespace, name = some_objects(self.words, self.given)
        return Scope(None if self.all_namespaces else namespace or current, name)


@asynccontextmanager
async def open_survey(wanted: Wanted, manner: Manner) -> AsyncIterator[Survey]:
    """A survey that has read the cluster once and has something to look at.

    Raises:
        NothingThere: there is no such object.
        AccessError, ApiError: the cluster cannot be read.
        click.UsageError: the arguments contradict each other.
    """
    wanted.scope("")  # wrong usage is said before anything is asked
    try:
        templates = read_templates(wanted.templates)
    except FileNotFoundError as error:
        raise click.UsageError(str(error)) from error
    async with await wanted.door.open() as kube:
        scope = wanted.scope(kube.namespace)
        async with Survey(kube, scope, templates, manner) as survey:
            await survey.refresh()
            if survey.empty:
                raise NothingThere(_nothing(scope))
            yield survey


def _nothing(scope: Scope) -> str:
    if scope.name:
        return (
            f"There is no KVEventSync {scope.name} in namespace {scope.namespace}: it was deleted, "
            "or never there. kubectl get kves -A lists all."
        )
    return (
        f"There is no KVEventSync in {scope.place}. Name another namespace (a single word is one; an "
        "object's name goes behind it, or beside -n), look at all with -A, or turn a model on with kvsync "
        "enable."
    )
