"""docs/values.md is what the chart's values are, and says something of each."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from chart.test_chart_values import LEAVES

ROOT = Path(__file__).resolve().parents[2]


def generator() -> Any:
    found = importlib.util.spec_from_file_location("values", ROOT / "docs" / "generate_values.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_values() -> None:
    """`make generate` brings it up to date."""
    assert (ROOT / "docs" / "values.md").read_text() == generator().page()


def test_every_value_has_its_line_and_its_word() -> None:
    rows = [line.split(" | ") for line in generator().page().splitlines() if line.startswith("| ")]
    said = {row[0].strip("|`* "): row[-1].rstrip("| ") for row in rows}
    for path in LEAVES:
        parts = path.split(".")
        above = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        below = any(each.startswith(f"{path}.") for each in said)
        assert path in said or below, "make generate"
        assert any(said.get(each) for each in above), f"say in values.yaml what {path} is"
