"""What a bench found, as a page of docs/benchmarks/: a table, a plot, and the machine that it ran on."""

import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
SUMMARY = "README.md"
_GIB = 1 << 30

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture: a line a contestant, both axes logarithmic where ``logarithmic``."""

    x: str
    y: str
    lines: Mapping[str, Points]
    logarithmic: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """One bench's page. ``name`` is that of its command (`make bench-NAME`) and of its files."""

    name: str
    title: str
    told: str
    """What is measured and how, in Markdown, before the table."""
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    plots: Sequence[Plot] = ()
    remarks: Sequence[str] = ()
    """Sentences after the table: exponents, goals."""
    loads: Sequence[float] = field(default_factory=tuple)
    """Load averages of the machine (one minute) before and after."""
    command: str = ""
    """What writes it; ``make bench-NAME`` by default."""


def write(page: Page, folder: Path = PAGES) -> Path:
    """Write ``NAME.md``, ``NAME.png`` where there is a plot, and the summary; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = draw(page, folder / f"{page.name}.png") if page.plots else None
    path = folder / f"{page.name}.md"
    path.write_text(markdown(page, picture), encoding="utf-8")
    (folder / SUMMARY).write_text(summary(folder), encoding="utf-8")
    return path


def summary(folder: Path = PAGES) -> str:
    """One page of all: what each bench's page says of its goals, and of the run."""
    parts = [
        "# Goals, and what the benches found",
        "Written anew by each of them (`make bench` runs all). Trust ratios of one run, not absolutes "
        "([more](../benchmarks.md)).",
    ]
    for path in sorted(folder.glob("*.md")):
        if path.name != SUMMARY:
            parts += _summed_up(path)
    return "\n\n".join(parts) + "\n"


def _summed_up(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    title, ran = (
        lines[0].removeprefix("# "),
        next((x for x in lines if x.startswith("Written by ")), ""),
    )
    goals = [line for line in lines if line.startswith("- ") and "goal" in line.lower()]
    said = "\n".join(goals) or "No goal was set."
    return [f"## [{title}]({path.name})", ran.partition(" Trust ")[0], said]


def markdown(page: Page, picture: Path | None = None) -> str:
    """The page's text."""
    parts = [
        f"# {page.title}",
        f"Written by `{page.command or f'make bench-{page.name}'}` ({machine(page.loads)}). "
        "Trust ratios of one run, not absolutes ([more](../benchmarks.md)).",
        page.told.strip(),
        table(page.columns, page.rows),
    ]
    if page.remarks:
        parts.append("\n".join(f"- {remark}" for remark in page.remarks))
    if picture:
        parts.append(f"![{page.title}]({picture.name})")
    return "\n\n".join(parts) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table. Raises ValueError where a row has not as many cells as there are columns."""
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells under {len(columns)} columns: {row}")
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def exponent(points: Points) -> float:
    """The power of size that cost grows with: the slope of the line through these, both logarithmic.

    Raises statistics.StatisticsError for fewer than two sizes, ValueError for what is not positive.
    """
    sizes, costs = zip(*points, strict=True)
    line = statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, costs)])
    return line.slope


def machine(loads: Sequence[float] = ()) -> str:
    """What this ran on, and when."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    words = [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{os.cpu_count()} processors, {memory:.0f} GiB",
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
    ]
    if loads:
        words.append("load " + " → ".join(f"{load:.1f}" for load in loads))
    return "; ".join(words)


def draw(page: Page, path: Path) -> Path:
    """Draw its plots side by side into a PNG."""
    # Takes a second, and only this needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(5.5 * len(page.plots), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, plot in zip(
        figure.subplots(1, len(page.plots), squeeze=False)[0], page.plots, strict=True
    ):
        for name, points in plot.lines.items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=name)
        if plot.logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set_xlabel(plot.x)
        axes.set_ylabel(plot.y)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    # Without its version in the file the same figures are the same bytes.
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return path


def _cell(value: object) -> str:
    return str(value).replace("|", r"\|")
