"""docs/metrics.md lists every metric as it is served, and its alerts ask for nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from adapters.scrapes import families, full_scrape
from kvsync.core.census import SHOWN
from kvsync.model.source import SourceReason

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "metrics.md").read_text()

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


def rules() -> list[dict[str, Any]]:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [rule for group in yaml.safe_load(block)["spec"]["groups"] for rule in group["rules"]]


def test_the_table_says_what_is_served_and_no_more() -> None:
    assert table() == served()


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
        "result",
        "watch",
        "state",
        "turn",
    }


def test_alerts_ask_for_metrics_that_there_are() -> None:
    for rule in rules():
        named = set(re.findall(r"\b(?:kvsync|process)_\w+", rule["expr"]))
        assert named, rule["alert"]
        assert named <= served().keys(), rule["alert"]


def test_alerts_name_reasons_and_conditions_that_there_are() -> None:
    text = "\n".join(rule["expr"] for rule in rules())
    groups = re.findall(r'reason!?[=~]+"([^"]+)"', text)
    reasons = {reason for group in groups for reason in group.split("|")}
    assert reasons
    assert reasons <= {reason.value for reason in SourceReason}
    types = set(re.findall(r'type="(\w+)"', text))
    assert types <= set(SHOWN)


def test_every_alert_says_whom_it_is_about() -> None:
    for rule in rules():
        assert rule["annotations"]["summary"], rule["alert"]
