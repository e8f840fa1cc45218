"""docs/metrics.md lists every metric as it is served. What asks for them is tried in tests/chart."""

from __future__ import annotations

import re
from pathlib import Path

from adapters.scrapes import families, full_scrape

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
