"""kill -9 between every two writes of enabling and of undoing: a new operator finishes correctly."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.deadly_proxy import DeadlyProxy
from e2e.manifests import model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = [pytest.mark.bed, pytest.mark.timeout(240)]

LIVES = 60
DEADLINE = 150.0


def live_and_die_until(
    is_so: Callable[[], bool], start: Callable[..., OperatorProcess], proxy: DeadlyProxy
) -> int:
    """Start operator after operator until something is so; returns how many lives it took."""
    end = time.monotonic() + DEADLINE
    lives = 0
    while not is_so():
        lives += 1
        assert lives <= LIVES, f"no end after {lives} lives: {proxy.writes[-10:]}"
        one = start(through=proxy.kubeconfig)
        proxy.kill = one.kill
        while one.process.poll() is None and not is_so():
            assert time.monotonic() < end, f"not done in time: {proxy.writes[-10:]}"
            time.sleep(0.05)
        if one.process.poll() is None:
            one.kill()
    return lives


def test_killed_after_every_write_of_enabling_and_of_undoing(
    scene: Scene, start_operator: Callable[..., OperatorProcess], tmp_path: Path
) -> None:
    scene.create(model("m", scene.namespace, replicas=2))
    scene.wait_available("m")
    original, gateway = scene.template("m"), scene.gateway()["spec"]["template"]
    kubeconfig = scene.bed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator")
    proxy = DeadlyProxy(kubeconfig, tmp_path)
    try:
        scene.create(sync("kv", scene.namespace, "m"))
        ready = lambda: scene.condition("kv").get("status") == "True"  # noqa: E731
        enabling = live_and_die_until(ready, start_operator, proxy)
        assert enabling >= 4, "finalizer, model, gateway and status are writes of their own"
        generation = scene.deployment("m")["metadata"]["generation"]
        assert generation == 2, "one restart of the model, however often the operator died"

        scene.api.delete("kveventsyncs", "kv", scene.namespace)
        undoing = live_and_die_until(lambda: scene.sync("kv") is None, start_operator, proxy)
        assert undoing >= 3, "gateway, model and finalizer are writes of their own"
    finally:
        proxy.stop()
    assert scene.template("m") == original
    assert scene.gateway()["spec"]["template"] == gateway
    patches = Counter(w.split()[1].rpartition("/")[2] for w in proxy.writes if "/deployments/" in w)
    # Once there and once back. A third one takes us out of managedFields, without a restart: of the
    # gateway, whose variables had values before us and so stay in our name after the second.
    assert patches == {"m": 2, "aibrix-gateway-plugins": 3}


def test_deleted_while_the_operator_was_down_is_undone_when_it_is_back(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    scene.create(model("m", scene.namespace))
    scene.wait_available("m")
    original = scene.template("m")
    first = start_operator()
    scene.create(sync("kv", scene.namespace, "m"))
    scene.wait_ready("kv")
    first.kill()
    scene.api.delete("kveventsyncs", "kv", scene.namespace)
    assert scene.sync("kv") is not None, "held by the finalizer"
    start_operator()
    scene.wait("undone", lambda: scene.sync("kv") is None)
    assert scene.template("m") == original
