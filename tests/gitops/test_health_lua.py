"""Argo CD's health of a KVEventSync: the script, Argo's own test file, the objects that it names."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gitops.argo_vm import CUSTOMIZATIONS, OURS, LuaError, acted, health
from gitops.pictures import PICTURES, expected
from golden.files import check, load
from kvsync.model.observed import PAUSED_ANNOTATION, PLAN_ONLY_ANNOTATION, KVEventSync
from model.schema import CRD, SCHEMA, closed

SCRIPT = (OURS / "health.lua").read_text()
TESTS = OURS / "health_test.yaml"


def test_the_layout_is_argos_own() -> None:
    """``resource_customizations/<group>/<kind>``; Argo CD reads nothing else there."""
    spec = CRD["spec"]
    assert OURS.relative_to(CUSTOMIZATIONS) == Path(spec["group"]) / spec["names"]["kind"]
    assert {path.name for path in OURS.iterdir()} == {
        "health.lua",
        "health_test.yaml",
        "testdata",
        "actions",
    }


@pytest.mark.parametrize("name", PICTURES)
def test_the_objects_are_what_the_operator_writes(
    name: str, request: pytest.FixtureRequest
) -> None:
    rewrite = bool(request.config.getoption("--rewrite-golden"))
    check(OURS / "testdata" / f"{name}.yaml", PICTURES[name](), rewrite=rewrite)


def test_argos_test_file_names_each_with_its_health(request: pytest.FixtureRequest) -> None:
    tests = []
    for name, picture in PICTURES.items():
        status, message = expected(picture())
        health_status = {"status": status, "message": message}
        tests.append({"healthStatus": health_status, "inputPath": f"testdata/{name}.yaml"})
        assert name.startswith(("terminating", status.lower()))
    check(TESTS, {"tests": tests}, rewrite=bool(request.config.getoption("--rewrite-golden")))
    assert {path.stem for path in (OURS / "testdata").iterdir()} == PICTURES.keys()


@pytest.mark.parametrize("test", load(TESTS)["tests"], ids=lambda test: test["inputPath"])
def test_argos_test_file_holds(test: dict[str, Any]) -> None:
    body = load(OURS / test["inputPath"])
    told = test["healthStatus"]
    assert health(body, SCRIPT) == (told["status"], told["message"])


@pytest.mark.parametrize("path", sorted(OURS.rglob("testdata/*.yaml")), ids=lambda path: path.stem)
def test_the_crd_takes_the_objects(path: Path) -> None:
    body = load(path)
    for part in {"spec", "status"} & body.keys():
        Draft202012Validator(closed(SCHEMA["properties"][part])).validate(body[part])


# In any order: what is held is suspended, what is not seen yet is on its way, and so on.

_PICTURES = [picture() for picture in PICTURES.values()]
_HELD = st.sampled_from([{}, {PAUSED_ANNOTATION: "true"}, {PLAN_ONLY_ANNOTATION: "true"}])


@given(
    body=st.sampled_from(_PICTURES),
    annotations=_HELD,
    paused=st.booleans(),
    generation=st.integers(2, 4),
    deleted=st.booleans(),
)
def test_the_order_holds_of_every_mixture(
    body: dict[str, Any],
    annotations: dict[str, str],
    paused: bool,
    generation: int,
    deleted: bool,
) -> None:
    mixed = copy.deepcopy(body)
    mixed["metadata"] |= {"annotations": annotations, "generation": generation}
    mixed["spec"]["paused"] = paused
    mixed["metadata"].pop("deletionTimestamp", None)
    if deleted:
        mixed["metadata"]["deletionTimestamp"] = "2026-11-26T10:00:00Z"
    assert health(mixed, SCRIPT) == expected(mixed)


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "false", "", "yes"])
@pytest.mark.parametrize("key", [PAUSED_ANNOTATION, PLAN_ONLY_ANNOTATION])
def test_what_holds_it_is_what_the_operator_takes_for_that(key: str, value: str) -> None:
    body = load(OURS / "testdata" / "healthy.yaml")
    body["metadata"]["annotations"] = {key: value}
    suspended = health(body, SCRIPT)[0] == "Suspended"
    assert suspended == bool(KVEventSync(body).held_by)


def test_an_engine_without_traffic_is_not_degraded() -> None:
    idle = load(OURS / "testdata" / "progressing-idle.yaml")
    proven = load(OURS / "testdata" / "healthy.yaml")
    for body, told in ((idle, "Progressing"), (proven, "Healthy")):
        assert body["status"]["sources"]["idle"] == 1
        assert health(body, SCRIPT)[0] == told


@pytest.mark.parametrize("status", [{}, {"conditions": []}, {"observedGeneration": 3}])
def test_half_a_status_is_no_error(status: dict[str, Any]) -> None:
    body = {**load(OURS / "testdata" / "healthy.yaml"), "status": status}
    assert health(body, SCRIPT)[0] == "Progressing"


# The machine itself refuses what Argo CD's would.


@pytest.mark.parametrize(
    "script",
    [
        'return {status = string.lower("HEALTHY")}',
        'return {status = ("HEALTHY"):lower()}',
        "return {status = math.max(1, 2)}",
        "return {status = os.getenv('HOME')}",
        "return {status = require('os').getenv('HOME')}",
        "return {status = require('string').lower('HEALTHY')}",
        "return {status = io.open('/etc/passwd')}",
        "return {status = 'Fine'}",
        "return 'Healthy'",
        "return {status = 'Healthy', message = {}}",
    ],
)
def test_what_argo_has_not_fails_here(script: str) -> None:
    with pytest.raises((LuaError, Exception), match=r"no health|nil|not found|string"):
        health({"metadata": {}}, script)


def test_an_old_argo_puts_an_emptied_map_back() -> None:
    """The trap that the action resume goes round."""
    body = {"metadata": {"name": "x", "annotations": {"a": "b"}}, "spec": {"engine": {}}}
    emptied, without = (
        "obj.metadata.annotations.a = nil return obj",
        "obj.metadata.annotations = nil",
    )
    assert acted(body, emptied, old=True) == body
    assert acted(body, emptied)["metadata"] == {"name": "x", "annotations": {}}
    for old in (False, True):
        after = acted(body, f"{without} return obj", old=old)
        assert after == {"metadata": {"name": "x"}, "spec": {"engine": {}}}


def test_the_scripts_are_yaml_safe() -> None:
    """They stand in a ConfigMap as block texts: no tabs, no blanks at the end, no other than ASCII."""
    for path in OURS.rglob("*.lua"):
        text = path.read_text()
        assert yaml.safe_load(yaml.safe_dump(text)) == text
        assert text.isascii()
        assert not any(line != line.rstrip() or "\t" in line for line in text.splitlines()), path
