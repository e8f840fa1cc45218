"""An engine that nobody uses, without the active check: a canary proves it, or finds it mute."""

import pytest

from e2e.manifests import model, sync
from e2e.scene import OperatorProcess, Scene

pytestmark = pytest.mark.bed

CANARY = {"activeCheck": False, "canary": True}
WITHIN = 110.0
"""Two looks ten seconds apart before it is sent, at least two after it, and a restart of pods."""


@pytest.mark.timeout(240)
def test_a_canary_verifies_an_engine_without_traffic_and_finds_one_that_is_mute(
    scene: Scene, operator: OperatorProcess
) -> None:
    mute = [{"name": "TESTBED_FAULT", "value": "silent"}]
    scene.create(model("healthy", scene.namespace), model("mute", scene.namespace, env=mute))
    scene.wait_available("healthy")
    scene.wait_available("mute")
    gateway = {"manage": False}
    scene.create(sync("kv-healthy", scene.namespace, "healthy", probe=CANARY, gateway=gateway))
    scene.create(sync("kv-mute", scene.namespace, "mute", probe=CANARY, gateway=gateway))

    scene.wait(
        "the healthy engine is proven",
        lambda: scene.condition("kv-healthy", "EventsFlowing").get("reason") == "Flowing",
        WITHIN,
    )
    scene.wait(
        "the mute engine is found",
        lambda: scene.condition("kv-mute", "EventsFlowing").get("reason") == "SilentDespiteTraffic",
        WITHIN,
    )
    assert "must have filled blocks" in scene.condition("kv-mute", "EventsFlowing")["message"]
    scene.delete_sync("kv-healthy")
    scene.delete_sync("kv-mute")
