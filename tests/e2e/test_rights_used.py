"""Everything the operator can do, under the chart's rights: none is missing, and none is for nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.storm.stage import NAME as STORM
from bed.storm.stage import storm_service
from chart.granted import granted
from chart.matrix import Values
from e2e.blinded import Blinding
from e2e.installs import Install, install_in, left_as_it_was, state
from e2e.manifests import Object, model, sync
from e2e.scene import GATEWAY, GATEWAY_ACCESS, WATCHER, Scene
from kvsync.adapters.kube.events import REPEAT_EVERY
from kvsync.core.rights import Grant
from testbed.audit import QUESTIONS, Request
from testbed.process import Process
from testbed.storm.install import is_rolled_out
from testbed.storm.names import STORM_SERVICES

pytestmark = pytest.mark.bed

NO_GATEWAY = {"manage": False}


@pytest.fixture
def stage(scene: Scene, storm_controllers: Process, watcher: Object) -> Iterator[Scene]:
    """A scene with a StormService and with a second Deployment that reads the gateway's variables."""
    scene.create(storm_service("InPlaceUpdate"))
    scene.wait("the StormService", lambda: is_rolled_out(scene.api, STORM, scene.namespace))
    yield scene
    scene.api.delete(STORM_SERVICES, STORM, scene.namespace)
    scene.wait("StormService gone", lambda: not scene.api.list(STORM_SERVICES, scene.namespace))


def listed(scene: Scene) -> Values:
    """The values for the scene's namespace alone."""
    served = [scene.namespace]
    gateways = [
        {"gateway": f"{namespace}/{name}", "namespaces": served}
        for name, namespace in (GATEWAY, WATCHER)
    ]
    access = {"gateways": gateways}
    return {
        "watchNamespaces": served,
        "gatewayAccess": access,
        "admission": {"enabled": True},
    }


@pytest.mark.parametrize(("form", "major"), [("all namespaces", 4), ("listed namespaces", 3)])
def test_every_right_is_used_and_none_is_missing(
    stage: Scene, tmp_path: Path, form: str, major: int
) -> None:
    stage.create(model("m", stage.namespace), model("bad", stage.namespace))
    for name in ("m", "bad"):
        stage.wait_available(name)
    before, mark = state(stage, "m", "bad"), stage.bed.audit.mark()
    storm = stage.api.get(STORM_SERVICES, STORM, stage.namespace)["spec"]
    outside = f"{stage.namespace}-outside"
    stage.bed.create_namespace(outside, GATEWAY_ACCESS)
    with install_in(stage, tmp_path, major) as install:
        install.upgrade(listed(stage) if form == "listed namespaces" else {})
        everything(stage, install, outside)
        if form == "listed namespaces":
            assert stage.api.get("kveventsyncs", "kv", outside).get("status") is None
            assert stage.api.get("deployments", "m", outside)["metadata"]["generation"] == 1
        examine(install, mark)
        for name in ("bad", "nobody"):
            stage.delete_sync(name)
        install.examine()
        install.uninstall()
        left_as_it_was(stage, before)
        assert stage.api.get(STORM_SERVICES, STORM, stage.namespace)["spec"] == storm
        undoer = f"{install.user}-undo"
        assert {r.verb for r in install.requests(mark, undoer)} == {"list", "delete"}
        assert refused(install.requests(mark, undoer)) == []
    left = stage.api.find("kveventsyncs", "kv", outside)
    assert (left is None) == (form == "all namespaces"), "it undoes what it served, and no more"
    stage.api.delete("namespace", outside)


