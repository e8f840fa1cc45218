"""The sets of values that the chart is tried with: between them they change every value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from chart.matrix import EVERYTHING, LISTED, SWITCHES, combinations, merged
from chart.test_chart_files import CHART, SCHEMA, VALUES
from kvsync.cli.run import run


def leaves(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no group of values, by its path, with its schema."""
    for key, each in schema["properties"].items():
        place = f"{path}.{key}".lstrip(".")
        if each.get("additionalProperties") is False and "$ref" not in each:
            yield from leaves(each, place)
        elif place != "global":
            yield place, each


def at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


LEAVES = dict(leaves(SCHEMA))


@pytest.mark.parametrize("path", LEAVES)
def test_every_value_is_changed_by_some_set(path: str) -> None:
    sets = (EVERYTHING, LISTED, *SWITCHES.values())
    assert [v for s in sets if (v := at(s, path)) is not None and v != at(VALUES, path)]


@pytest.mark.parametrize("path", [p for p, s in LEAVES.items() if s.get("type") == "boolean"])
def test_every_switch_is_turned_alone(path: str) -> None:
    turned = [s for s in SWITCHES.values() if at(s, path) is (not at(VALUES, path))]
    assert turned, f"add the switch {path} to the matrix"


def test_every_set_is_allowed() -> None:
    for name, values in combinations():
        assert list(Draft7Validator(SCHEMA).iter_errors(merged(VALUES, values))) == [], name


ELSEWHERE = {
    "kubeconfig": "a pod knows its API server by its service account",
    "context": "a pod knows its API server by its service account",
    "operator_namespace": "KVSYNC_OPERATOR_NAMESPACE, by the downward API",
    "image": "KVSYNC_IMAGE, from image.repository, tag and digest",
    "templates": "extraArgs, with extraVolumes and extraVolumeMounts",
}
"""Options of `kvsync run` that are no value, and why."""


def test_every_setting_of_the_operator_is_a_value() -> None:
    words = (CHART / "templates" / "deployment.yaml").read_text()
    words += (CHART / "templates" / "_names.tpl").read_text()
    for option in run.params:
        name = str(option.name)
        said = any(f"{flag}=" in words or f"- {flag}\n" in words for flag in option.opts)
        assert said != (name in ELSEWHERE), option.opts
