"""docs/metrics.md lists every metric as it is served. What asks for them is tried in tests/chart."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from jsonschema import Draft7Validator

from adapters.scrapes import families, full_scrape
from chart.matrix import merged

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "metrics.md").read_text()

CHART = Path(__file__).resolve().parents[1] / "charts" / "kvsync-operator"

Row = tuple[str, str, str]


def table() -> dict[str, Row]:
    """Type, labels and text by name."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\| (.+) \|$", PAGE, flags=re.MULTILINE)
    return {name: (kind, labels, text) for name, kind, labels, text in rows}


def served() -> dict[str, Row]:
    found = {}
    for name, family in families(full_scrape()).items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, ", ".join(sorted(labels)), family.documentation)
    return found


def test_the_table_says_what_is_served_and_no_more() -> None:
    assert table() == served()


def test_the_values_that_switch_it_on_are_such_as_the_chart_takes() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    given = yaml.safe_load(block)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator(schema).validate(merged(values, given))
    assert {part for part, of in given["metrics"].items() if of["enabled"]} == {
        "serviceMonitor",
        "relayMonitor",
        "prometheusRule",
        "dashboard",
    }


def test_names_follow_prometheus_conventions() -> None:
    for name, (kind, _, _) in served().items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"(_ms|_milliseconds|_kb|_mb)(_|$)", name), name


def test_labels_are_of_a_bounded_kind() -> None:
    labels = {label for _, names, _ in served().values() for label in names.split(", ") if label}
    assert labels == {
        "namespace",
        "model",
        "kvsync",
        "kind",
        "type",
        "reason",
        "worker",
        "verb",
        "code",
        "version",
        "shard",
        "result",
        "watch",
        "state",
        "turn",
    }
