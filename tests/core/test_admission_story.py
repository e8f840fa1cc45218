"""Mode Admission through the life of a small cluster: published first, restarted once, undone exactly."""

import copy
import random
from typing import Any

import pytest

from core.admission_rules import proven
from core.cluster import GATEWAY, HEALTHY, STUCK, Cluster
from core.objects import Json, spec_of
from kvsync.core.publication import LEAD
from kvsync.core.replacement import AGAIN
from kvsync.model.decision import Deed
from kvsync.model.injection import INJECTION_ANNOTATION
from kvsync.model.workload import Deployment

MODELS = ("a", "b", "c")


def admission(**fields: Any) -> Any:
    rollout = {"maxConcurrent": 1, "progressDeadline": "1h"}
    return spec_of(mode="Admission", rollout=rollout, **fields)


class Story:
    """Passes as the shell makes them, and everybody else's steps."""

    def __init__(self, *fates: str, **fields: Any) -> None:
        self.cluster = Cluster(admission(**fields), fates or [HEALTHY] * len(MODELS))
        self.originals = copy.deepcopy(self.cluster.objects)
        self.asked: list[tuple[str, float]] = []
        """Which templates got a token, and how long their entry had been published by then."""
        self.evicted: list[float] = []
        self.look_again: float | None = None

    def reconcile(self, writes: int = 99) -> bool:
        cluster, self.look_again = self.cluster, None
        if cluster.sync is None:
            return False
        before = copy.deepcopy(cluster.objects)
        decision = cluster.decide()
        if any(action.counted for action in decision.actions[:writes]):
            cluster.report(decision)
        for action in decision.actions[:writes]:
            if action.reason is Deed.POD_REPLACED:
                self.evicted.append(cluster.now)
            cluster.apply(action)
        self.watch(before)
        if decision.actions:
            return True
        self.look_again = decision.look_again
        return cluster.report(decision)

    def watch(self, before: dict[str, Json]) -> None:
        for name, body in self.cluster.objects.items():
            token, was = token_of(body), token_of(before[name])
            if token and token != was:
                published = {e["token"]: e["since"] for e in self.injections}
                self.asked.append((name, self.cluster.now - published[token]))

    @property
    def injections(self) -> list[Json]:
        sync = self.cluster.sync or {}
        found: list[Json] = (sync.get("status") or {}).get("injections", [])
        return found

    def model(self, name: str = "a") -> Json:
        assert self.cluster.sync is not None
        entries = self.cluster.sync["status"]["models"]
        return next(dict(entry) for entry in entries if entry["name"] == name)

    def round(self) -> bool:
        acted = self.reconcile() | self.cluster.probe()
        for name in self.cluster.objects:
            acted |= self.cluster.progress(name)
        if acted or self.look_again is None:
            return acted
        # Time passes only as far as the operator asked to be woken.
        self.cluster.now += self.look_again
        return True

    def settle(self, rounds: int = 300) -> None:
        for _ in range(rounds):
            if not self.round():
                return
        raise AssertionError("it never comes to rest")

    def until_evicted(self) -> None:
        """Up to the moment of the first eviction, before anybody makes another pod."""
        for _ in range(50):
            self.reconcile()
            if self.evicted:
                return
            self.cluster.probe()
            self.cluster.progress("a")
            self.cluster.now += self.look_again or 0
        raise AssertionError("nothing is evicted")

    def pods(self, name: str = "a") -> list[Json]:
        return self.cluster.pods[name]


