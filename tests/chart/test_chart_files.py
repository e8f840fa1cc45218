"""The chart's own files: what it shares with others is the same, and its schema knows every value."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from chart.wrong_values import WRONG
from kvsync.core.gateway_access import ACCESS_LABEL, parse_grant

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "kvsync-operator"
SCHEMA: Any = json.loads((CHART / "values.schema.json").read_text())
VALUES: Any = yaml.safe_load((CHART / "values.yaml").read_text())
ABOUT: Any = yaml.safe_load((CHART / "Chart.yaml").read_text())


def sync() -> Any:
    found = importlib.util.spec_from_file_location("sync", ROOT / "charts" / "sync.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_shared_files_are_those_of_their_sources() -> None:
    """`make chart` brings them up to date."""
    shared: dict[Path, str] = sync().shared()
    assert {path.name for path in shared} == {"admission.yaml", "kveventsync.yaml", "rules.yaml"}
    assert {path.name: path.read_text() for path in shared} == {
        path.name: text for path, text in shared.items()
    }


def test_the_rules_are_those_of_the_install_manifest() -> None:
    install = (ROOT / "docs" / "samples" / "install" / "operator.yaml").read_text()
    role = next(b for b in yaml.safe_load_all(install) if b["kind"] == "ClusterRole")
    assert yaml.safe_load((CHART / "files" / "rules.yaml").read_text()) == role["rules"]


def test_the_admission_policy_is_that_of_the_install_manifest() -> None:
    policy, _ = yaml.safe_load_all(
        (ROOT / "docs" / "samples" / "install" / "admission.yaml").read_text()
    )
    assert yaml.safe_load((CHART / "files" / "admission.yaml").read_text()) == policy["spec"]


def test_the_chart_is_of_the_programs_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ABOUT["appVersion"] == project["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", ABOUT["version"])
    assert ABOUT["kubeVersion"] == ">=1.30.0-0"


def objects(schema: Any, value: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(value, dict) and "properties" in schema:
        yield path, schema, value
        for key, each in value.items():
            yield from objects(schema["properties"].get(key, {}), each, f"{path}.{key}")


def test_every_value_is_known_and_none_is_left_out() -> None:
    Draft7Validator.check_schema(SCHEMA)
    Draft7Validator(SCHEMA).validate(VALUES)
    for path, schema, value in objects(SCHEMA, VALUES):
        assert schema["additionalProperties"] is False, path
        assert schema["properties"].keys() - {"global"} == value.keys(), path


def changed(path: str, value: Any) -> Any:
    values = json.loads(json.dumps(VALUES))
    *parents, last = path.split(".")
    place = values
    for each in parents:
        place = place[each]
    place[last] = value
    return values


@pytest.mark.parametrize(("path", "value"), WRONG, ids=str)
def test_a_value_that_is_not_known_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Draft7Validator(SCHEMA).validate(changed(path, value))
    *parents, last = path.split(".")
    found = [*refused.value.absolute_path][: len(parents) + 1]
    assert found == [*parents, last] or (found == parents and repr(last) in str(refused.value))


@pytest.mark.parametrize(
    "text",
    ["a/b", "aibrix-*/*-gateway.plugins", "*/*", "a-/b", "A/b", "a/b/c", "a/", "-/b", "a/b."],
)
def test_the_schema_takes_the_gateways_that_the_operator_takes(text: str) -> None:
    pattern = SCHEMA["properties"]["gatewayAccess"]["properties"]["gateways"]["items"]
    taken = re.search(pattern["properties"]["gateway"]["pattern"], text) is not None
    try:
        parse_grant(text)
        good = True
    except ValueError:
        good = False
    assert taken == good


def test_the_policy_knows_the_label_by_its_name() -> None:
    policy = (CHART / "templates" / "gateway-access-policy.yaml").read_text()
    assert f'labels["{ACCESS_LABEL}"]' in policy
