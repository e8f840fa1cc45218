"""What kustomize makes of the corpus by the printed patches: what mode Patch writes, and back."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.objects import Json, ask, planned, spec_of
from golden.files import load
from golden.test_golden_deployments import CASES, CORPUS
from kvsync.cli.render_forms import as_kustomize
from kvsync.core.owner_change import OwnerChange, owner_change
from kvsync.core.owner_patch import owner_patch
from kvsync.core.patch import apply
from kvsync.core.planned import Outcome
from kvsync.model.relay import RelayMeans, form_in
from kvsync.model.version import parse_version
from kvsync.model.workload import Deployment
from testbed.api import find_kubectl


def kustomized(folder: Path, bodies: Sequence[Json], component: str) -> dict[str, Json]:
    """The bodies as kubectl builds them with a component, by name."""
    (folder / "kv").mkdir(parents=True)
    (folder / "kv" / "kustomization.yaml").write_text(component)
    (folder / "all.yaml").write_text(yaml.safe_dump_all(bodies))
    (folder / "kustomization.yaml").write_text("resources: [all.yaml]\ncomponents: [kv]\n")
    done = subprocess.run(
        [find_kubectl(), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {body["metadata"]["name"]: body for body in yaml.safe_load_all(done.stdout)}


def corpus() -> dict[str, tuple[Json, Json, OwnerChange]]:
    """Each Deployment that mode Patch changes: as it is, as that leaves it, and the change for its owner."""
    found = {}
    for name in CASES:
        body, sync = load(CORPUS / name / "deployment.yaml"), load(CORPUS / name / "sync.yaml")
        body["metadata"]["name"] = name
        relays = RelayMeans(
            "kvsync-operator:1.2.3", form_in(parse_version(str(sync.get("kubernetes", ""))))
        )
        spec, running = spec_of(**sync.get("spec", {})), sync.get("runningVersion")
        by_us = planned(body, spec, running=running, relays=relays)
        if by_us.outcome is Outcome.CHANGE:
            asked = ask(spec, running=running, relays=relays)
            change = owner_change(Deployment(body), asked)
            found[name] = (body, apply(body, by_us.patch), change)
    return found


def templates(bodies: Mapping[str, Json]) -> dict[str, Any]:
    return {name: body["spec"]["template"] for name, body in bodies.items()}


def test_kustomize_gives_the_pod_templates_of_mode_patch_and_takes_them_back(
    tmp_path: Path,
) -> None:
    found = corpus()
    assert len(found) >= 40
    before = {name: body for name, (body, _, _) in found.items()}
    after = {name: body for name, (_, body, _) in found.items()}
    changes = [change for _, _, change in found.values()]
    built = kustomized(tmp_path / "there", [*before.values()], as_kustomize(changes))
    assert templates(built) == templates(after)
    undo = [
        replace(change, operations=owner_patch(after[name], before[name]))
        for name, (_, _, change) in found.items()
    ]
    back = kustomized(tmp_path / "back", [*after.values()], as_kustomize(undo))
    assert templates(back) == templates(before)


@pytest.mark.parametrize("namespace", ["", "team"])
def test_a_patch_is_for_one_workload_alone(tmp_path: Path, namespace: str) -> None:
    bodies = []
    for name in ("a.b", "axb", "a.b-2"):
        body = load(CORPUS / CASES[0] / "deployment.yaml")
        body["metadata"] = {"name": name, **({"namespace": namespace} if namespace else {})}
        container = {"name": "vllm", "image": "vllm/vllm-openai:v0.16.0", "args": ["--model=m"]}
        body["spec"]["template"]["spec"] = {"containers": [container]}
        bodies.append(body)
    change = owner_change(Deployment(bodies[0]), ask(spec_of()))
    built = kustomized(tmp_path / "one", bodies, as_kustomize([change]))
    changed = [
        body["metadata"]["name"] for body in bodies if built[body["metadata"]["name"]] != body
    ]
    assert changed == ["a.b"]


def test_nothing_to_change_is_no_component() -> None:
    done = next(change for _, _, change in corpus().values())
    assert as_kustomize([replace(done, operations=())]) == ""
