"""What stands of the slot on pages and in examples is what the operator takes."""

from typing import Any

import yaml

from core.objects import planned, spec_of
from documentation.markdown import ROOT, pages
from kvsync.core.ignore_differences import ignored_slot
from kvsync.core.planned import Outcome
from kvsync.core.releases import NEUTRAL_EVENTS
from kvsync.core.slot_manifest import with_slot
from kvsync.model.spec import EngineSpec, EngineType

GITOPS = ROOT / "docs" / "gitops"
PAGE = next(page for page in pages() if page.name == "docs/slot.md")


def objects(path: str) -> list[Any]:
    return [body for body in yaml.safe_load_all((GITOPS / path).read_text()) if body]


def test_the_example_application_ignores_what_render_prints() -> None:
    (application,) = objects("argocd/model-slot.yaml")
    wanted = ignored_slot(["Deployment"])
    assert application["spec"]["ignoreDifferences"] == wanted["ignoreDifferences"]
    options = set(wanted["syncPolicy"]["syncOptions"])
    assert options <= set(application["spec"]["syncPolicy"]["syncOptions"])


def test_the_example_model_is_configured_by_its_value_alone() -> None:
    (model,) = (b for b in objects("models/slot/deployment.yaml") if b["kind"] == "Deployment")
    assert with_slot(model, EngineSpec()).outcome is Outcome.UNCHANGED
    made = planned(model, spec_of(engine={"labels": "WhenVerified"}))
    (written,) = [
        operation["path"]
        for operation in made.patch
        if operation["op"] != "test" and not operation["path"].startswith("/metadata/")
    ]
    assert written.endswith("/value")


def test_the_page_names_what_each_engine_takes() -> None:
    text = PAGE.path.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `--kv-events-config={}`"))
    _, _, vllm, sglang, _ = row.split("|")
    assert "off" in vllm
    assert NEUTRAL_EVENTS[EngineType.VLLM][0] == "--kv-events-config={}"
    assert "ends the engine" in sglang
    assert "--kv-events-config={}" not in NEUTRAL_EVENTS[EngineType.SGLANG]