def token_of(body: Json) -> str:
    annotations = body["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(INJECTION_ANNOTATION, ""))


def test_every_model_is_restarted_once_and_only_its_annotation_is_written() -> None:
    story = Story()
    story.settle()
    for name in MODELS:
        assert story.cluster.is_proven(name)
        assert all(map(proven, story.pods(name)))
        assert story.cluster.restarts[name] == 1
        body = copy.deepcopy(story.cluster.objects[name])
        del body["spec"]["template"]["metadata"]["annotations"]
        assert body["spec"] == story.originals[name]["spec"]
    assert story.cluster.flag
    assert [entry["workload"] for entry in story.injections] == list(MODELS)


def test_an_entry_is_published_for_a_while_before_anybody_asks_for_it() -> None:
    story = Story()
    story.settle()
    assert [name for name, _ in story.asked] == list(MODELS)
    assert min(lead for _, lead in story.asked) >= LEAD


def test_at_rest_nothing_is_written_by_anybody() -> None:
    story = Story()
    story.settle()
    story.cluster.now += 10_000
    for _ in range(2):
        decision = story.cluster.decide()
        assert decision.actions == ()
        assert not story.cluster.report(decision)
        story.cluster.forget()


def test_the_way_out_takes_every_annotation_off_and_empties_the_status() -> None:
    story = Story()
    story.settle()
    story.cluster.delete()
    story.settle()
    assert story.cluster.sync is None
    assert story.cluster.left_over() == {}
    assert {story.cluster.restarts[name] for name in MODELS} == {2}


def test_a_model_that_is_selected_no_more_is_taken_back() -> None:
    story = Story()
    story.settle()
    story.cluster.deselected.add("b")
    story.settle()
    assert [entry["workload"] for entry in story.injections] == ["a", "c"]
    taken_back, original = story.cluster.objects["b"], story.originals["b"]
    assert taken_back["spec"] == original["spec"]
    assert "annotations" not in taken_back["metadata"]
    assert not any(map(proven, story.pods("b")))
    assert {story.cluster.restarts[name] for name in "ac"} == {1}


def test_what_pods_ask_for_stays_published_on_the_way_out() -> None:
    story = Story()
    story.settle()
    story.cluster.delete()
    while story.cluster.sync is not None:
        for name in MODELS:
            if token_of(story.cluster.objects[name]):
                assert name in {entry["workload"] for entry in story.injections}
        story.round()


def test_a_status_that_was_emptied_heals_first_and_restarts_nothing() -> None:
    story = Story()
    story.settle()
    assert story.cluster.sync is not None
    before, restarts = story.injections, dict(story.cluster.restarts)
    kept = {k: v for k, v in story.cluster.sync["status"].items() if k != "injections"}
    story.cluster.sync = {**story.cluster.sync, "status": kept}
    story.cluster.now += 50
    decision = story.cluster.decide()
    assert decision.actions == ()
    assert decision.look_again is not None
    assert story.cluster.report(decision)
    assert [e["token"] for e in story.injections] == [e["token"] for e in before]
    story.settle()
    assert dict(story.cluster.restarts) == restarts


def test_an_entry_that_somebody_edited_is_written_anew() -> None:
    story = Story()
    story.settle()
    before = copy.deepcopy(story.injections)
    story.injections[0]["args"] = ["--of-somebody-else"]
    assert story.cluster.report(story.cluster.decide())
    assert [e["args"] for e in story.injections] == [e["args"] for e in before]


def test_a_scale_up_before_the_turn_mixes_nothing() -> None:
    story = Story()
    story.cluster.edit("c", lambda body: body["spec"].update(replicas=3))
    for _ in range(6):
        story.round()
    assert token_of(story.cluster.objects["a"])
    assert not token_of(story.cluster.objects["c"])
    assert not any(map(proven, story.pods("c")))
    story.settle()
    assert len(story.pods("c")) == 3
    assert all(map(proven, story.pods("c")))


def test_a_drained_node_and_an_upgrade_by_the_owner_give_pods_with_their_settings() -> None:
    story = Story()
    story.settle()
    story.cluster.pods["a"].clear()
    story.settle()
    assert all(map(proven, story.pods("a")))

    def upgrade(body: Json) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm/vllm-openai:v0.16.1"

    restarts = story.cluster.restarts["a"]
    story.cluster.edit("a", upgrade)
    story.settle()
    assert all(map(proven, story.pods("a")))
    assert story.cluster.restarts["a"] == restarts, "the restart is the owner's own"


def test_the_mode_is_changed_both_ways_with_one_restart_each() -> None:
    story = Story()
    story.settle()
    story.cluster.spec = spec_of(rollout={"progressDeadline": "1h"})
    story.settle()
    assert {story.cluster.restarts[name] for name in MODELS} == {2}
    assert story.injections == []
    assert not any(token_of(story.cluster.objects[name]) for name in MODELS)
    story.cluster.spec = admission()
    story.settle()
    assert {story.cluster.restarts[name] for name in MODELS} == {3}
    assert all(proven(pod) for name in MODELS for pod in story.pods(name))


def test_the_annotation_taken_off_is_put_back_a_few_times() -> None:
    story = Story(HEALTHY)
    story.settle()

    def take_off(body: Json) -> None:
        del body["spec"]["template"]["metadata"]["annotations"]

    story.cluster.disturb("a", take_off)
    story.settle()
    assert token_of(story.cluster.objects["a"])
    assert len(story.model()["repairs"]["times"]) == 1
    for _ in range(3):
        story.cluster.disturb("a", take_off)
        story.settle()
    assert story.model()["reason"] == "Contended"
    assert INJECTION_ANNOTATION in story.model()["message"]


def test_a_lost_record_is_written_again_and_the_undo_is_exact() -> None:
    story = Story(HEALTHY)
    story.settle()
    story.cluster.disturb(
        "a", lambda body: body["metadata"]["annotations"].pop("kvsync.aibrix.ai/record")
    )
    story.settle()
    assert all(map(proven, story.pods("a")))
    story.cluster.delete()
    story.settle()
    assert story.cluster.left_over() == {}


def test_what_does_not_come_up_gets_back_what_it_had() -> None:
    story = Story(STUCK)
    story.settle()
    assert story.model()["state"] == "Failed"
    assert not token_of(story.cluster.objects["a"])
    assert (
        Deployment(story.cluster.objects["a"]).template == Deployment(story.originals["a"]).template
    )


def test_where_no_policy_acts_the_model_is_rolled_back_at_its_deadline() -> None:
    story = Story(HEALTHY, HEALTHY)
    story.cluster.blind = True
    story.settle()
    assert story.model()["state"] == "Failed"
    assert "was created without its settings" in story.model()["message"]
    assert len(story.evicted) == 3
    assert not any(token_of(story.cluster.objects[name]) for name in ("a", "b"))
    assert story.cluster.restarts["b"] == 0, "no further model is touched"
    assert story.injections == []


def test_the_relay_comes_and_goes_with_its_pods() -> None:
    story = Story(HEALTHY, events={"relay": {"mode": "Always"}})
    story.settle()
    (pod,) = story.pods("a")
    assert pod["spec"]["initContainers"][0]["name"] == "kvsync-relay"
    assert story.cluster.is_proven("a")
    story.cluster.delete()
    story.settle()
    assert story.cluster.left_over() == {}


def test_a_pod_that_was_not_injected_is_replaced() -> None:
    story = Story(HEALTHY)
    story.settle()
    story.cluster.blind = True
    story.cluster.pods["a"].clear()
    story.until_evicted()
    told = story.model()
    assert told["reason"] == "NotInjected"
    assert "kvsync-operator-inject" in told["message"]
    assert told["replaced"]["times"] == [int(story.evicted[0])]
    story.cluster.blind = False
    story.settle()
    assert story.model()["reason"] == "Verified"
    assert len(story.evicted) == 1


def test_at_most_three_are_replaced_and_then_it_says_so() -> None:
    story = Story(HEALTHY)
    story.settle()
    story.cluster.blind = True
    story.cluster.pods["a"].clear()
    began = story.cluster.now
    story.settle()
    waited = [round(b - a) for a, b in zip([began, *story.evicted], story.evicted, strict=False)]
    assert waited[0] >= 10
    assert waited[1] >= 30
    assert waited[2] >= 120
    assert len(story.evicted) == 3
    assert "It is left so after 3 replacements" in story.model()["message"]
    story.cluster.now += 10_000
    assert story.cluster.decide().actions == ()


def test_a_refused_eviction_is_tried_again_and_counts_once() -> None:
    story = Story(HEALTHY)
    story.settle()
    story.cluster.blind, story.cluster.budget = True, False
    story.cluster.pods["a"].clear()
    for _ in range(40):
        story.round()
    assert len(story.evicted) > 3
    assert story.evicted[1] - story.evicted[0] >= AGAIN
    assert len(story.model()["replaced"]["times"]) == 1
    story.cluster.blind, story.cluster.budget = False, True
    story.settle()
    assert story.model()["reason"] == "Verified"


def test_paused_nothing_is_evicted_and_the_status_is_kept() -> None:
    story = Story(HEALTHY)
    story.settle()
    story.cluster.spec = admission(paused=True)
    story.cluster.blind = True
    story.cluster.pods["a"].clear()
    story.settle()
    assert story.evicted == []
    assert len(story.injections) == 1


@pytest.mark.parametrize("seed", range(4))
def test_killed_between_any_two_writes_no_model_restarts_more_often(seed: int) -> None:
    chance = random.Random(seed)
    story = Story()
    cluster = story.cluster
    for _ in range(150):
        story.reconcile(writes=chance.randint(0, 2))
        cluster.forget()
        cluster.now += chance.choice([0.0, 0.5, 3.0])
        cluster.probe()
        cluster.progress(chance.choice([*MODELS, GATEWAY]))
    story.settle()
    assert {cluster.restarts[name] for name in MODELS} == {1}
    assert min(lead for _, lead in story.asked) >= LEAD
    cluster.delete()
    story.settle()
    assert cluster.left_over() == {}
