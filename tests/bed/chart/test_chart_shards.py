"""Two releases of the chart in one namespace that share the objects by their labels."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from bed.chart.test_chart_rendered import CHART, INJECTS, helm, one, those
from kvsync.model.selector_text import parse_selector

pytestmark = pytest.mark.bed

Object = dict[str, Any]


def release(name: str, label: str, **values: Any) -> list[Object]:
    """What Helm installs for the objects of one label."""
    given = {"objectSelector": {"matchLabels": {"shard": label}}, **values}
    words = ("template", name, str(CHART), "--namespace", "ops", f"--api-versions={INJECTS}")
    return [body for body in yaml.safe_load_all(helm(*words, values=given)) if body]


def names(bodies: list[Object]) -> set[tuple[str, str, str]]:
    return {
        (body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"])
        for body in bodies
    }


def words(body: Object) -> list[str]:
    (container,) = body["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


def test_they_have_nothing_in_common_but_the_crd_that_one_of_them_brings() -> None:
    first = release("kv-a", "a")
    second = release("kv-b", "b", crds={"enabled": False})
    assert names(first) & names(second) == set()
    assert len(first) == len(second) + 1


def test_each_serves_its_own_objects_by_its_own_lease() -> None:
    for name, label in (("kv-a", "a"), ("kv-b", "b")):
        told = words(one(release(name, label), "Deployment"))
        assert f"--object-selector=shard={label}" in told
        assert f"--lease-name={name}-kvsync-operator" in told
        assert "--leader-elect" in told


def test_each_undoes_its_own_objects_when_it_is_uninstalled() -> None:
    (job,) = [body for body in release("kv-a", "a") if body["kind"] == "Job"]
    assert words(job)[:2] == ["disable", "--all"]
    assert "--object-selector=shard=a" in words(job)


def test_the_policy_of_each_puts_settings_of_its_own_objects_into_pods() -> None:
    for label in "ab":
        found = those(release(f"kv-{label}", label), "-inject")
        (binding,) = [b for b in found if b["kind"] == "MutatingAdmissionPolicyBinding"]
        assert binding["spec"]["paramRef"]["selector"] == {"matchLabels": {"shard": label}}


def test_every_form_of_a_selector_is_told_as_the_operator_reads_it() -> None:
    selector = {
        "matchLabels": {"example.com/shard": "a"},
        "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["x", "y"]},
            {"key": "zone", "operator": "In", "values": ["1", "2"]},
            {"key": "team", "operator": "Exists"},
            {"key": "legacy", "operator": "DoesNotExist"},
        ],
    }
    told = words(one(release("kv", "", objectSelector=selector), "Deployment"))
    (text,) = [word.partition("=")[2] for word in told if word.startswith("--object-selector=")]
    assert parse_selector(text) == parse_selector(
        "example.com/shard=a, tier notin (x, y), zone in (1, 2), team, !legacy"
    )
