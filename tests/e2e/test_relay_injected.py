"""A relay that the operator puts beside today's engines: Ready with today's gateway, and exactly back."""

from collections.abc import Callable
from typing import Any

import pytest

from core.objects import RELAYS, TEMPLATES, spec_of
from e2e.manifests import EVENTS_LABEL, RECORD, model, sync
from e2e.scene import OperatorProcess, Scene
from kvsync.core.manifest import render_manifest, restore_manifest
from kvsync.core.planned import Outcome
from kvsync.model.relay import RelayForm, RelayMeans
from testbed.api import ApiError

pytestmark = pytest.mark.bed

MAPS = "vllm/vllm-openai:v0.32.0"
IMAGE = "kvsync-operator:0.1.0"
AUTO = {"relay": {"mode": "Auto"}}
TWO_RANKS = ["vllm", "serve", "tiny", "--served-model-name=m", "--port=8000"]
TWO_RANKS += ["--data-parallel-size=2"]


def names(scene: Scene, field: str) -> list[str]:
    found = scene.template("m")["spec"].get(field) or []
    return [each["name"] for each in found]


def test_maps_and_ranks_are_used_behind_a_relay_and_all_of_it_goes_again(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    start_operator("--image", IMAGE)
    scene.create(model("m", scene.namespace, image=MAPS, replicas=2, command=TWO_RANKS))
    scene.wait_available("m")
    original, gateway = scene.template("m"), scene.gateway()["spec"]["template"]

    scene.create(sync("kv", scene.namespace, "m", events=AUTO))
    scene.wait_ready("kv")

    assert names(scene, "initContainers") == names(scene, "volumes") == ["kvsync-relay"]
    assert scene.template("m")["metadata"]["labels"][EVENTS_LABEL] == "true"
    assert scene.condition("kv", "GatewayCompatible")["status"] == "True"
    status = (scene.sync("kv") or {})["status"]
    assert status["summary"] == {"models": "1/1", "sources": "2/2", "taken": "2/2"}

    scene.settle()  # Events may still be on their way.
    mark = scene.bed.audit.mark()
    scene.api.patch(
        "kveventsyncs", "kv", {"metadata": {"labels": {"touched": "true"}}}, scene.namespace
    )
    scene.settle()
    writes = scene.bed.audit.writes(user_agent_contains="kvsync-operator", since=mark)
    assert writes == [], "what the API server filled in is no difference"

    scene.delete_sync("kv")
    assert scene.template("m") == original
    assert scene.gateway()["spec"]["template"] == gateway
    found = scene.deployment("m")["metadata"].get("annotations", {})
    assert RECORD not in found


def test_a_living_model_is_given_one_and_taken_it_again(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    start_operator("--image", IMAGE)
    scene.create(model("m", scene.namespace, image=MAPS))
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_reason("kv", "EventLayout", "GatewayCompatible")
    said = scene.condition("kv", "GatewayCompatible")["message"]
    assert "Set spec.events.relay.mode to Auto" in said

    scene.api.patch("kveventsyncs", "kv", {"spec": {"events": AUTO}}, scene.namespace)
    scene.wait("a relay", lambda: names(scene, "initContainers") == ["kvsync-relay"])
    scene.wait_reason("kv", "Compatible", "GatewayCompatible")
    scene.wait_ready("kv")

    off = {"relay": {"mode": "Off"}}
    scene.api.patch("kveventsyncs", "kv", {"spec": {"events": off}}, scene.namespace)
    scene.wait("no relay", lambda: not names(scene, "initContainers"))
    scene.wait_reason("kv", "EventLayout", "GatewayCompatible")


@pytest.mark.parametrize("form", RelayForm)
@pytest.mark.parametrize("resources", [{}, {"limits": {"cpu": "2", "memory": "4Gi"}}])
def test_what_an_api_server_makes_of_it_is_right_as_it_is(
    scene: Scene, form: RelayForm, resources: dict[str, Any]
) -> None:
    """No pod of it runs; only what is written and read back counts."""
    body = model("m", scene.namespace, image=MAPS, replicas=0)
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = resources
    wanted = {"requests": {"cpu": "0.5"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}}
    spec = spec_of(events={"relay": {"mode": "Always", "resources": wanted}})
    means = RelayMeans(RELAYS.image, form)
    rendered = render_manifest(body, spec, TEMPLATES, relays=means)
    scene.create(dict(rendered.body))
    live = scene.deployment("m") | {"apiVersion": "apps/v1", "kind": "Deployment"}
    again = render_manifest(live, spec, TEMPLATES, relays=means)
    assert again.outcome is Outcome.UNCHANGED, again.patch
    template: Any = restore_manifest(live).body["spec"]["template"]
    assert [each["name"] for each in template["spec"]["containers"]] == ["vllm"]
    assert not template["spec"].keys() & {"initContainers", "volumes"}


@pytest.mark.parametrize("form", RelayForm)
def test_it_may_run_where_only_restricted_pods_may(scene: Scene, form: RelayForm) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    scene.api.patch("namespaces", scene.namespace, label)
    body = model("m", scene.namespace, image=MAPS)
    spec = spec_of(events={"relay": {"mode": "Always"}})
    rendered = render_manifest(body, spec, TEMPLATES, relays=RelayMeans(RELAYS.image, form))
    template: Any = rendered.body["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "m"}, "spec": template["spec"]}
    with pytest.raises(ApiError, match="restricted") as refused:
        scene.create(pod)
    assert "vllm" in str(refused.value)
    assert "kvsync-relay" not in str(refused.value), "only the engine breaks the rules"
