"""Every YAML block of the pages is YAML; one that shows a KVEventSync has no field unknown to the CRD."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from documentation.markdown import ROOT, pages
from kvsync.model.spec import KVEventSyncSpec

MODELS = {"names": ["m"]}


def documents() -> Iterator[tuple[str, Any]]:
    for page in pages():
        for block in page.blocks:
            if block.language == "yaml":
                for found in yaml.safe_load_all(block.text):
                    yield f"{page.name}:{block.line}", found


def specs() -> list[tuple[str, dict[str, Any]]]:
    """Of whole objects, and of parts that begin with ``spec`` and hold fields of ours."""
    found = []
    for where, body in documents():
        if isinstance(body, dict) and isinstance(body.get("spec"), dict):
            ours = body.get("kind") == "KVEventSync" or (
                "kind" not in body
                and body["spec"].keys() & {"events", "gateway", "models", "rollout"}
            )
            if ours:
                found.append((where, {"models": MODELS, **body["spec"]}))
    return found


def test_there_are_some() -> None:
    assert len(specs()) >= 6


@pytest.mark.parametrize(("where", "spec"), specs(), ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_shown_is_a_spec_without_unknown_fields(where: str, spec: dict[str, Any]) -> None:
    KVEventSyncSpec.from_manifest(spec)
    assert unknown(spec, _schema()) == [], where


def unknown(value: Any, schema: dict[str, Any], at: str = "spec") -> list[str]:
    """Fields that the CRD does not have."""
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    named = schema["properties"]
    found = [f"{at}.{name}" for name in value if name not in named]
    for name in value.keys() & named.keys():
        found += unknown(value[name], named[name], f"{at}.{name}")
    return found


def _schema() -> dict[str, Any]:
    crd = yaml.safe_load((ROOT / "crds" / "kveventsync.yaml").read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec: dict[str, Any] = schema["properties"]["spec"]
    return spec
