"""The main job on a StormService: each engine's role configured in one change, and exactly back."""

from collections.abc import Callable, Iterator

import pytest

from bed.storm.stage import NAME, storm_service
from e2e.manifests import EVENTS_LABEL, Object, sync
from e2e.scene import OperatorProcess, Scene
from testbed.process import Process
from testbed.storm.install import is_rolled_out, pods_of
from testbed.storm.names import STORM_SERVICES

pytestmark = pytest.mark.bed

ENGINES = ("prefill", "decode")
MODEL = f"stormservice/{NAME}"


class Story:
    """One StormService in a scene's namespace."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def service(self) -> Object:
        return self.scene.api.get(STORM_SERVICES, NAME, self.scene.namespace)

    def containers(self) -> dict[str, Object]:
        """The first container of each role."""
        roles = self.service()["spec"]["template"]["spec"]["roles"]
        return {each["name"]: each["template"]["spec"]["containers"][0] for each in roles}

    def uids(self, role: str) -> set[str]:
        pods = pods_of(self.scene.api, self.service(), role)
        return {pod["metadata"]["uid"] for pod in pods}

    def wait_rolled_out(self) -> None:
        """Until every pod is of the current template, and Ready."""
        api, namespace = self.scene.api, self.scene.namespace
        self.scene.wait("StormService rolled out", lambda: is_rolled_out(api, NAME, namespace))

    def ours(self) -> list[str]:
        """What of ours is on it besides its spec."""
        metadata = self.service()["metadata"]
        marks = [key for key in metadata.get("annotations", {}) if key.startswith("kvsync.")]
        held = [
            entry["manager"]
            for entry in metadata["managedFields"]
            if entry["manager"] == "kvsync-operator" and "f:spec" in entry["fieldsV1"]
        ]
        return marks + held


@pytest.fixture
def story(scene: Scene, storm_controllers: Process) -> Iterator[Story]:
    """Ends with the StormService gone: only its controllers take its finalizer off."""
    scene.create(storm_service("InPlaceUpdate"))
    story = Story(scene)
    story.wait_rolled_out()
    yield story
    storm_controllers.require_alive()
    scene.api.delete(STORM_SERVICES, NAME, scene.namespace)
    scene.wait("StormService gone", lambda: not scene.api.list(STORM_SERVICES, scene.namespace))


def test_from_plain_to_ready_and_exactly_back(
    story: Story, scene: Scene, operator: OperatorProcess
) -> None:
    original, routers = story.service()["spec"], story.uids("router")
    mark = scene.bed.audit.mark()

    scene.create(sync("kv", scene.namespace, NAME))
    scene.wait_ready("kv", 60)

    status = (scene.sync("kv") or {})["status"]
    (model,) = status["models"]
    assert (model["name"], model["state"]) == (MODEL, "Ready")
    assert model["sources"] == {"total": 3, "verified": 3}, "two prefill pods and a decode pod"
    containers = story.containers()
    for role in ENGINES:
        assert any("--kv-events-config=" in word for word in containers[role]["args"])
        for pod in pods_of(scene.api, story.service(), role):
            assert pod["metadata"]["labels"][EVENTS_LABEL] == "true"
    assert story.uids("router") == routers, "a role without an engine is left alone"
    writes = scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
    assert [w.name for w in writes if w.resource == "stormservices"] == [NAME], "one patch"
    scene.wait("an Event on it", lambda: "Configured" in reasons_of_events(scene))

    scene.delete_sync("kv", 60)

    assert story.service()["spec"] == original
    assert story.ours() == []
    story.wait_rolled_out()
    assert story.uids("router") == routers


def test_each_engines_role_gets_a_relay_of_its_own(
    story: Story, scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    start_operator("--image", "kvsync-operator:0.1.0")
    original, routers = story.service()["spec"], story.uids("router")
    scene.create(sync("kv", scene.namespace, NAME, events={"relay": {"mode": "Always"}}))
    scene.wait_ready("kv", 60)

    roles = story.service()["spec"]["template"]["spec"]["roles"]
    found = {each["name"]: each["template"]["spec"].get("initContainers", []) for each in roles}
    assert {name: [c["name"] for c in inits] for name, inits in found.items()} == {
        "prefill": ["kvsync-relay"],
        "decode": ["kvsync-relay"],
        "router": [],
    }
    (model,) = (scene.sync("kv") or {})["status"]["models"]
    assert model["sources"] == {"total": 3, "verified": 3}

    scene.delete_sync("kv", 60)
    assert story.service()["spec"] == original
    assert story.uids("router") == routers


def reasons_of_events(scene: Scene) -> set[str]:
    events = scene.api.list("events.events.k8s.io", scene.namespace)
    return {e["reason"] for e in events if e["regarding"]["kind"] == "StormService"}
