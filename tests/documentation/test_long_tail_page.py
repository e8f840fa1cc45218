"""docs/gitops.md says of the owners' programs what the stories of the long tail show, row by row."""

from collections.abc import Iterable

import pytest

from documentation.markdown import ROOT
from e2e.long_tail import HELM, KUBECTL, OPERATIONS, operations_table, table

PAGE = (ROOT / "docs" / "gitops.md").read_text().splitlines()


def tabled(head: str) -> list[str]:
    """The lines of the table that begins so."""
    start = PAGE.index(head)
    end = next(n for n in range(start, len(PAGE)) if not PAGE[n].startswith("|"))
    return PAGE[start:end]


@pytest.mark.parametrize(
    "lines",
    [table((*KUBECTL, *HELM)), operations_table(OPERATIONS)],
    ids=["owners", "verbs"],
)
def test_the_page_has_the_rows_that_are_run(lines: Iterable[str]) -> None:
    expected = list(lines)
    assert tabled(expected[0]) == expected


def test_no_two_rows_are_called_the_same() -> None:
    titles = [row.title for row in (*KUBECTL, *HELM, *OPERATIONS)]
    assert len(set(titles)) == len(titles)