def everything(scene: Scene, install: Install, outside: str) -> None:
    """The main job, a crash, a name of nothing, a StormService, a pod that was not injected, an Event
    again, another leader."""
    namespace = scene.namespace
    both = {"alsoConfigure": [WATCHER[0]]}
    late = sync("kv", namespace, "m", engine={"labels": "WhenVerified"}, gateway=both)
    scene.api.create(model("m", outside), outside)
    scene.api.create(sync("kv", outside, "m", gateway=NO_GATEWAY), outside)
    flags = {"dialect": "Flags"}
    scene.create(late)
    scene.create(sync("bad", namespace, "bad", engine=flags, gateway=NO_GATEWAY))
    scene.create(sync("nobody", namespace, "nobody", gateway=NO_GATEWAY))
    scene.create(sync("storm", namespace, STORM, gateway=NO_GATEWAY))
    scene.wait_ready("kv")
    told = time.monotonic()
    crashed = scene.wait_reason("bad", "EngineCrashed")
    assert "unrecognized arguments" in crashed["message"], "the engine's own line is quoted"
    scene.wait_ready("storm")
    scene.wait("the name looked up", lambda: scene.condition("nobody"))

    replace_a_pod(scene)

    # The same is said of the model again when its Event may be counted up.
    scene.settle(max(0.0, told + REPEAT_EVERY - time.monotonic()))
    scene.delete_sync("kv")
    scene.create(late)
    scene.wait_ready("kv")
    old = {pod["metadata"]["name"] for pod in install.pods()}
    for name in old:
        scene.api.delete("pods", name, install.namespace)
    scene.wait("others in their place", lambda: ready(install, old))
    # The new leader has seen all, and says so, once it has looked at an object.
    scene.api.patch("kveventsyncs", "kv", {"spec": {"probe": {"interval": "5s"}}}, namespace)
    generation = (scene.sync("kv") or {})["metadata"]["generation"]
    scene.wait(
        "the new leader at work",
        lambda: scene.condition("kv").get("observedGeneration") == generation,
    )


def replace_a_pod(scene: Scene) -> None:
    """Have a pod replaced that was created without its settings, since the policy was bound to nothing."""
    blinding = Blinding(scene)
    blinding.begin()
    scene.create(model("new", scene.namespace))
    scene.wait_available("new")
    scene.create(sync("new", scene.namespace, "new", mode="Admission", gateway=NO_GATEWAY))
    scene.wait("a pod replaced", lambda: replaced(scene))
    scene.delete_sync("new")
    scene.api.delete("deployments", "new", scene.namespace)
    blinding.end()


def replaced(scene: Scene) -> object:
    status = (scene.sync("new") or {}).get("status") or {}
    return [entry for entry in status.get("models", ()) if entry.get("replaced")]


def ready(install: Install, old: set[str]) -> bool:
    """Whether as many pods as there were before are ready; one that has only begun has no conditions."""
    pods = [pod for pod in install.pods() if pod["metadata"]["name"] not in old]
    return len(pods) == len(old) and all(
        any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in pod["status"].get("conditions", ())
        )
        for pod in pods
    )


def examine(install: Install, mark: int) -> None:
    """Hold what was asked of the API server against what is granted."""
    asked = [r for r in install.requests(mark) if r.resource not in QUESTIONS]
    assert asked
    assert refused(asked) == []
    have = granted(install.objects(), install.name)
    unused = sorted(g for g in have if not any(is_use(request, g) for request in asked))
    assert unused == []
    ungranted = {
        (r.verb, r.group, r.resource, r.subresource, r.namespace, r.name)
        for r in asked
        if not any(is_use(r, grant) for grant in have)
    }
    assert ungranted == set(), "only what the chart grants lets it do its work"


def refused(requests: list[Request]) -> list[Request]:
    return [request for request in requests if request.code in (401, 403)]


def is_use(request: Request, grant: Grant) -> bool:
    """Whether this right was needed for it."""
    resource = request.resource + (f"/{request.subresource}" if request.subresource else "")
    return (
        (request.verb, request.group, resource) == (grant.verb, grant.group, grant.resource)
        and grant.spot.namespace in ("", request.namespace)
        and grant.spot.name in ("", request.name)
    )
