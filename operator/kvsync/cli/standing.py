"""What ``top`` shows at one moment: a bounded table of models or of sources, failing ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kvsync.cli.table import NOTHING, counted, printable, rate_text, seconds_text, table
from kvsync.model.verification import ModelFinding, ObjectFinding, SourceFinding, Verification

MODEL_HEADER = ("MODEL", "SOURCES", "VERDICTS", "RATE", "LAG", "LAST")
SOURCE_HEADER = ("MODEL", "POD", "RANK", "VERDICT", "RATE", "LAG", "LAST")
VERDICTS = 3
"""Different verdicts of one model that are shown."""

FRAME = 4
"""Lines around the rows: the title, trouble, the header, what is left out."""

Line = tuple[str, str | None]
"""A line, and its color or None."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    cells: tuple[str, ...]
    healthy: bool


def standing(
    found: Verification, now: float, *, pods: bool, rows: int, place: str, trouble: str = ""
) -> list[Line]:
    """The lines to show, at most ``rows`` and :data:`FRAME`.

    ``now`` is of the observations' clock; ``trouble`` says why the picture may be old.
    """
    lines: list[Line] = [(_title(found, place), "green" if found.healthy else None)]
    if trouble:
        lines.append((printable(trouble), "yellow"))
    header = SOURCE_HEADER if pods else MODEL_HEADER
    made = sorted(
        source_rows(found, now) if pods else model_rows(found, now),
        key=lambda row: (row.healthy, row.cells),
    )
    texts = table(header, (row.cells for row in made[:rows]))
    lines.append((texts[0], None))
    for row, text in zip(made, texts[1:], strict=False):
        lines.append((text, None if row.healthy else "red"))
    left = made[rows:]
    if left:
        failing = sum(not row.healthy for row in left)
        lines.append((f"… and {len(left)} more, {failing} of them failing", None))
    return lines


def _title(found: Verification, place: str) -> str:
    models = [model for each in found.objects for model in each.models]
    sources = list(found.sources)
    healthy = sum(source.healthy for source in sources)
    total = max(len(sources), sum(model.expected for model in models))
    objects = counted(len(found.objects), "KVEventSync")
    return (
        f"{place}: {objects}, {counted(len(models), 'model')}, {healthy} of {total} sources healthy"
    )


def model_rows(found: Verification, now: float) -> Iterator[Row]:
    """One a model, and one for each object at which nothing can be looked."""
    for each in found.objects:
        if each.problem is not None:
            name = f"{each.namespace}/{each.name}"
            yield Row((name, NOTHING, each.problem[0], NOTHING, NOTHING, NOTHING), healthy=False)
        yield from (
            _model_row(_named(found, each, model.name), model, now) for model in each.models
        )


def _model_row(name: str, model: ModelFinding, now: float) -> Row:
    healthy = sum(source.healthy for source in model.sources)
    seen = [source.seen for source in model.sources if source.seen is not None]
    rates = [one.rate for one in seen if one.rate is not None]
    ages = [age for source in model.sources if (age := source.age(now)) is not None]
    cells = (
        name,
        f"{healthy}/{max(model.expected, len(model.sources))}",
        _verdicts(model),
        rate_text(sum(rates) if rates else None),
        seconds_text(max((one.lag for one in seen if one.lag is not None), default=None)),
        seconds_text(min(ages, default=None)),
    )
    return Row(cells, model.healthy)


def _verdicts(model: ModelFinding) -> str:
    """The verdicts by how many sources have them, failing ones first."""
    own = [model.reason] if model.trouble or not model.sources else []
    failing = _by_count(source for source in model.sources if not source.healthy)
    healthy = _by_count(source for source in model.sources if source.healthy)
    words = [*own, *failing, *healthy]
    left = len(words) - VERDICTS
    return ", ".join(words[:VERDICTS]) + (f", +{left}" if left > 0 else "")


def _by_count(sources: Iterable[SourceFinding]) -> list[str]:
    counts = Counter(source.verdict.reason.value for source in sources)
    return [f"{count} {reason}" for reason, count in counts.most_common()]


def source_rows(found: Verification, now: float) -> Iterator[Row]:
    """One a source, and one for what has none."""
    for each in found.objects:
        if each.problem is not None:
            name = f"{each.namespace}/{each.name}"
            yield Row((name, NOTHING, NOTHING, each.problem[0], *[NOTHING] * 3), healthy=False)
        for model in each.models:
            name = _named(found, each, model.name)
            if model.trouble or not model.sources:
                cells = (name, NOTHING, NOTHING, model.reason, *[NOTHING] * 3)
                yield Row(cells, not model.trouble)
            yield from (_source_row(name, source, now) for source in model.sources)


def _source_row(name: str, source: SourceFinding, now: float) -> Row:
    verdict, seen = source.verdict, source.seen
    cells = (
        name,
        verdict.key.pod,
        str(verdict.key.rank),
        verdict.reason.value,
        rate_text(seen.rate if seen else None),
        seconds_text(seen.lag if seen else None),
        seconds_text(source.age(now)),
    )
    return Row(cells, source.healthy)


def _named(found: Verification, each: ObjectFinding, model: str) -> str:
    """A model's name, with its namespace where there are several."""
    several = any(other.namespace != each.namespace for other in found.objects)
    return f"{each.namespace}/{model}" if several else model
