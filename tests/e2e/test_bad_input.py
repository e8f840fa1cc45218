"""Bad input: each its own reason and remedy, nothing patched, healed when the cause goes."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from e2e.manifests import Object, model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed


def container(body: Object) -> Object:
    found: Object = body["spec"]["template"]["spec"]["containers"][0]
    return found


def shell_wrapped(body: Object) -> None:
    loop = "while true; do vllm serve tiny --port=8000; sleep 1; done"
    container(body)["command"] = ["sh", "-c", loop]


def not_an_engine(body: Object) -> None:
    container(body).update(image="busybox", command=["sh", "-c", "exec sleep 1000"])
    container(body).pop("readinessProbe")


def two_engines(body: Object) -> None:
    second = {**container(body), "name": "second"}
    second["command"] = ["vllm", "serve", "tiny", "--port=8001"]
    second.pop("readinessProbe")
    body["spec"]["template"]["spec"]["containers"].append(second)


def port_taken(body: Object) -> None:
    sidecar: Object = {"name": "side", "image": "busybox"}
    sidecar["command"] = ["sh", "-c", "exec sleep 1000"]
    sidecar["ports"] = [{"containerPort": 5557}]
    body["spec"]["template"]["spec"]["containers"].append(sidecar)


def no_prefix_caching(body: Object) -> None:
    container(body)["args"] = ["--no-enable-prefix-caching"]


def upstream_too_old(body: Object) -> None:
    container(body)["image"] = "mirror.example.com/vllm/vllm-openai:v0.8.5"


@dataclass(frozen=True)
class BadModel:
    spoil: Callable[[Object], None]
    reason: str
    says: str


MODELS = [
    BadModel(shell_wrapped, "ShellWrapped", "shell"),
    BadModel(not_an_engine, "NoEngineContainer", "spec.engine.container"),
    BadModel(two_engines, "SeveralEngines", "second"),
    BadModel(port_taken, "PortInUse", "5557"),
    BadModel(no_prefix_caching, "PrefixCachingDisabled", "--no-enable-prefix-caching"),
    BadModel(upstream_too_old, "EngineTooOld", "0.9.0"),
]


def test_bad_models_are_refused_by_name_and_heal_when_the_cause_goes(
    scene: Scene, operator: OperatorProcess
) -> None:
    for number, bad in enumerate(MODELS):
        body = model(f"m{number}", scene.namespace)
        bad.spoil(body)
        scene.create(body, sync(f"kv{number}", scene.namespace, f"m{number}"))
    for number, bad in enumerate(MODELS):
        refused = scene.wait_reason(f"kv{number}", bad.reason)
        assert bad.says in refused["message"], refused
        assert scene.condition(f"kv{number}", "Stalled")["status"] == "True"
        assert scene.deployment(f"m{number}")["metadata"]["generation"] == 1, "nothing is patched"
    # Healing is shown on two of them: a restart of all would only take longer.
    for number in (0, 4):
        good = model(f"m{number}", scene.namespace)["spec"]["template"]
        scene.api.patch("deployments", f"m{number}", [
            {"op": "replace", "path": "/spec/template", "value": good}
        ], scene.namespace)  # fmt: skip
        scene.wait_ready(f"kv{number}")


def test_a_missing_deployment_is_named_and_picked_up_when_it_comes(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(sync("kv", scene.namespace, "m"))
    missing = scene.wait_reason("kv", "NoSuchDeployment")
    assert "no Deployment or StormService m" in missing["message"]
    scene.create(model("m", scene.namespace))
    scene.wait_ready("kv")


def test_an_object_of_another_kind_is_refused_by_that_kind(
    scene: Scene, operator: OperatorProcess
) -> None:
    labels = {"app": "m"}
    template = model("m", scene.namespace)["spec"]["template"] | {"metadata": {"labels": labels}}
    spec = {"replicas": 0, "serviceName": "m", "selector": {"matchLabels": labels}}
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "m"}}
    scene.create({**body, "spec": {**spec, "template": template}})
    scene.create(sync("kv", scene.namespace, "m"))
    refused = scene.wait_reason("kv", "Unsupported")
    assert "StatefulSet m: objects of this kind are not changed" in refused["message"]
    scene.create(model("m", scene.namespace))
    scene.wait_ready("kv")


def test_an_unknown_version_is_asked_of_the_running_engine(
    scene: Scene, operator: OperatorProcess
) -> None:
    env = [{"name": "TESTBED_VLLM_VERSION", "value": "0.16.0"}]
    image = "registry.example.com/team/vllm:prod"
    scene.create(model("m", scene.namespace, image=image, env=env))
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    entry = (scene.sync("kv") or {})["status"]["models"][0]
    assert (entry["engineVersion"], entry["versionSource"]) == ("0.16.0", "RunningEngine")


def test_an_unknown_version_without_an_engine_to_ask_is_refused_until_the_field_settles_it(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(
        model("m", scene.namespace, image="registry.example.com/team/vllm:prod", replicas=0)
    )
    scene.create(sync("kv", scene.namespace, "m"))
    unknown = scene.wait_reason("kv", "DialectUnknown")
    assert "spec.engine.version" in unknown["message"]
    scene.api.patch(
        "kveventsyncs", "kv", {"spec": {"engine": {"version": "0.16.0"}}}, scene.namespace
    )
    scene.wait("configured", lambda: "args" in scene.container("m"))


def test_a_missing_gateway_is_named_and_the_models_still_work(
    scene: Scene, operator: OperatorProcess
) -> None:
    scene.create(model("m", scene.namespace))
    elsewhere = {"deployment": "nowhere"}
    scene.create(sync("kv", scene.namespace, "m", gateway=elsewhere))
    refused = scene.wait_reason("kv", "GatewayNotPermitted", "GatewayConfigured")
    assert "aibrix-system/nowhere" in refused["message"]
    scene.wait(
        "models verified", lambda: scene.condition("kv", "EventsFlowing")["status"] == "True"
    )
    assert scene.condition("kv")["status"] == "False"
    scene.api.patch("kveventsyncs", "kv", {"spec": {"gateway": {"manage": False}}}, scene.namespace)
    scene.wait_ready("kv")
