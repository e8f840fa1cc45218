"""What owners' programs really write into managedFields: the source of tests/golden/managed_fields."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bed.storm.stage import storm_service
from golden.files import check
from golden.owners import CORPUS, telling
from kvsync.shell.projection import project_workload
from testbed.bed import Bed
from testbed.helm.program import Helm, write_chart
from testbed.storm.install import install

pytestmark = pytest.mark.bed

Json = dict[str, Any]

NAME = "m"
FLAGS = ["--port=8000", "--max-model-len=512"]
ARGO = "argocd.argoproj.io/tracking-id"
FLUX = "kustomize.toolkit.fluxcd.io"


def manifest(namespace: str, *, args: bool, **metadata: Json) -> Json:
    """A model, with its flags in args or all in command; no pod, for only its fields are looked at."""
    labels = {"app": NAME, "model.aibrix.ai/name": NAME}
    words = ["vllm", "serve", "tiny"] + ([] if args else FLAGS)
    container: Json = {"name": "vllm", "image": "vllm/vllm-openai:v0.16.0", "command": words}
    if args:
        container |= {"args": FLAGS, "env": [{"name": "PYTHONHASHSEED", "value": "1047"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace, **metadata},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


class Owners:
    """The programs at work in one namespace."""

    def __init__(self, bed: Bed, namespace: str, folder: Path) -> None:
        self.api = bed.api
        self.namespace = namespace
        self.folder = folder

    def kubectl(self, *words: str, args: bool = True, **metadata: Json) -> None:
        body = manifest(self.namespace, args=args, **metadata)
        self.api.kubectl(*words, "-f", "-", stdin=json.dumps(body))

    def storm(self, *words: str) -> None:
        body = storm_service("InPlaceUpdate")
        body["metadata"]["name"] = NAME
        self.api.kubectl(*words, "-n", self.namespace, "-f", "-", stdin=json.dumps(body))

    def helm(self, major: int, *options: str, args: bool = True) -> None:
        helm = Helm(self.api, self.folder, major)
        chart = write_chart(self.folder / NAME, json.dumps(manifest(self.namespace, args=args)))
        helm.run("install", "release", chart, "-n", self.namespace, *options)

    def argo(self, *words: str, args: bool = True) -> None:
        mark = {ARGO: f"models:apps/Deployment:default/{NAME}"}
        self.kubectl(*words, "--field-manager=argocd-controller", args=args, annotations=mark)

    def flux(self, *, args: bool = True) -> None:
        marks = {f"{FLUX}/name": "models", f"{FLUX}/namespace": "flux-system"}
        words = ("apply", "--server-side", "--field-manager=kustomize-controller")
        self.kubectl(*words, args=args, labels=marks)


Case = Callable[[Owners], None]
SERVER_SIDE = ("apply", "--server-side")
CASES: dict[str, Case] = {
    "argocd-client-side": lambda o: o.argo("create"),
    "argocd-client-side-no-args": lambda o: o.argo("create", args=False),
    "argocd-server-side": lambda o: o.argo(*SERVER_SIDE),
    "argocd-server-side-no-args": lambda o: o.argo(*SERVER_SIDE, args=False),
    "flux": lambda o: o.flux(),
    "flux-no-args": lambda o: o.flux(args=False),
    "helm-3": lambda o: o.helm(3),
    "helm-3-no-args": lambda o: o.helm(3, args=False),
    "helm-4": lambda o: o.helm(4),
    "helm-4-no-args": lambda o: o.helm(4, args=False),
    "helm-4-client-side": lambda o: o.helm(4, "--server-side=false"),
    "kubectl-apply": lambda o: o.kubectl("apply"),
    "kubectl-apply-no-args": lambda o: o.kubectl("apply", args=False),
    "kubectl-apply-server-side": lambda o: o.kubectl(*SERVER_SIDE),
    "kubectl-apply-server-side-no-args": lambda o: o.kubectl(*SERVER_SIDE, args=False),
    "kubectl-create": lambda o: o.kubectl("create"),
    "stormservice-kubectl-apply": lambda o: o.storm("apply"),
    "stormservice-kubectl-apply-server-side": lambda o: o.storm(*SERVER_SIDE),
    "stormservice-kubectl-create": lambda o: o.storm("create"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_owners_write_is_as_expected(
    name: str, bed: Bed, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if name.startswith("stormservice"):
        install(bed.api)
    namespace = f"owner-{name}"
    bed.create_namespace(namespace)
    CASES[name](Owners(bed, namespace, tmp_path))
    kind = "stormservices" if name.startswith("stormservice") else "deployments"
    found = telling(dict(project_workload(bed.api.get(kind, NAME, namespace))))
    found = json.loads(json.dumps(found).replace(namespace, "default"))
    rewrite = bool(request.config.getoption("--rewrite-golden"))
    check(CORPUS / f"{name}.yaml", found, rewrite=rewrite)
    bed.api.delete(kind, NAME, namespace)


def test_every_expectation_has_its_case() -> None:
    assert {path.stem for path in CORPUS.glob("*.yaml")} == CASES.keys()
