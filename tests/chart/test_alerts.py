"""The chart's alerts, tried by Prometheus' own promtool: each fires when it should and not before."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.scrapes import full_scrape
from chart.alerting import ALERTS, check_firing, fired, tried, unit_test
from chart.expressions import RULES, Expression, foreign_labels, unknown_metrics, unknown_words
from testbed.promtool.run import promtool

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent / "alerts"
CASES: list[Any] = yaml.safe_load((HERE / "cases.yaml").read_text())
QUIET: dict[str, str] = yaml.safe_load((HERE / "quiet.yaml").read_text())


def of_case(case: Any) -> Any:
    alert = case["alert"]
    fires = [
        {"eval_time": at, "alertname": alert, "exp_alerts": [fired(alert, **expected)]}
        for at, expected in case.get("fires", {}).items()
    ]
    silent = [{"eval_time": at, "alertname": alert} for at in case.get("silent", ())]
    name = f"{alert}: {case['says']}"
    return unit_test(name, case["series"], alert_rule_test=[*fires, *silent])


@functools.cache
def expressions() -> dict[str, Expression]:
    return dict(zip(ALERTS, Expression.read([r["expr"] for r in ALERTS.values()]), strict=True))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_it_should_and_is_silent_else(alert: str, tmp_path: Path) -> None:
    tried(tmp_path, *(of_case(case) for case in CASES if case["alert"] == alert))


def test_every_alert_is_tried_both_ways() -> None:
    for kind in ("fires", "silent"):
        assert {case["alert"] for case in CASES if case.get(kind)} == ALERTS.keys(), kind


def test_nothing_is_said_of_a_fleet_that_nobody_uses(tmp_path: Path) -> None:
    tests = [
        {"alert": alert, "says": "idle", "series": QUIET, "silent": ["1m", "30m", "90m", "180m"]}
        for alert in ALERTS
    ]
    tried(tmp_path, *map(of_case, tests))


def test_of_a_scrape_in_which_much_is_wrong_only_that_fires(tmp_path: Path) -> None:
    """The model of that scrape has a closed port, and someone undoes what is written."""
    check_firing(tmp_path, full_scrape(), "KVSyncSourcesUnsettled", "KVSyncContended")
    with pytest.raises(RuntimeError, match="KVSyncContended"):
        check_firing(tmp_path, full_scrape(), "KVSyncSourcesUnsettled")


def test_promtool_accepts_the_rules() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert f"{len(ALERTS)} rules found" in said


def test_alerts_ask_for_what_operator_and_relay_tell() -> None:
    for alert, expression in expressions().items():
        assert expression.metrics, alert
        assert not unknown_metrics(expression), alert
        assert not foreign_labels(expression), alert
        assert not unknown_words(expression), alert


def test_series_of_the_cases_are_such_as_there_are() -> None:
    names = [name for case in CASES for name in case["series"]]
    for found in Expression.read([*names, *QUIET]):
        assert not unknown_metrics(found), found.text
        assert not foreign_labels(found), found.text
        assert not unknown_words(found), found.text


def test_an_alert_names_only_labels_that_it_has() -> None:
    for alert, rule in ALERTS.items():
        named = set(re.findall(r"\$labels\.(\w+)", yaml.safe_dump(rule["annotations"])))
        assert named <= set(expressions()[alert].kept or ()), alert


def test_an_alert_says_how_bad_it_is_what_to_do_and_where_to_read_on() -> None:
    for alert, rule in ALERTS.items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, alert
        texts = rule["annotations"]
        assert texts.keys() == {"summary", "description", "runbook_url"}, alert
        assert texts["description"].endswith("."), alert
        assert texts["runbook_url"] == f"docs/runbook.md#{alert.lower()}"
        assert alert.startswith("KVSync")


def test_every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() -> None:
    section = (ROOT / "docs" / "runbook.md").read_text().partition("\n## Alerts\n")[2]
    parts = re.split(r"^### (\w+)$", section.partition("\n## ")[0], flags=re.MULTILINE)[1:]
    entries = dict(zip(parts[::2], parts[1::2], strict=True))
    assert entries.keys() == ALERTS.keys()
    for alert, text in entries.items():
        assert "**What to do:**" in text, alert
