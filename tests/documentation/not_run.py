"""The table of the commands that are not run, in docs/testing/kv-event-sync-e2e.md.

``python -m documentation.not_run`` (in `make generate`) writes it anew.
"""

import os
import re
import sys
from collections.abc import Iterator

from documentation.markdown import ROOT, pages
from documentation.steps import REASONS, RUN, reason_not_run

PAGE = ROOT / "docs" / "testing" / "kv-event-sync-e2e.md"
HEAD = "| page | begins with | why |\n|---|---|---|\n"


def rows() -> Iterator[str]:
    """A row for each block of commands that is not run."""
    for page in pages():
        link = os.path.relpath(page.path, PAGE.parent)
        for block in page.blocks:
            reason = reason_not_run(page, block) if block.language in RUN else None
            if reason:
                yield f"| [`{page.name}`]({link}) | `{_first(block.text)}` | {REASONS[reason]} |\n"


def written() -> str:
    """The page with the table as it should be. Raises ValueError where it has no table."""
    before, head, behind = PAGE.read_text().partition(HEAD)
    if not head:
        raise ValueError(f"{PAGE} has no table that begins with {HEAD!r}")
    rest = re.sub(r"\A(\|.*\n)*", "", behind)
    return before + head + "".join(rows()) + rest


def _first(text: str) -> str:
    line = re.split(r"\s+#\s", text.splitlines()[0].removeprefix("$ "))[0].strip()
    return line.removesuffix("\\").strip().replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(written())
    sys.exit(0)
