"""The examples under docs/gitops, as they are read: by kustomize, and as plain YAML."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gitops.argo_vm import ROOT
from testbed.api import find_kubectl

Json = dict[str, Any]

FOLDER = ROOT / "docs" / "gitops"
WAYS = ("command", "slot", "admission", "render")
GENERATED = ("argocd-cm.yaml", "argo-cd-chart-values.yaml", "argocd-operator.yaml")


def built(folder: Path) -> list[Json]:
    """What kustomize makes of a folder. Raises RuntimeError with its words."""
    done = subprocess.run(
        [find_kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return list(yaml.safe_load_all(done.stdout))


def of_kind(objects: list[Json], kind: str) -> Json:
    """The one of that kind."""
    (found,) = (body for body in objects if body["kind"] == kind)
    return found


def tools() -> Iterator[tuple[Path, Json]]:
    """The objects that are Argo CD's and Flux's."""
    for path in sorted((*FOLDER.glob("argocd/*.yaml"), *FOLDER.glob("flux/**/*.yaml"))):
        if path.name in GENERATED:
            continue
        for body in yaml.safe_load_all(path.read_text()):
            if body["kind"] != "Namespace" and "kustomize.config" not in body["apiVersion"]:
                yield path, body


def applications() -> dict[str, Json]:
    """The Applications, by the name of their file."""
    return {path.stem: body for path, body in tools() if body["kind"] == "Application"}
