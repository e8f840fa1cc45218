"""What stands on each source, who is told of it, and how often."""

from collections.abc import Mapping
from dataclasses import replace

from kvsync.model.source import (
    Failure,
    Observation,
    SourceKey,
    SourceReason,
    Target,
    Traffic,
    Verdict,
)
from kvsync.shell.probes import LONGEST, PAUSE, ROUND, TICK, Probes

ONE, OTHER = ("ns", "one"), ("ns", "other")
UP = Observation(since=0.0, handshake_at=0.0, last_batch_at=0.0, last_sequence=1, messages=1)


def target(name: str) -> Target:
    return Target(SourceKey("ns", name, name), "10.0.0.1", 5557, 0, "", active_check=False)


def wanted(*names: str) -> dict[SourceKey, Target]:
    return {(each := target(name)).key: each for name in names}


class Scene:
    """Probes over a watcher, a clock and a listener that the test holds in hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen: dict[SourceKey, Observation] = {}
        self.watched: Mapping[SourceKey, Target] = {}
        self.watches = 0
        self.told: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.metrics: dict[SourceKey, Traffic] = {}
        self.probes = Probes(self, self.told.append, lambda: self.now, traffic=self.metrics.get)

    def set_targets(self, targets: Mapping[SourceKey, Target]) -> None:
        self.watched = targets
        self.watches += 1

    def observation(self, key: SourceKey) -> Observation | None:
        self.asked.append(key.pod)
        return self.seen.get(key)

    def see(self, name: str, observation: Observation) -> None:
        key = target(name).key
        self.seen[key] = observation
        self.probes.heard(key)

    def look(self) -> list[tuple[str, str]]:
        """Who is told by one look, a tick later, which is longer than a pause."""
        self.now += TICK
        self.told.clear()
        self.probes.look()
        return sorted(self.told)

    def verdict(self, name: str) -> Verdict:
        return self.probes.verdicts(ONE)[target(name).key]


def fresh(scene: Scene) -> Observation:
    return replace(UP, handshake_at=scene.now, last_batch_at=scene.now)


def test_objects_are_told_of_their_own_sources_once() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a", "b"))
    scene.probes.assign(OTHER, wanted("b", "c"))
    scene.look()
    assert set(scene.watched) == set(wanted("a", "b", "c"))
    scene.look()
    scene.see("a", fresh(scene))
    assert scene.look() == [ONE]
    scene.see("b", fresh(scene))
    assert scene.look() == [ONE, OTHER]
    scene.see("b", fresh(scene))
    assert scene.look() == [], "the same again is no news"


def test_what_time_alone_changes_is_noticed_at_once() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a", "b", "c"))
    scene.see("a", fresh(scene))
    scene.look()
    scene.now += 60 - 3 * TICK
    assert scene.look() == []
    assert scene.look() == []
    assert scene.look() == [ONE]
    assert scene.verdict("a").reason is SourceReason.IDLE


def test_a_healthy_source_is_not_judged_while_nothing_can_change() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a"))
    scene.see("a", fresh(scene))
    scene.look()
    scene.asked.clear()
    for _ in range(round((LONGEST - 2) / TICK)):
        scene.look()
    assert scene.asked == []
    scene.now += 2
    scene.look()
    assert len(scene.asked) == 1


def test_one_that_failed_is_judged_in_each_round() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a"))
    scene.see("a", Observation(since=0.0, failure=Failure.REFUSED, failed_at=0.0))
    scene.look()
    scene.asked.clear()
    for _ in range(round(3 * ROUND / TICK) + 1):
        scene.look()
    assert 2 <= len(scene.asked) <= 3


def test_news_of_one_source_do_not_have_those_judged_that_are_not_settled() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a", "b", "c"))
    scene.look()
    scene.probes.verdicts(ONE)
    scene.see("a", fresh(scene))
    scene.asked.clear()
    scene.probes.look()
    assert scene.asked == ["a"]
    scene.look()
    assert set(scene.asked) == {"a", "b", "c"}, "a tick later all of them"


def test_an_object_is_told_at_most_once_a_pause_and_misses_nothing() -> None:
    scene = Scene()
    names = [f"pod-{number}" for number in range(50)]
    scene.probes.assign(ONE, wanted(*names))
    for name in names:
        scene.see(name, fresh(scene))
        scene.now += PAUSE / 50
        scene.probes.look()
    assert len(scene.told) == 1
    assert scene.look() == [ONE]


def test_what_failed_stays_failed_while_it_is_tried_again() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a"))
    scene.look()
    scene.see("a", Observation(since=0.0, failure=Failure.REFUSED, failed_at=0.0))
    assert scene.verdict("a").reason is SourceReason.PORT_CLOSED
    scene.see("a", Observation(since=scene.now, interrupted_at=scene.now))
    assert (scene.verdict("a").reason, scene.verdict("a").settled) == (
        SourceReason.PORT_CLOSED,
        True,
    )


def test_nothing_is_held_of_a_pod_that_is_gone() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a"))
    scene.look()
    scene.see("a", fresh(scene))
    assert scene.verdict("a").verified
    scene.probes.assign(ONE, {})
    scene.seen.clear()
    scene.probes.heard(target("a").key)
    assert scene.look() == []
    scene.probes.assign(ONE, wanted("a"))
    assert not scene.verdict("a").verified


def test_what_was_seen_before_another_thing_was_asked_proves_nothing() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a"))
    scene.look()
    scene.see("a", fresh(scene))
    assert scene.verdict("a").verified
    other = replace(target("a"), topic="another")
    scene.probes.assign(ONE, {other.key: other})
    assert not scene.verdict("a").verified, "the watcher has not heard of it yet"
    scene.look()
    assert scene.watched == {other.key: other}


def test_a_source_that_two_want_goes_with_the_last_of_them() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a"))
    scene.probes.assign(OTHER, wanted("a"))
    scene.look()
    scene.see("a", fresh(scene))
    assert scene.verdict("a").verified
    scene.probes.assign(OTHER, {})
    assert scene.verdict("a").verified, "what is held of it stays"
    scene.probes.assign(ONE, {})
    scene.look()
    assert scene.watched == {}


def test_many_objects_are_one_word_to_the_watcher() -> None:
    scene = Scene()
    for number in range(100):
        scene.probes.assign(("ns", f"object-{number}"), wanted(f"pod-{number}"))
    scene.look()
    scene.look()
    assert (len(scene.watched), scene.watches) == (100, 1)


def test_the_engines_own_metrics_are_heard() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a"))
    scene.look()
    scene.see("a", replace(UP, last_batch_at=None))
    scene.metrics[target("a").key] = Traffic(scene.now, prefix_caching=False)
    assert scene.verdict("a").reason is SourceReason.PREFIX_CACHING_OFF


def test_a_snapshot_has_every_source_once() -> None:
    scene = Scene()
    scene.probes.assign(ONE, wanted("a", "b"))
    scene.probes.assign(OTHER, wanted("b"))
    scene.see("a", fresh(scene))
    found = {
        each.key.pod: (seen, verdict.verified) for each, seen, verdict in scene.probes.snapshot()
    }
    assert found == {"a": (scene.seen[target("a").key], True), "b": (None, False)}
