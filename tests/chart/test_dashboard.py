"""The chart's dashboard: every expression asks for what operator and relay tell, and nothing overlaps."""

from __future__ import annotations

import functools
import itertools
import json
import re
from typing import Any

import pytest

from chart.expressions import (
    CHART,
    OF_TARGETS,
    Expression,
    foreign_labels,
    served,
    unknown_metrics,
    unknown_words,
)

DASHBOARD: Any = json.loads((CHART / "files" / "dashboard.json").read_text())
PANELS: list[Any] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS: list[tuple[str, Any]] = [
    (panel["title"], target) for panel in PANELS for target in panel["targets"]
]
VARIABLES: dict[str, Any] = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def plain(expression: str) -> str:
    """An expression as Grafana sends it; variables inside of strings stand for any text."""
    return expression.replace("$__rate_interval", "5m")


@functools.cache
def expressions() -> list[Expression]:
    return Expression.read([plain(target["expr"]) for _, target in TARGETS])


def test_expressions_ask_for_what_operator_and_relay_tell() -> None:
    for (title, target), expression in zip(TARGETS, expressions(), strict=True):
        assert expression.metrics, (title, target["expr"])
        assert not unknown_metrics(expression), title
        assert not foreign_labels(expression), title
        assert not unknown_words(expression), title


def test_legends_name_labels_that_are_left_of_the_series() -> None:
    for (title, target), expression in zip(TARGETS, expressions(), strict=True):
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert named <= set(expression.kept or ()), title


def test_variables_that_are_used_are_there_and_those_that_are_there_are_used() -> None:
    text = json.dumps([DASHBOARD["panels"], [v["query"] for v in VARIABLES.values()]])
    used = {*re.findall(r"\$\{?(\w+)", text)} - {"__rate_interval"}
    assert used == VARIABLES.keys()


@pytest.mark.parametrize("name", [n for n, v in VARIABLES.items() if v["type"] == "query"])
def test_a_variable_lists_a_label_that_its_metric_has(name: str) -> None:
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", VARIABLES[name]["query"]["query"])
    assert found is not None
    selector, label = found.groups()
    (expression,) = Expression.read([selector])
    assert not unknown_metrics(expression)
    assert not foreign_labels(expression)
    (metric,) = expression.metrics
    assert label in served()[metric] | OF_TARGETS


def test_all_comes_from_the_data_source_that_is_chosen() -> None:
    for panel in PANELS:
        assert panel["datasource"] == DATA_SOURCE, panel["title"]
        assert all(t["datasource"] == DATA_SOURCE for t in panel["targets"]), panel["title"]
    assert VARIABLES["datasource"]["type"] == "datasource"


def test_every_panel_has_a_name_of_its_own_and_says_what_it_shows() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    assert all(panel["description"].endswith(".") for panel in PANELS)


def test_panels_lie_side_by_side() -> None:
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24, panel["title"]
        columns = range(grid["x"], grid["x"] + grid["w"])
        mine = {*itertools.product(columns, range(grid["y"], grid["y"] + grid["h"]))}
        assert places.isdisjoint(mine), panel["title"]
        places |= mine


def test_there_is_a_row_for_each_part() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Fleet",
        "Waves",
        "Gateway",
        "Models",
        "Probe",
        "Operator",
        "Relays (where they are scraped)",
    ]


def test_what_the_operator_tells_is_shown_somewhere() -> None:
    shown = {name for expression in expressions() for name in expression.metrics}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    own = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in served()
        if name.startswith("kvsync_") and not name.startswith("kvsync_relay_")
    }
    assert own - families == {"kvsync_build_info", "kvsync_leader_transitions_total"}
