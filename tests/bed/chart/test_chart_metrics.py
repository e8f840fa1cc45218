"""What the chart gives Prometheus and Grafana: it finds every replica, and says what its files say."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from bed.chart.test_chart_matrix import PROMETHEUS, pods
from bed.chart.test_chart_rendered import Object, rendered
from chart.expressions import CHART, RULES
from chart.matrix import EVERYTHING, LISTED, Values, merged

pytestmark = pytest.mark.bed

ON: Values = {
    "metrics": {
        name: {"enabled": True}
        for name in ("serviceMonitor", "relayMonitor", "prometheusRule", "dashboard")
    }
}

SCRAPE = {"port", "path", "interval", "scrapeTimeout", "honorLabels", "metricRelabelings"}
FIELDS: dict[str, dict[str, Any]] = {
    "ServiceMonitor": {"selector": None, "namespaceSelector": None, "endpoints": SCRAPE},
    "PodMonitor": {"selector": None, "namespaceSelector": None, "podMetricsEndpoints": SCRAPE},
    "PrometheusRule": {"groups": {"name", "rules"}},
}
"""The fields that we use of those that the Prometheus Operator's API reference names."""


def of_kind(kind: str, *values: Values) -> Object:
    (found,) = [b for b in rendered(merged(ON, *values)) if b["kind"] == kind]
    return found


def test_nothing_of_it_is_there_unless_it_is_asked_for() -> None:
    bodies = rendered()
    assert PROMETHEUS not in {body["apiVersion"] for body in bodies}
    assert {"Service", "ConfigMap"}.isdisjoint(body["kind"] for body in bodies)


@pytest.mark.parametrize("values", [{}, EVERYTHING, LISTED], ids=["", "everything", "listed"])
def test_objects_of_the_prometheus_operator_have_fields_that_it_knows(values: Values) -> None:
    made = [b for b in rendered(merged(ON, values)) if b["apiVersion"] == PROMETHEUS]
    assert {body["kind"] for body in made} == FIELDS.keys()
    for body in made:
        fields = FIELDS[body["kind"]]
        assert body["spec"].keys() == fields.keys()
        for field, known in fields.items():
            for each in body["spec"][field] if known else ():
                assert each.keys() <= known


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["", "everything"])
def test_every_replica_is_found_and_keeps_the_label_of_its_objects_namespace(
    values: Values,
) -> None:
    service, monitor = of_kind("Service", values), of_kind("ServiceMonitor", values)
    (operator,) = [
        template
        for template in pods(rendered(values)).values()
        if service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    ]
    (port,) = service["spec"]["ports"]
    names = [p["name"] for p in operator["spec"]["containers"][0]["ports"]]
    assert port["targetPort"] in names
    assert service["spec"]["clusterIP"] == "None"
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["ops"]}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] == port["name"]
    assert endpoint["honorLabels"] is True


def test_relays_are_looked_for_where_models_are_served() -> None:
    assert of_kind("PodMonitor")["spec"]["namespaceSelector"] == {"any": True}
    listed = of_kind("PodMonitor", LISTED)["spec"]["namespaceSelector"]
    assert listed == {"matchNames": ["team-a", "team-b"]}


def test_the_rules_are_those_of_the_one_file() -> None:
    source = yaml.safe_load(RULES.read_text())
    assert of_kind("PrometheusRule")["spec"] == source


def test_alerts_link_to_where_the_runbook_is_read() -> None:
    spec = of_kind("PrometheusRule", EVERYTHING)["spec"]
    rules = [rule for group in spec["groups"] for rule in group["rules"]]
    for rule in rules:
        anchor = rule["alert"].lower()
        url = rule["annotations"].pop("runbook_url")
        assert url == f"https://git.example/runbook.md#{anchor}"
    source = yaml.safe_load(RULES.read_text())["groups"]
    kept = [r | {"annotations": {**r["annotations"]}} for g in source for r in g["rules"]]
    for rule in kept:
        del rule["annotations"]["runbook_url"]
    assert rules == kept


def test_the_dashboard_is_the_one_file_under_the_label_that_the_sidecar_looks_for() -> None:
    source = json.loads((CHART / "files" / "dashboard.json").read_text())
    for values, label in (({}, ("grafana_dashboard", "1")), (EVERYTHING, ("dashboards", "yes"))):
        (made,) = [
            b
            for b in rendered(merged(ON, values))
            if b["kind"] == "ConfigMap" and b["metadata"]["name"].endswith("-dashboard")
        ]
        assert label in made["metadata"]["labels"].items()
        assert json.loads(made["data"]["kvsync.json"]) == source


def test_all_of_it_goes_where_it_is_wanted() -> None:
    made = rendered(merged(ON, EVERYTHING))
    placed = {
        body["kind"]: body["metadata"]["namespace"]
        for body in made
        if body["apiVersion"] == PROMETHEUS
        or body["metadata"]["name"].endswith(("-dashboard", "-metrics"))
    }
    assert placed.pop("Service") == "ops"
    assert set(placed.values()) == {"monitoring"}
