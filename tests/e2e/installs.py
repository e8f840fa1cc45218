"""A release of the chart beside a scene, by the real Helm, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from chart.matrix import Values, merged
from e2e.manifests import Object
from e2e.releases import CHART
from e2e.scene import GATEWAY, Scene
from testbed.audit import Request
from testbed.helm.program import Helm

PREVIOUS = Path(__file__).resolve().parents[1] / "chart" / "data" / "kvsync-operator-0.1.0.tgz"
"""The chart as it was before there were replicas, namespaced rights and an undo."""

REVISION = "deployment.kubernetes.io/revision"
HELM_WAITS = "90s"


class Install:
    """One release. Its objects are called ``name`` or begin with it; ``suffix`` tells several apart."""

    def __init__(self, helm: Helm, scene: Scene, folder: Path, suffix: str = "") -> None:
        self.release = f"{scene.namespace}{suffix}"
        self.name = f"{self.release}-kvsync-operator"
        self.namespace = f"{scene.namespace}-ops"
        self.user = f"system:serviceaccount:{self.namespace}:{self.name}"
        self._helm = helm
        self._scene = scene
        self._values = folder / "values.yaml"

    def upgrade(self, values: Values, chart: Path = CHART) -> str:
        """Install it, or another version or other values over it; returns what Helm says."""
        # The policy is told of in test_chart; here it would speak of the objects of other tests too.
        quiet = {"gatewayAccess": {"policy": {"enabled": False}}}
        self._values.write_text(yaml.safe_dump(merged(quiet, values)))
        # The bed's CRD is there already, as if it had been applied before there was a chart.
        words = ("upgrade", "--install", self.release, chart, "--take-ownership", "--wait")
        return self._run(*words, "--values", self._values)

    def objects(self) -> list[Object]:
        """What it installed."""
        text = self._run("get", "manifest", self.release, waits=False)
        return [body for body in yaml.safe_load_all(text) if body]

    def examine(self) -> str:
        """`helm test`; raises RuntimeError with the words of the pod."""
        try:
            return self._run("test", self.release, "--logs")
        except RuntimeError as error:
            pod = f"{self.name}-doctor"
            said = self._scene.api.kubectl("logs", pod, "-n", self.namespace, check=False)
            raise RuntimeError(f"{error}\n{said.stdout}{said.stderr}") from None

    def uninstall(self) -> str:
        """Take it away with everything that it did."""
        return self._run("uninstall", self.release, "--wait")

    def pods(self) -> list[Object]:
        """The operator's living pods."""
        labels = f"app.kubernetes.io/instance={self.release}"
        labels += ",app.kubernetes.io/name=kvsync-operator"
        found = self._scene.api.list("pods", self.namespace, labels=labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def requests(self, since: int, user: str = "") -> list[Request]:
        """What its account asked of the API server."""
        return self._scene.bed.audit.requests(user=user or self.user, since=since)

    def log(self) -> str:
        """The end of what its pods wrote."""
        words = ("logs", "--all-containers", "--prefix", "--tail=60", "-n", self.namespace)
        made = f"app.kubernetes.io/instance={self.release}"
        done = self._scene.api.kubectl(*words, "-l", made, check=False)
        return done.stdout + done.stderr

    def _run(self, *words: str | Path, waits: bool = True) -> str:
        limits = ("--timeout", HELM_WAITS) if waits else ()
        words = (*words, "--namespace", self.namespace, *limits)
        return self._helm.run(*words, timeout=110).stdout


@contextmanager
def install_in(scene: Scene, folder: Path, major: int) -> Iterator[Install]:
    """Nothing is installed yet; nothing is left at the end, in whatever state the story ended."""
    with installs_in(scene, folder, major, "") as (made,):
        yield made


@contextmanager
def installs_in(
    scene: Scene, folder: Path, major: int, *suffixes: str
) -> Iterator[tuple[Install, ...]]:
    """The same of several releases in one namespace."""
    helm = Helm(scene.api, folder, major)
    made = tuple(Install(helm, scene, folder, suffix) for suffix in suffixes)
    home = made[0].namespace
    scene.bed.create_namespace(home, {"pod-security.kubernetes.io/enforce": "restricted"})
    try:
        yield made
    finally:
        for each in made:
            print(each.log()[-20_000:])
            words = ("uninstall", each.release, "--namespace", home, "--ignore-not-found")
            helm.run(*words, "--no-hooks", check=False)
        scene.api.delete("namespace", home)


def kept(deployment: Object) -> str:
    """All of a Deployment that may not differ once everything is undone, byte by byte."""
    metadata = deployment["metadata"]
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != REVISION}
    held = [
        entry["manager"]
        for entry in metadata.get("managedFields", ())
        if entry["manager"] == "kvsync-operator" and "f:spec" in entry["fieldsV1"]
    ]
    whole = [annotations, metadata.get("labels"), deployment["spec"], held]
    return json.dumps(whole, sort_keys=True)


def left_as_it_was(scene: Scene, before: dict[str, str]) -> None:
    """Wait until models and gateway are again what they were, and nobody has an object any more."""

    def differing() -> list[str]:
        return [name for name, told in state(scene, *before).items() if told != before[name]]

    scene.wait("all as it was", lambda: not differing())
    assert not scene.api.list("kveventsyncs", scene.namespace)


def state(scene: Scene, *names: str) -> dict[str, str]:
    """What is kept of these models, and of the gateway."""
    models = {name: kept(scene.deployment(name)) for name in names if name != GATEWAY[0]}
    return {**models, GATEWAY[0]: kept(scene.gateway())}


def lives(scene: Scene) -> dict[str, Any]:
    """The pods of a scene by name: which they are, and how often each container was started."""
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            [
                each["restartCount"]
                for kind in ("initContainerStatuses", "containerStatuses")
                for each in pod["status"].get(kind, ())
            ],
        )
        for pod in scene.api.list("pods", scene.namespace)
    }
