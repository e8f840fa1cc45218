"""Mode Admission where the policy does not act: the pod is seen, and replaced within bounds."""

from collections.abc import Callable, Iterator

import pytest

from e2e.blinded import Blinding
from e2e.manifests import Object, model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed

ANNOTATION = "kvsync.aibrix.ai/injection"
INJECTED = "kvsync.aibrix.ai/injected"


class Policy:
    """The policy, which can be taken away and brought back."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._blinding = Blinding(scene)

    def take_away(self) -> None:
        """Until the API server does not act on it any more."""
        self._blinding.begin()
        self.scene.wait("the policy is blind", lambda: not self.acts())

    def bring_back(self) -> None:
        """Until the API server acts on it again."""
        self.restore()
        self.scene.wait("the policy acts", self.acts)

    def restore(self) -> None:
        """Whatever happens next: other tests need it too."""
        self._blinding.end()

    def acts(self) -> bool:
        """Whether a pod of the model would get its entry, tried without leaving anything."""
        (entry,) = injections(self.scene)
        body: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": "m-",
                "labels": {"pod-template-hash": "x"},
                "annotations": {ANNOTATION: entry["token"]},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "m-x", "uid": "u"}
                ],
            },
            "spec": {"containers": [{"name": "vllm", "image": "x"}]},
        }
        path = f"/api/v1/namespaces/{self.scene.namespace}/pods?dryRun=All"
        made = self.scene.api.request("POST", path, body)
        return INJECTED in made["metadata"]["labels"]


@pytest.fixture
def policy(scene: Scene) -> Iterator[Policy]:
    """The policy of the bed."""
    made = Policy(scene)
    yield made
    made.restore()


def injections(scene: Scene) -> list[Object]:
    found: list[Object] = ((scene.sync("kv") or {}).get("status") or {}).get("injections", [])
    return found


def entry_of(scene: Scene) -> Object:
    (found,) = (scene.sync("kv") or {})["status"]["models"]
    return dict(found)


def pods(scene: Scene) -> list[Object]:
    found = scene.api.list("pods", scene.namespace)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def started(scene: Scene, start_operator: Callable[..., OperatorProcess]) -> OperatorProcess:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    operator = start_operator("--admission-policy")
    scene.create(sync("kv", scene.namespace, "m", mode="Admission"))
    scene.wait_ready("kv")
    return operator


def lose_a_pod(scene: Scene) -> Object:
    """Delete the model's pod; the new one is what is looked for."""
    (before,) = pods(scene)
    scene.api.delete("pods", before["metadata"]["name"], scene.namespace)
    uid = before["metadata"]["uid"]
    scene.wait("a new pod", lambda: [p for p in pods(scene) if p["metadata"]["uid"] != uid] or None)
    (made,) = (pod for pod in pods(scene) if pod["metadata"]["uid"] != uid)
    return made


def test_a_pod_that_the_policy_did_not_see_is_replaced(
    scene: Scene, policy: Policy, start_operator: Callable[..., OperatorProcess]
) -> None:
    started(scene, start_operator)
    template, entries = scene.template("m"), injections(scene)
    assert list(template["metadata"]["annotations"]) == [ANNOTATION]
    assert "args" not in scene.container("m")

    emptied: Object = {"status": {"injections": []}}
    scene.api.patch("kveventsyncs", "kv", emptied, scene.namespace, subresource="status")
    scene.wait("the entries are back", lambda: injections(scene), 10)
    assert [e["token"] for e in injections(scene)] == [e["token"] for e in entries]
    assert scene.template("m") == template

    policy.take_away()
    bare = lose_a_pod(scene)
    assert INJECTED not in bare["metadata"]["labels"]
    policy.bring_back()
    scene.wait("it is seen", lambda: entry_of(scene)["reason"] == "NotInjected")
    assert "It is evicted at" in entry_of(scene)["message"]
    scene.wait_ready("kv")
    (pod,) = pods(scene)
    assert pod["metadata"]["uid"] != bare["metadata"]["uid"]
    assert pod["metadata"]["labels"][INJECTED] == entries[0]["token"]
    assert len(entry_of(scene)["replaced"]["times"]) == 1
    assert scene.template("m") == template

    scene.delete_sync("kv")
    scene.wait_available("m")
    assert "annotations" not in scene.template("m")["metadata"]
    (clean,) = pods(scene)
    assert "args" not in clean["spec"]["containers"][0]


def test_an_eviction_that_a_budget_forbids_waits(
    scene: Scene, policy: Policy, start_operator: Callable[..., OperatorProcess]
) -> None:
    operator = started(scene, start_operator)
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "m"},
        "spec": {
            "minAvailable": 1,
            "selector": {"matchLabels": {"model.aibrix.ai/name": "m"}},
        },
    }
    scene.create(budget)
    policy.take_away()
    bare = lose_a_pod(scene)
    scene.wait("it is counted", lambda: entry_of(scene).get("replaced"))
    scene.wait("it is refused", lambda: "is not evicted yet" in operator.log.read_text())
    scene.settle()
    assert [pod["metadata"]["uid"] for pod in pods(scene)] == [bare["metadata"]["uid"]]
    assert len(entry_of(scene)["replaced"]["times"]) == 1
    assert scene.condition("kv")["reason"] == "NotInjected", "no write was refused"
    policy.bring_back()
    scene.api.delete("poddisruptionbudgets", "m", scene.namespace)
    scene.wait_ready("kv", 120)
    assert len(entry_of(scene)["replaced"]["times"]) == 1
