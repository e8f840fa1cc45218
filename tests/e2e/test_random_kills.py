"""kill -9 at random moments during waves over ten models, as often as KVSYNC_KILLS says (``make kills``).

The operator that is left ends where one would that was never killed, and no model restarts more
often: its revision counts the rollouts. The moments follow from the seed, KVSYNC_KILLS_SEED.
"""

import os
import random
import time
from collections.abc import Callable

import pytest

from e2e.manifests import model, sync
from e2e.rolling import Witness, watched
from e2e.scene import OperatorProcess, Scene

KILLS = int(os.environ.get("KVSYNC_KILLS", "8"))
SEED = int(os.environ.get("KVSYNC_KILLS_SEED", "7"))
MODELS = [f"m{number}" for number in range(10)]
SHORTEST, LONGEST = 0.8, 4.5
"""Seconds of a life: it takes most of one until anything is decided."""

pytestmark = [pytest.mark.bed, pytest.mark.timeout(120 + 8 * KILLS)]


class Lives:
    """Operators that are started and killed, one after the other."""

    def __init__(self, scene: Scene, start: Callable[..., OperatorProcess]) -> None:
        self._scene, self._start = scene, start
        self._random = random.Random(SEED)
        self.kills = 0

    def until(self, what: str, is_so: Callable[[], bool], kills: int) -> None:
        """Live and die so many times, or until it is so; the last one lives until it is."""
        for _ in range(kills):
            operator = self._start()
            end = time.monotonic() + self._random.uniform(SHORTEST, LONGEST)
            while time.monotonic() < end and not is_so():
                time.sleep(0.02)
            operator.kill()
            self.kills += 1
            if is_so():
                return
        operator = self._start()
        self._scene.wait(what, is_so, 60)
        operator.kill()


def revision(scene: Scene, name: str) -> int:
    """How many rollouts a Deployment has had, the first included."""
    annotations = scene.deployment(name)["metadata"]["annotations"]
    return int(annotations["deployment.kubernetes.io/revision"])


def is_through(scene: Scene, topic: str) -> bool:
    """Whether all models publish under a topic and are verified."""
    body = scene.sync("kv") or {}
    ready = scene.condition("kv")
    if (
        ready.get("status") != "True"
        or ready["observedGeneration"] != body["metadata"]["generation"]
    ):
        return False
    return all(f'"topic":"{topic}"' in scene.container(name)["args"][-1] for name in MODELS)


def test_killed_at_random_no_model_restarts_more_often_and_the_undo_is_exact(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    scene.create(*(model(name, scene.namespace) for name in MODELS))
    for name in MODELS:
        scene.wait_available(name)
    originals = {name: scene.template(name) for name in MODELS}
    gateway = scene.gateway()["spec"]["template"]
    lives = Lives(scene, start_operator)
    begun = time.monotonic()
    with watched(scene) as witness:
        waves = _waves(scene, lives)
        scene.api.delete("kveventsyncs", "kv", scene.namespace)
        lives.until("undone", lambda: scene.sync("kv") is None, kills=max(2, KILLS // 10))
        for name in MODELS:
            scene.wait_available(name)
    told = f"{lives.kills} kills, {waves} waves, {time.monotonic() - begun:.0f} s"
    print(told)
    assert {name: scene.template(name) for name in MODELS} == originals
    assert scene.gateway()["spec"]["template"] == gateway
    # The first one, one a wave, and the way back.
    assert {revision(scene, name) for name in MODELS} == {1 + waves + 1}, told
    _check(witness)


def _waves(scene: Scene, lives: Lives) -> int:
    """Waves, each with another topic, until the operator was killed often enough. How many."""
    waves = 0
    while lives.kills < KILLS:
        waves += 1
        topic = f"t{waves}"
        if waves == 1:
            rollout = {"maxConcurrent": 2}
            scene.create(
                sync("kv", scene.namespace, *MODELS, rollout=rollout, events={"topic": topic})
            )
        else:
            patch = {"spec": {"events": {"topic": topic}}}
            scene.api.patch("kveventsyncs", "kv", patch, scene.namespace)
        lives.until(
            f"the wave to topic {topic}",
            lambda topic=topic: is_through(scene, topic),  # type: ignore[misc]
            kills=KILLS - lives.kills,
        )
    return waves


def _check(witness: Witness) -> None:
    assert len(witness.most) <= 2, witness.most
    assert witness.ever == {*MODELS}
