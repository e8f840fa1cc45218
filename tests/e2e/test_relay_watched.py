"""The operator looks behind its relays: engines that say nothing, relays that end, their budget."""

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from e2e.manifests import Object, model, sync
from e2e.onlookers import verified
from e2e.scene import OperatorProcess, Scene
from e2e.test_relay import relay_of
from e2e.test_relay_injected import IMAGE, MAPS
from testbed.bed import Bed

pytestmark = pytest.mark.bed

ALWAYS = {"relay": {"mode": "Always"}}
ALONE = {"manage": False}
NUMBERS = count(1)


def pod_of(scene: Scene, name: str) -> Object:
    pods = scene.api.list("pods", scene.namespace)
    (found,) = [
        pod
        for pod in pods
        if pod["metadata"]["labels"].get("model.aibrix.ai/name") == name
        and not pod["metadata"].get("deletionTimestamp")
        and any(c["name"] == "kvsync-relay" for c in pod["spec"].get("initContainers") or ())
    ]
    return found


def prompt(address: str) -> None:
    """Ten blocks that no cache holds."""
    first = next(NUMBERS) * 1000
    body = {"prompt": list(range(first, first + 160)), "max_tokens": 1}
    request = urllib.request.Request(
        f"http://{address}:8000/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).read()


def series(address: str) -> dict[str, float]:
    """What the relay in a pod with this address tells."""
    with urllib.request.urlopen(f"http://{address}:5656/metrics", timeout=5) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def flowing(scene: Scene) -> Any:
    return scene.condition("kv", "EventsFlowing")


@pytest.mark.timeout(300)
def test_an_engine_that_computes_and_says_nothing_is_found_behind_its_relay(
    scene: Scene, installed: Bed, start_operator: Callable[..., OperatorProcess]
) -> None:
    access = installed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator")
    start_operator("--image", IMAGE, "--relay-budget=2000")
    mute = [{"name": "TESTBED_FAULT", "value": "silent"}]
    scene.create(model("m", scene.namespace, image=MAPS, env=mute))
    scene.create(sync("kv", scene.namespace, "m", events=ALWAYS, gateway=ALONE))
    scene.wait("a connected engine is proof", lambda: flowing(scene).get("status") == "True")
    address = pod_of(scene, "m")["status"]["podIP"]

    # Told by the operator, and read of the engine: either may come first.
    wanted = {"kvsync_relay_budget": 1792, "kvsync_relay_blocks_limit": 1024 * 11 // 10 + 1024}
    scene.wait(
        "its share, and the engine's cache", lambda: wanted.items() <= series(address).items()
    )

    def found() -> bool:
        prompt(address)
        return bool(flowing(scene).get("reason") == "RelayUpstreamSilent")

    scene.wait("the mute engine is found", found, 110.0)
    assert "rank 0 of the engine is connected to the relay" in flowing(scene)["message"]

    code, looked = verified(access, scene.namespace, "kv")
    (one,) = looked["objects"][0]["models"]
    assert (code, one["reason"]) == (1, "RelayUpstreamSilent"), one
    assert one["sources"][0]["relay_port"] == 5656
    scene.delete_sync("kv")


@pytest.mark.timeout(300)
def test_a_relay_that_ends_again_and_again_is_told_and_takes_nothing_back(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    start_operator("--image", IMAGE)
    scene.create(model("m", scene.namespace, image=MAPS))
    scene.create(sync("kv", scene.namespace, "m", events=ALWAYS, gateway=ALONE))
    scene.wait("flowing", lambda: flowing(scene).get("status") == "True")
    template = scene.template("m")

    def told() -> bool:
        with suppress(AssertionError):  # it is not back yet
            os.kill(relay_of(pod_of(scene, "m")["status"]["podIP"]), signal.SIGKILL)
        return bool(flowing(scene).get("reason") == "RelayDown")

    scene.wait("it is told", told, 110.0)
    said = flowing(scene)
    assert said["status"] == "False"
    assert "kvsync-relay" in said["message"]
    assert scene.template("m") == template
    scene.delete_sync("kv")
