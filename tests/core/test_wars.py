"""However and whenever an opponent undoes ours and the operator dies: the bound holds, the end is told."""

import copy
from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from core.cluster import HEALTHY, Cluster
from core.objects import Json, spec_of
from core.scenes import is_configured
from kvsync.core.repairs import LIMIT, WINDOW
from kvsync.model.record import OUR_ANNOTATIONS
from kvsync.model.workload import Deployment

FOUGHT, BYSTANDER = "a", "b"
HIS = ("vllm", "serve", "tiny")


def takes_arguments(body: Json) -> None:
    body["spec"]["template"]["spec"]["containers"][0].pop("args", None)


def takes_label(body: Json) -> None:
    body["spec"]["template"]["metadata"]["labels"] = {"app": FOUGHT}


def takes_marks(body: Json) -> None:
    for key in OUR_ANNOTATIONS:
        body["metadata"].get("annotations", {}).pop(key, None)


def takes_all(body: Json) -> None:
    """As ``kubectl replace`` and Helm 3 ``--force`` do it."""
    container = {
        "name": "vllm",
        "image": body["spec"]["template"]["spec"]["containers"][0]["image"],
    }
    body["spec"]["template"]["spec"]["containers"] = [{**container, "command": list(HIS)}]
    takes_label(body)
    takes_marks(body)


OPPONENTS: dict[str, Callable[[Json], None]] = {
    each.__name__: each for each in (takes_arguments, takes_label, takes_marks, takes_all)
}


class War:
    """A cluster with one model that is fought over, and what was written to it by us."""

    def __init__(self) -> None:
        spec = spec_of(rollout={"maxConcurrent": 2}, gateway={"manage": False})
        self.cluster = Cluster(spec, [HEALTHY, HEALTHY])
        self.revisions: list[Json] = []
        self.repairs: list[float] = []
        self.rollouts: list[float] = []

    def pass_over(self, writes: int = 99) -> bool:
        """One pass; the operator dies after so many writes. Returns whether it wrote anything."""
        cluster = self.cluster
        decision = cluster.decide()
        if not decision.actions:
            return cluster.report(decision) if writes else True
        counted = False
        for action in decision.actions:
            if action.counted and not counted:
                counted = True
                if not writes:
                    return True
                cluster.report(decision)
                writes -= 1
            if not writes:
                return True
            writes -= 1
            before = cluster.objects.get(action.name)
            assert cluster.apply(action)
            if action.name == FOUGHT:
                assert before is not None
                self.note(action.reason, before)
        return True

    def note(self, reason: str, before: Json) -> None:
        after = self.cluster.objects[FOUGHT]
        if reason == "Repaired":
            self.repairs.append(self.cluster.now)
        if after["spec"]["template"] != before["spec"]["template"]:
            self.rollouts.append(self.cluster.now)

    def rest(self) -> None:
        """Passes, probes and rollouts until nothing moves."""
        for _ in range(60):
            moved = self.pass_over()
            moved |= self.cluster.probe()
            for name in self.cluster.objects:
                moved |= self.cluster.progress(name)
            if not moved:
                return
        raise AssertionError("it never comes to rest")

    def run(self, event: str, seconds: int) -> None:
        cluster = self.cluster
        match event:
            case "crash":
                self.pass_over(writes=seconds % 4)
                cluster.forget()
            case "wait":
                cluster.now += seconds
                self.rest()
            case "back":  # kubectl rollout undo, to any revision there was
                if self.revisions:
                    old = copy.deepcopy(self.revisions[seconds % len(self.revisions)])
                    metadata = {**cluster.objects[FOUGHT]["metadata"]}
                    metadata["annotations"] = old["metadata"].get("annotations", {})
                    cluster.disturb(FOUGHT, lambda b: b.update(metadata=metadata, spec=old["spec"]))
            case _:
                cluster.disturb(FOUGHT, OPPONENTS[event])
        self.revisions = [*self.revisions, copy.deepcopy(cluster.objects[FOUGHT])][-6:]


def most_within(times: Sequence[float], window: float) -> int:
    return max(
        (len([t for t in times if first <= t < first + window]) for first in times), default=0
    )


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*OPPONENTS, *OPPONENTS, "back", "crash", "wait", "wait", "wait"]),
        st.sampled_from([0, 1, 2, 3, 15, 45, 60, 600, 1_800]),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(EVENTS)
def test_never_more_than_three_repairs_within_the_window(events: list[tuple[str, int]]) -> None:
    war = War()
    war.rest()
    for event in events:
        war.run(*event)
        war.cluster.now += 1
    assert most_within(war.repairs, WINDOW) <= LIMIT
    assert war.cluster.is_proven(BYSTANDER), "the others are not touched by it"


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(sorted(OPPONENTS)),
    st.integers(5, 120),
    st.lists(st.integers(0, 3), min_size=50, max_size=50),
)
def test_a_stubborn_opponent_gets_the_last_word_and_is_told_of(
    opponent: str, every: int, deaths: list[int]
) -> None:
    """He undoes ours again and again, and the operator dies now and then in the midst of a pass."""
    war = War()
    war.rest()
    before = len(war.rollouts)
    for death in deaths:
        war.run(opponent, 0)
        if death < 3 and death % 2:
            war.run("crash", death)
        war.run("wait", every)
    assert len(war.repairs) <= LIMIT
    assert len(war.rollouts) - before <= LIMIT
    # Without any mark of ours his copy of our words counts as his own: that is no quarrel.
    sync = war.cluster.sync
    assert sync is not None
    entry = next(e for e in sync["status"]["models"] if e["name"] == FOUGHT)
    if opponent == "takes_marks":
        assert is_configured(war.cluster.objects[FOUGHT])
    else:
        assert (entry["state"], entry["reason"]) == ("Refused", "Contended")


@settings(max_examples=20, deadline=None)
@given(EVENTS)
def test_once_left_alone_everything_of_ours_is_undone(events: list[tuple[str, int]]) -> None:
    war = War()
    war.rest()
    for event in events:
        war.run(*event)
        war.cluster.now += 1
    war.rest()
    war.cluster.delete()
    for _ in range(80):
        if war.cluster.sync is None:
            break
        war.cluster.now += 60
        war.pass_over()
        for name in war.cluster.objects:
            war.cluster.progress(name)
    assert war.cluster.sync is None
    marks = Deployment(war.cluster.objects[FOUGHT]).annotations.keys()
    assert not marks & set(OUR_ANNOTATIONS)
