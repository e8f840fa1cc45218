"""An operator killed at random, 200 times: it ends as an undisturbed one does, with no restart more."""

import copy
import random

import pytest

from core.cluster import GATEWAY, HEALTHY, Cluster
from core.objects import spec_of
from kvsync.model.events import EventLayout
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment

MODELS = 10
TOPICS = ("", "one", "two", "three")
KILLS = 50
"""In each of the four waves; on the way back as many as there is time for."""


class Lives:
    """A cluster whose operator dies after some of the writes of a pass, or before it could report."""

    def __init__(self, seed: int, cluster: Cluster | None = None) -> None:
        self.random = random.Random(seed)
        self.kills_left = self.kills = 0
        self.cluster = cluster or Cluster(_spec(TOPICS[0]), [HEALTHY] * MODELS)
        self.most = 0

    def round(self) -> bool:
        """One pass that may end early, and one step of some others. Whether anything happened."""
        cluster = self.cluster
        acted = self._pass() | cluster.probe()
        names = sorted(cluster.objects)
        some = self.random.sample(names, len(names) // 4)
        for name in some if self.kills_left else names:
            acted |= cluster.progress(name)
        self.most = max(self.most, len(cluster.rolling))
        return acted

    def _pass(self) -> bool:
        cluster = self.cluster
        if cluster.sync is None:
            return False
        decision = cluster.decide()
        dies = self.kills_left > 0 and self.random.random() < 0.7
        done = self.random.randint(0, len(decision.actions)) if dies else len(decision.actions)
        for action in decision.actions[:done]:
            assert cluster.apply(action)
        acted = bool(decision.actions)
        if not dies and not acted:
            acted = cluster.report(decision)
        if dies:
            self.kills_left -= 1
            self.kills += 1
            cluster.forget()
        return acted or dies

    def until_nothing_happens(self) -> None:
        """Live and die until all is at rest."""
        self.kills_left = KILLS
        for _ in range(1_000):
            acted = self.round()
            self.cluster.now += 1
            if not acted and not self.kills_left:
                return
            if self.cluster.sync is None:
                self.kills_left = 0
        raise AssertionError("it never comes to rest")


def _spec(topic: str) -> KVEventSyncSpec:
    rollout = {"maxConcurrent": 2, "progressDeadline": "24h"}
    return spec_of(rollout=rollout, events={"topic": topic})


@pytest.mark.parametrize("seed", range(2))
def test_killed_200_times_no_model_restarts_more_often_than_undisturbed(seed: int) -> None:
    lives = Lives(seed)
    cluster, models = lives.cluster, set(lives.cluster.fates)
    originals = copy.deepcopy(cluster.objects)
    for waves, topic in enumerate(TOPICS, start=1):
        cluster.spec = _spec(topic)
        lives.until_nothing_happens()
        assert all(map(cluster.is_proven, models))
        assert {cluster.restarts[name] for name in models} == {waves}
        assert cluster.restarts[GATEWAY] == 1
    cluster.delete()
    lives.until_nothing_happens()
    assert cluster.sync is None
    assert {cluster.restarts[name] for name in models} == {len(TOPICS) + 1}
    assert cluster.restarts[GATEWAY] == 2
    assert cluster.left_over() == {}
    for name, body in originals.items():
        assert Deployment(cluster.objects[name]).template == Deployment(body).template
    assert lives.most <= 2
    assert lives.kills >= 200


@pytest.mark.parametrize("seed", range(2))
def test_an_engine_of_unknown_release_is_given_a_relay_once_and_keeps_it(seed: int) -> None:
    """Its maps are seen only while it has none: neither a forgetful operator nor time turns it back."""
    rollout = {"maxConcurrent": 2, "progressDeadline": "24h"}
    spec = spec_of(rollout=rollout, events={"relay": {"mode": "Auto"}})
    image = "vllm/vllm-openai:latest"
    lives = Lives(seed, Cluster(spec, [HEALTHY] * 4, image=image, layout=EventLayout.MAP))
    cluster, models = lives.cluster, set(lives.cluster.fates)
    originals = copy.deepcopy(cluster.objects)
    lives.until_nothing_happens()
    for _ in range(3):
        cluster.now += 10_000
        cluster.forget()
        lives.until_nothing_happens()
    for name in models:
        inits = cluster.objects[name]["spec"]["template"]["spec"]["initContainers"]
        assert [each["name"] for each in inits] == ["kvsync-relay"]
        assert cluster.restarts[name] == 2, "first without it, for nothing was known"
    cluster.delete()
    lives.until_nothing_happens()
    for name in models:
        assert Deployment(cluster.objects[name]).template == Deployment(originals[name]).template
