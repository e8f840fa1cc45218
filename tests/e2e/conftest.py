"""One bed for the run, with the CRD, the gateway and the operator's ServiceAccount installed."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bed.conftest import bed  # noqa: F401 - the fixture itself
from e2e.manifests import Object, model
from e2e.scene import GATEWAY, GATEWAY_ACCESS, WATCHER, OperatorProcess, Scene
from testbed.api import objects_of
from testbed.bed import Bed
from testbed.process import Process
from testbed.secrecy import number_lists
from testbed.storm.install import running_beside

ROOT = Path(__file__).resolve().parents[2]
POLICY_RIGHTS = "kvsync-operator-network-policies"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def installed(bed: Bed) -> Bed:  # noqa: F811 - pytest's way
    """The bed with everything but a running operator."""
    bed.api.apply(ROOT / "crds" / "kveventsync.yaml")
    documents = (ROOT / "docs" / "samples" / "install" / "operator.yaml").read_text()
    # The operator runs as a process of the test, so that a test can kill it.
    without_pod = "\n---\n".join(
        d for d in documents.split("\n---\n") if "kind: Deployment" not in d
    )
    # The gateway comes first: a Role of the operator stands in its namespace.
    bed.api.create_all(ROOT / "tests" / "testbed" / "manifests" / "gateway.yaml")
    bed.api.create_all(without_pod)
    bed.api.create_all(ROOT / "docs" / "samples" / "install" / "admission.yaml")
    return bed


@pytest.fixture(scope="module")
def storm_controllers(installed: Bed) -> Iterator[Process]:
    """AIBrix's controllers of StormServices, for the stories that need them."""
    with running_beside(installed) as controllers:
        yield controllers


@pytest.fixture
def scene(installed: Bed) -> Iterator[Scene]:
    """A namespace of its own that may change the gateway, which is as it was installed at first."""
    namespace = f"e2e-{next(_numbers)}"
    installed.create_namespace(namespace, GATEWAY_ACCESS)
    stage = Scene(installed, namespace)
    before = stage.gateway()["spec"]["template"]
    yield stage
    for body in stage.api.list("kveventsyncs", namespace):
        name = body["metadata"]["name"]
        stage.api.patch("kveventsyncs", name, {"metadata": {"finalizers": None}}, namespace)
        stage.api.delete("kveventsyncs", name, namespace)
    # The next test's operator must not find, and serve, what is left of this one.
    stage.wait("objects gone", lambda: not stage.api.list("kveventsyncs", namespace))
    stage.api.delete("namespace", namespace)
    after = stage.gateway()
    marks = [k for k in after["metadata"]["annotations"] if k.startswith("kvsync.aibrix.ai/")]
    if marks or after["spec"]["template"] != before:
        _reinstall_gateway(stage)


@pytest.fixture
def watcher(scene: Scene) -> Iterator[Object]:
    """The second reader that the product text names, beside the gateway."""
    name, namespace = WATCHER
    body = model(name, namespace, image="aibrix/kvcache-watcher:v0.4.1", command=["sleep", "900"])
    container = body["spec"]["template"]["spec"]["containers"][0]
    container.pop("readinessProbe")
    container["name"] = "watcher"
    scene.api.create(body)
    scene.wait("the watcher", lambda: available(scene.api.get("deployments", *WATCHER)))
    yield scene.api.get("deployments", *WATCHER)
    scene.api.delete("deployments", *WATCHER)


def available(deployment: Object) -> bool:
    return bool((deployment.get("status") or {}).get("availableReplicas"))


def _reinstall_gateway(stage: Scene) -> None:
    manifest = objects_of(ROOT / "tests" / "testbed" / "manifests" / "gateway.yaml")
    stage.api.delete("deployments", *GATEWAY)
    stage.wait("gateway gone", lambda: stage.api.find("deployments", *GATEWAY) is None)
    stage.api.create(next(body for body in manifest if body["kind"] == "Deployment"))


@pytest.fixture
def start_operator(installed: Bed, tmp_path: Path) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators under the install manifest's rights; all are stopped at the end."""
    started: list[OperatorProcess] = []
    kubeconfig = installed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator")

    def start(
        *options: str, through: Path | None = None, env: Mapping[str, str] | None = None
    ) -> OperatorProcess:
        log = tmp_path / "operator.log"
        process = OperatorProcess(through or kubeconfig, log, *options, env=env)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.stop()
    log = (tmp_path / "operator.log").read_text(errors="replace")
    print(log[-20_000:])
    assert not number_lists(log), "an operator's log holds what may be token ids"


@pytest.fixture
def operator(start_operator: Callable[..., OperatorProcess]) -> OperatorProcess:
    """A running operator."""
    return start_operator()


@pytest.fixture
def policy_rights(installed: Bed) -> Iterator[None]:
    """What the install manifest does not give, and the chart gives where this is asked for."""
    named = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": POLICY_RIGHTS}}
    rule = {
        "apiGroups": ["networking.k8s.io"],
        "resources": ["networkpolicies"],
        "verbs": ["list", "watch", "create", "patch", "delete"],
    }
    subject = {"kind": "ServiceAccount", "name": "kvsync-operator", "namespace": "kvsync-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": POLICY_RIGHTS}
    installed.api.create({**named, "kind": "ClusterRole", "rules": [rule]})
    installed.api.create(
        {**named, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]}
    )
    yield
    installed.api.delete("clusterrolebindings", POLICY_RIGHTS)
    installed.api.delete("clusterroles", POLICY_RIGHTS)
