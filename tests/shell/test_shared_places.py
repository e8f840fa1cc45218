"""Many objects, one limit: never too many models on their way, nobody is kept waiting, nobody forgotten.

Real passes over small clusters of one object each, whose standings are shared as in the operator.
"""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from core.cluster import CRASHES, HEALTHY, STUCK, Cluster
from core.objects import spec_of
from kvsync.core.actions import mark_of
from kvsync.model.observed import KVEventSync
from kvsync.model.standing import Standing
from kvsync.shell.standings import Key, Standings

CROWD = "crowd"
"""A namespace of several objects, each of which has models of other names."""


class Operator:
    """Passes in the order in which objects are enqueued; what is known of others dies with it."""

    def __init__(
        self,
        cap: int,
        at_once: Sequence[int],
        fates: Sequence[Sequence[str]],
        teams: Sequence[str] = ("team-0", "team-1", "team-2"),
    ) -> None:
        """One object each; ``teams`` are their namespaces, of which ``CROWD`` may have several."""
        self.cap = cap
        self.clusters = {
            (team, f"kv-{number}"): self._cluster(number, team, most, its)
            for number, (team, most, its) in enumerate(zip(teams, at_once, fates, strict=False))
        }
        self.queue: list[Key] = []
        self.start()

    def _cluster(self, number: int, team: str, at_once: int, fates: Sequence[str]) -> Cluster:
        rollout = {"maxConcurrent": at_once, "progressDeadline": "24h"}
        names = "abcdefghijklmnopqrstuvwxyz"[number * 9 :][:9] if team == CROWD else "abcdefghij"
        spec = spec_of(rollout=rollout, gateway={"manage": False})
        cluster = Cluster(spec, fates, names=names)
        assert cluster.sync is not None
        cluster.sync["metadata"] |= {"namespace": team, "uid": f"uid-{number}"}
        return cluster

    def start(self) -> None:
        """A new process."""
        self.standings = Standings(self._enqueue, lambda: 0.0)
        self.queue = [*self.clusters]
        for key, cluster in self.clusters.items():
            self.standings.expect(key)
            cluster.forget()

    def _enqueue(self, key: Key) -> None:
        if key not in self.queue:
            self.queue.append(key)

    def one_pass(self, key: Key, writes: int = 99) -> None:
        """A pass as ``shell.reconcile`` makes it; dies after so many writes."""
        cluster = self.clusters[key]
        if cluster.sync is None:
            self.standings.forget(key)
            return
        decision = cluster.decide(
            others=self.standings.others(key),
            unheard=self.standings.unheard(key),
            max_rolling=self.cap,
        )
        mark = mark_of(KVEventSync(cluster.sync))
        self.standings.note(key, decision.standing or Standing(mark))
        for action in decision.actions[:writes]:
            cluster.apply(action)
            self.check()
        changed = bool(decision.actions) or cluster.report(decision)
        if changed:
            self._enqueue(key)

    def check(self) -> None:
        """Never more than the limit of all, nor than its own of each."""
        rolling = {key: cluster.changing for key, cluster in self.clusters.items()}
        assert sum(map(len, rolling.values())) <= self.cap or self.cap == 0, rolling
        for key, names in rolling.items():
            assert len(names) <= self.clusters[key].spec.rollout.max_concurrent, rolling

    def step(self, key: Key) -> bool:
        """The cluster of one object goes on by itself, and tells."""
        cluster = self.clusters[key]
        acted = cluster.probe()
        for name in [*cluster.fates]:
            acted |= cluster.progress(name)
        if acted:
            self._enqueue(key)
        return acted

    def step_all(self) -> bool:
        """Each cluster goes on by one step. Whether anything happened."""
        acted = False
        for key in self.clusters:
            acted |= self.step(key)
        return acted

    def settle(self) -> None:
        """Nothing but what the clusters tell, and what one pass has told of another, goes on."""
        for _ in range(500):
            while self.queue:
                self.one_pass(self.queue.pop(0))
            if not self.step_all():
                return
        raise AssertionError("it never comes to rest")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("pass", "pass", "step", "step", "crash", "delete")),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=30,
)
FATES = st.lists(
    st.lists(st.sampled_from((HEALTHY, HEALTHY, HEALTHY, CRASHES)), min_size=1, max_size=3),
    min_size=3,
    max_size=3,
)


@settings(max_examples=40, derandomize=True)
@given(
    cap=st.integers(0, 3),
    at_once=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    fates=FATES,
    events=EVENTS,
)
def test_in_any_order_of_passes_and_crashes_the_limits_hold_and_everyone_gets_there(
    cap: int, at_once: list[int], fates: list[list[str]], events: list[tuple[str, int, int]]
) -> None:
    operator = Operator(cap, at_once, fates)
    keys = [*operator.clusters]
    for event, number, writes in events:
        key = keys[number]
        match event:
            case "pass":
                operator.one_pass(key)
            case "step":
                operator.step(key)
            case "crash":
                operator.one_pass(key, writes)
                operator.start()
            case "delete":
                operator.clusters[key].delete()
                operator._enqueue(key)
    operator.settle()
    for cluster in operator.clusters.values():
        if cluster.sync is None:
            assert cluster.left_over() == {}
        elif CRASHES not in cluster.fates.values():
            assert all(map(cluster.is_proven, cluster.fates))


def test_objects_take_turns_and_the_big_one_does_not_keep_the_small_one_waiting() -> None:
    operator = Operator(2, [3, 3], [[HEALTHY] * 9, [HEALTHY] * 2])
    big, small = operator.clusters.values()
    done_when_the_small_one_was = 9
    for _ in range(200):
        while operator.queue:
            operator.one_pass(operator.queue.pop(0))
        if all(map(small.is_proven, small.fates)):
            done_when_the_small_one_was = sum(map(big.is_proven, big.fates))
            break
        assert operator.step_all()
    assert done_when_the_small_one_was <= 4
    operator.settle()
    assert all(map(big.is_proven, big.fates))


@settings(max_examples=30, derandomize=True)
@given(
    cap=st.integers(2, 4),
    crowd=st.lists(st.lists(st.just(STUCK), min_size=1, max_size=3), min_size=1, max_size=2),
    own=st.lists(st.just(HEALTHY), min_size=1, max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_one_namespace_full_of_models_that_never_come_up_does_not_keep_another_waiting(
    cap: int, crowd: list[list[str]], own: list[str], order: random.Random
) -> None:
    fates = [*crowd, own]
    teams = [*(CROWD for _ in crowd), "team"]
    operator = Operator(cap, [3] * len(fates), fates, teams)
    order.shuffle(operator.queue)
    operator.settle()
    victim = operator.clusters["team", f"kv-{len(crowd)}"]
    assert all(map(victim.is_proven, victim.fates))
    held = {n for key, each in operator.clusters.items() if key[0] == CROWD for n in each.changing}
    assert len(held) == min(cap - 1, sum(map(len, crowd)))
