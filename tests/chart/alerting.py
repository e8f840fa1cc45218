"""The chart's alerts over series of one's own, by Prometheus' own promtool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from chart.expressions import RULES
from testbed.promtool.run import promtool

ALERTS: dict[str, Any] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}
TARGET = {"namespace": "ops", "job": "kv", "instance": "a"}
"""The labels that the chart's ServiceMonitor adds where a metric has none of the name."""

Series = Mapping[str, str]
"""Values in promtool's notation, one a minute, by the series' name with its labels."""


def tried(folder: Path, *tests: Any) -> None:
    """Run unit tests of the rules. Raises RuntimeError with what came else than expected."""
    text = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(tests)}
    path = folder / "tests.yaml"
    path.write_text(yaml.safe_dump(text))
    promtool("test", "rules", path)


def unit_test(name: str, series: Series, **checks: Any) -> Any:
    """One unit test as promtool takes it."""
    inputs = [{"series": each, "values": values} for each, values in series.items()]
    return {"name": name, "interval": "1m", "input_series": inputs, **checks}


def fired(alert: str, labels: Mapping[str, str], summary: str) -> Any:
    """The alert as Prometheus sends it: its own labels, those of the series, its texts with both."""
    rule = ALERTS[alert]

    def filled(text: str) -> str:
        return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)

    texts = {name: filled(text) for name, text in rule["annotations"].items()}
    return {
        "exp_labels": {**rule["labels"], **labels},
        "exp_annotations": {**texts, "summary": summary},
    }


def held(scrape: bytes, minutes: int) -> Series:
    """What one scrape tells, told again each minute: nothing moves any more."""
    return {
        _name(sample.name, {**TARGET, **sample.labels}): f"{sample.value}x{minutes}"
        for family in text_string_to_metric_families(scrape.decode())
        for sample in family.samples
    }


def _name(metric: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{pairs}}}"


def check_firing(folder: Path, scrape: bytes, *alerts: str) -> None:
    """Hold what one scrape tells for two hours: then these alerts fire, one of each, and no others.

    Raises RuntimeError.
    """
    check = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "2h",
        "exp_samples": [{"labels": f'{{alertname="{each}"}}', "value": 1} for each in alerts],
    }
    tried(folder, unit_test("held", held(scrape, 120), promql_expr_test=[check]))
