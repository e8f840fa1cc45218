"""What ``verify`` prints for people: tables, what fails with a way out, and what the operator says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from kvsync.adapters.kube.access import in_a_pod
from kvsync.cli.reading import Scope
from kvsync.cli.table import NOTHING, counted, printable, rate_text, seconds_text, table
from kvsync.model.verification import (
    ConditionFinding,
    ModelFinding,
    ObjectFinding,
    SourceFinding,
    Verification,
)

MOST_ROWS = 200
"""Rows of one object's table; -o json has all."""
MOST_FAILURES = 20
"""Failures of one object that are told with evidence and remedy."""

HEADER = ("MODEL", "POD", "RANK", "VERDICT", "RATE", "LAG")

Line = tuple[str, str | None]
"""A line, and its color or None."""


def print_report(found: Verification, scope: Scope) -> None:
    """Print it."""
    for text, color in report(found, scope, inside=in_a_pod()):
        click.secho(printable(text), fg=color)


def report(found: Verification, scope: Scope, *, inside: bool) -> Iterator[Line]:
    """The lines. ``inside``: whether this runs in a pod of the cluster."""
    unreached = found.unreached_pods
    for each in found.objects:
        yield from _object(each, reached=not unreached)
        yield "", None
    yield from ((note, "yellow") for note in found.notes)
    if unreached:
        yield _unreached(unreached, scope, inside=inside), "red"
        return
    sources = list(found.sources)
    healthy = sum(source.healthy for source in sources)
    total = sum(model.expected for each in found.objects for model in each.models)
    color = "green" if found.healthy else "red"
    yield f"{healthy} of {counted(max(total, len(sources)), 'source')} healthy.", color


def _unreached(pods: int, scope: Scope, *, inside: bool) -> str:
    none = "The pod cannot" if pods == 1 else f"None of the {pods} pods can"
    if inside:
        return (
            f"{none} be reached from here, inside the cluster: see the NetworkPolicies of their "
            "namespace, and their nodes."
        )
    return (
        f"{none} be reached from here; run it inside the cluster: kubectl -n kvsync-system exec "
        f"deploy/kvsync-operator -- kvsync verify {scope.words}"
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table, and what is told below it where it fails."""

    cells: tuple[str, ...]
    healthy: bool
    title: str
    evidence: str
    remedy: str

    @property
    def urgency(self) -> tuple[bool, tuple[str, ...]]:
        return self.healthy, self.cells


def _object(found: ObjectFinding, *, reached: bool) -> Iterator[Line]:
    yield f"KVEventSync {found.namespace}/{found.name}", "green" if found.healthy else "red"
    if found.problem is not None:
        yield "  " + ": ".join(found.problem), "red"
    rows = sorted(_rows(found, reached=reached), key=lambda row: row.urgency)
    if rows:
        yield from _table(rows)
    yield from _failures([row for row in rows if not row.healthy])
    yield from _gateway(found)
    yield from _operator(found, reached=reached)


def _rows(found: ObjectFinding, *, reached: bool) -> Iterator[_Row]:
    for model in found.models:
        if model.trouble or not model.sources:
            yield _model_row(model)
        yield from (_source_row(each) for each in model.sources if reached or not each.unreached)


def _model_row(model: ModelFinding) -> _Row:
    cells = (model.name, NOTHING, NOTHING, model.reason, NOTHING, NOTHING)
    return _Row(cells, not model.trouble, f"{model.name}: {model.reason}", model.message, "")


def _source_row(source: SourceFinding) -> _Row:
    key, seen = source.verdict.key, source.seen
    reason = source.verdict.reason.value
    rate, lag = (seen.rate, seen.lag) if seen else (None, None)
    cells = (source.model, key.pod, str(key.rank), reason, rate_text(rate), seconds_text(lag))
    title = f"{key.pod} rank {key.rank}: {reason}"
    return _Row(cells, source.healthy, title, source.verdict.message, source.remedy)


def _table(rows: list[_Row]) -> Iterator[Line]:
    header, *lines = table(HEADER, (row.cells for row in rows[:MOST_ROWS]))
    yield header, None
    for row, line in zip(rows, lines, strict=False):
        yield line, None if row.healthy else "red"
    left = rows[MOST_ROWS:]
    if left:
        failing = sum(not row.healthy for row in left)
        yield f"… and {len(left)} more, {failing} of them failing; -o json lists all.", None


def _failures(rows: list[_Row]) -> Iterator[Line]:
    for row in rows[:MOST_FAILURES]:
        yield row.title, "red"
        yield f"  evidence  {row.evidence}", None
        if row.remedy:
            yield f"  remedy    {row.remedy}", None
    if len(rows) > MOST_FAILURES:
        yield f"… and {len(rows) - MOST_FAILURES} more failures; -o json lists all.", None


def _gateway(found: ObjectFinding) -> Iterator[Line]:
    here, told = found.compatible, found.told_compatible
    if here is None:
        return
    yield f"GatewayCompatible: {_said(here)}", "red" if here.status == "False" else None
    if told is not None and told.status != here.status:
        yield f"  the operator says: {_said(told)}", "yellow"


def _operator(found: ObjectFinding, *, reached: bool) -> Iterator[Line]:
    if found.ready is None:
        yield "The operator says nothing of it: is kvsync-operator installed and running?", "yellow"
        return
    age = "" if found.ready.current else " (of an older spec)"
    yield f"The operator{age}: Ready {_said(found.ready)}", None
    for name, difference in found.differences.items() if reached else ():
        yield f"  {name}: {difference}", "yellow"


def _said(condition: ConditionFinding) -> str:
    return f"{condition.status} ({condition.reason}): {condition.message}"
