"""The chart in a scene: installed by the real Helm in a namespace of its own, gone at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from e2e.manifests import sync
from e2e.scene import Scene
from kvsync.core.gateway_access import GatewayAccess, parse_grant
from testbed.api import Api, ApiError
from testbed.helm.program import Helm

CHART = Path(__file__).resolve().parents[2] / "charts" / "kvsync-operator"
RELEASE = "tenancy"
DEFAULT = ("aibrix-system", "aibrix-gateway-plugins")


class Release:
    """The chart, installed in a namespace of its own."""

    def __init__(self, helm: Helm, scene: Scene, folder: Path) -> None:
        self.namespace = f"{scene.namespace}-ops"
        self.listed = f"{scene.namespace}-squad"
        self._helm = helm
        self._scene = scene
        self._folder = folder
        self._lists = ["other", f"{scene.namespace}-sq*"]

    @property
    def access(self) -> GatewayAccess:
        """The operator's own rule, by the same values."""
        words = [f"prod-*/gw.v2={','.join(self._lists)}", "/".join(DEFAULT)]
        return GatewayAccess(tuple(map(parse_grant, words)), self.namespace)

    def install(self, action: str) -> None:
        """Install or upgrade it, and wait until it runs and its policy is in effect."""
        gateways = [
            {"gateway": "/".join(DEFAULT)},
            {"gateway": "prod-*/gw.v2", "namespaces": self._lists},
        ]
        values = yaml.safe_dump({"gatewayAccess": {"action": action, "gateways": gateways}})
        path = self._folder / "values.yaml"
        path.write_text(values)
        # The bed's CRD is there already, as if it had been applied before there was a chart.
        self._helm.run(
            *("upgrade", "--install", RELEASE, CHART, "--namespace", self.namespace),
            *("--values", path, "--take-ownership", "--wait", "--timeout", "50s"),
        )
        # The API server takes about a second to take a policy up.
        self._scene.wait(f"the policy set to {action}", lambda: self._effect() == action)

    def uninstall(self) -> None:
        """Take it away, and wait until its policy has no effect; nothing happens where it is gone."""
        words = ("uninstall", RELEASE, "--namespace", self.namespace, "--ignore-not-found")
        self._helm.run(*words, "--wait")
        self._scene.wait("the policy gone", lambda: not self._effect())

    def _effect(self) -> str:
        """What happens to an object that names a gateway which nobody named: Deny, Warn or nothing."""
        body = sync("try", self._scene.namespace, "m", gateway={"namespace": "no"})
        words = ("create", "--dry-run=server", "-f", "-")
        done = self._scene.api.kubectl(*words, stdin=yaml.safe_dump(body), check=False)
        if "do not name Deployment no/" not in done.stderr:
            return ""
        return "Deny" if done.returncode else "Warn"


def refusal(api: Api, namespace: str, gateway: tuple[str, str], **more: Any) -> str:
    """What the API server says against an object, or nothing; it is not stored."""
    fields = {"namespace": gateway[0], "deployment": gateway[1], **more}
    path = f"/apis/kvsync.aibrix.ai/v1alpha1/namespaces/{namespace}/kveventsyncs?dryRun=All"
    try:
        api.request("POST", path, sync("try", namespace, "m", gateway=fields))
    except ApiError as error:
        if error.code == 403:
            return str(error)
        raise
    return ""


@contextmanager
def release_in(scene: Scene, folder: Path) -> Iterator[Release]:
    """Not installed yet; gone at the end, with its namespaces."""
    made = Release(Helm(scene.api, folder), scene, folder)
    for name in (made.namespace, made.listed):
        scene.bed.create_namespace(name)
    yield made
    # A second operator, and a policy for all, would be in the way of the tests that follow.
    made.uninstall()
    for name in (made.namespace, made.listed):
        scene.api.delete("namespace", name)
