"""What Argo CD's installations are told is the scripts themselves, in the form that each takes."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.argo_vm import OURS, ROOT, acted, actions, health
from golden.files import load

Json = dict[str, Any]

GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate_gitops.py"))
FOLDER = ROOT / "docs" / "gitops" / "argocd"
KEY = "kvsync.aibrix.ai_KVEventSync"
HEALTH, ACTIONS = (f"resource.customizations.{what}.{KEY}" for what in ("health", "actions"))


def _config_map() -> tuple[str, str]:
    data = load(FOLDER / "argocd-cm.yaml")["data"]
    assert data.keys() == {HEALTH, ACTIONS}
    return data[HEALTH], data[ACTIONS]


def _chart() -> tuple[str, str]:
    entries = load(FOLDER / "argo-cd-chart-values.yaml")["configs"]["cm"]
    return entries[HEALTH], entries[ACTIONS]


def _operator() -> tuple[str, str]:
    spec = load(FOLDER / "argocd-operator.yaml")["spec"]
    (check,), (action,) = spec["resourceHealthChecks"], spec["resourceActions"]
    for each in (check, action):
        assert f"{each['group']}_{each['kind']}" == KEY
    return check["check"], action["action"]


FORMS = {"argocd-cm": _config_map, "chart": _chart, "operator": _operator}


@pytest.mark.parametrize("path", GENERATOR["files"](), ids=lambda path: path.name)
def test_the_files_are_generated(path: Path) -> None:
    """`make generate` rewrites them."""
    assert path.read_text() == GENERATOR["_WRITTEN"] + GENERATOR["files"]()[path]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_scripts_to_the_letter(form: str) -> None:
    check, action = FORMS[form]()
    assert check == (OURS / "health.lua").read_text()
    told = yaml.safe_load(action)
    assert told.keys() == {"discovery.lua", "definitions"}
    assert told["discovery.lua"] == (OURS / "actions" / "discovery.lua").read_text()
    found = {each["name"]: each["action.lua"] for each in told["definitions"]}
    assert found == {
        path.parent.name: path.read_text() for path in OURS.glob("actions/*/action.lua")
    }


def test_they_run_as_they_stand_in_the_config_map() -> None:
    check, action = _config_map()
    told = yaml.safe_load(action)
    body = load(OURS / "testdata" / "healthy.yaml")
    assert health(body, check)[0] == "Healthy"
    offered = {each["name"] for each in actions(body, told["discovery.lua"])}
    assert offered == {each["name"] for each in told["definitions"]}
    pause = next(d["action.lua"] for d in told["definitions"] if d["name"] == "pause")
    assert health(acted(body, pause), check)[0] == "Suspended"
