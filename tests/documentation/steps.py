"""What a reader of a page does, step by step: the commands of its blocks, and what the page says they print.

A block ``console`` has commands behind ``$ ``, each followed by what it prints; ``sh`` is a script.
Comments steer it, and are not seen by a reader:

- ``<!-- scene: NAME -->`` once on a page: what is there before the first step (scenes.py).
- ``<!-- setup: COMMANDS -->`` above a block: done first, and not shown.
- ``<!-- file: NAME -->`` above a block: its text is saved under that name.
- ``<!-- where: TEXT = COMMAND -->`` above a block: TEXT in it stands for what COMMAND prints.
- ``<!-- not run: REASON -->`` above a block: see REASONS.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from documentation.markdown import Block, Page

REASONS = {
    "bed": "It starts a testbed of its own, and the tests of the documentation run on one.",
    "long": "It takes minutes to hours, or gigabytes; it is run on request.",
    "chart": "The stories of the chart run it, by Helm 3 and 4 (`tests/e2e/test_chart_upgrade.py`).",
    "registry": "It needs an image registry or a published release.",
    "kubelet": "The testbed's kubelet has no `exec` and no `port-forward`.",
    "foreign": "It needs somebody else's program or cluster, which the testbed does not have.",
    "form": "It shows the form of a command or of data, with names to fill in.",
}
"""Why a block of commands is not run."""

RUN = ("console", "sh")
OTHER = ("yaml", "json", "diff", "text", "promql", "python", "dockerfile")


class PageError(ValueError):
    """A page is not written as the tests can read it; the message says where and how to mend it."""


@dataclass(frozen=True)
class Step:
    """One command, and the lines that the page says it prints; None where it says nothing of them."""

    line: int
    command: str
    printed: tuple[str, ...] | None = None
    wheres: tuple[tuple[str, str], ...] = ()
    saved: str | None = None
    """A file that the step's text is written to, instead of being run."""


def scene_of(page: Page) -> str | None:
    """The scene that a page starts from; None where nothing on it is run."""
    names = [c.partition(":")[2].strip() for c in page.comments if c.startswith("scene:")]
    if len(names) > 1:
        raise PageError(f"{page.name}: one scene, not {names}")
    return names[0] if names else None


def reason_not_run(page: Page, block: Block) -> str | None:
    """Why a block of commands is not run; None where it is. Raises PageError for no known reason."""
    told = block.told("not run")
    if not told:
        return None
    if told[0] not in REASONS:
        raise PageError(f"{page.name}:{block.line}: {told[0]!r} is none of {', '.join(REASONS)}")
    return told[0]


def steps_of(page: Page) -> list[Step]:
    """All steps of a page in their order. Raises PageError."""
    return [step for block in page.blocks for step in _steps(page, block)]


def _steps(page: Page, block: Block) -> Iterator[Step]:
    if block.language not in (*RUN, *OTHER):
        raise PageError(
            f"{page.name}:{block.line}: a block is one of {', '.join((*RUN, *OTHER))},"
            f" not {block.language!r}"
        )
    if reason_not_run(page, block):
        return
    wheres = tuple(_where(page, block, text) for text in block.told("where"))
    for setup in block.told("setup"):
        yield Step(block.line, setup, None, wheres)
    for name in block.told("file"):
        yield Step(block.line, block.text, None, wheres, saved=name)
    if block.language == "sh" and not block.told("file"):
        yield Step(block.line, block.text, None, wheres)
    elif block.language == "console":
        for command, printed in _typed(page, block):
            yield Step(block.line, command, printed, wheres)


def _where(page: Page, block: Block, text: str) -> tuple[str, str]:
    name, equals, command = text.partition(" = ")
    if not equals:
        raise PageError(f"{page.name}:{block.line}: `where: TEXT = COMMAND`, not {text!r}")
    return name.strip(), command.strip()


def _typed(page: Page, block: Block) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is typed behind ``$ ``, over several lines where they end with a backslash, and what comes."""
    command: list[str] = []
    printed: list[str] = []
    for line in block.text.splitlines():
        if command and command[-1].endswith("\\"):
            command.append(line)
        elif line.startswith("$ "):
            if command:
                yield "\n".join(command), tuple(printed)
            command, printed = [line[2:]], []
        elif command:
            printed.append(line)
        else:
            raise PageError(f"{page.name}:{block.line}: a console block begins with `$ `")
    if command:
        yield "\n".join(command), tuple(printed)
