"""docs/events.md has a row for everything that the operator does and tells."""

from __future__ import annotations

import re
from pathlib import Path

from kvsync.adapters.kube.events import BURST, CONTROLLER, PER_SECOND, REPEAT_EVERY, SERIES_WINDOW
from kvsync.core.announce import ANNOUNCED
from kvsync.model.decision import Deed

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "events.md").read_text()
SILENT = {Deed.FINALIZER, Deed.FIELDS_RELEASED}


def test_each_deed_has_a_row_that_says_what_it_means() -> None:
    rows = re.findall(
        r"^\| (\w+) \| (Normal|Warning).*? \| [\w, ]+ \| .+\. \|$", PAGE, re.MULTILINE
    )
    assert [reason for reason, _ in rows] == [deed.value for deed in Deed if deed not in SILENT]


def test_the_conditions_are_those_that_are_told() -> None:
    told = re.search(r"When a condition \((.*?)\)", PAGE, re.DOTALL)
    assert told is not None
    assert re.findall(r"`(\w+)`", told[1]) == [*ANNOUNCED]


def test_the_bounds_are_those_that_are_kept() -> None:
    assert (SERIES_WINDOW, REPEAT_EVERY, BURST, PER_SECOND) == (600, 30, 10, 1 / 60)
    assert "within 10 minutes" in PAGE
    assert "every 30 s" in PAGE
    assert "ten new ones at once and\none a minute" in PAGE
    assert f"`{CONTROLLER}`" in PAGE
