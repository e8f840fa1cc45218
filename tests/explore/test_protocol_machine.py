"""The protocol of waves, gateway and ownership as a state machine: random moves, and what must hold of them.

Unlike the search for every order it has news that come late, writes that fail or whose answer is lost,
objects that are held and let go, owners who edit again and again, and the other modes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core import cluster
from core.cluster import GATEWAY
from core.objects import Json
from core.scenes import applied, is_configured
from explore import community
from explore.community import CRASH, DELETE, EDIT, PASS, PROBE, PROGRESS, WAIT, WRITE, Scenario
from explore.disturbed import (
    CONFLICTS,
    FORBIDDEN,
    MAKE_AGAIN,
    PAUSE,
    RESUME,
    UNANSWERED,
    Disturbed,
)
from explore.promises import check_move, check_second_start, check_state
from kvsync.core.gateway import owners_of
from kvsync.model.decision import Action
from kvsync.model.record import OWNER_ANNOTATION
from kvsync.model.workload import Deployment
from kvsync.shell.settings import Settings

SYNCS = {"one": ("a",), "two": ("b", "c"), "three": ("c",)}
"""Three models; of one of them two objects are fond."""
ROUNDS = 300
"""Of everything once: by then all must be at rest."""
NAMES = st.sampled_from(sorted(SYNCS))
MODELS = st.sampled_from("abc")
OBJECTS = st.sampled_from(["a", "b", "c", GATEWAY])


class Protocol(RuleBasedStateMachine):
    """Moves as they come; in the end everything is left alone, comes to rest, and is undone."""

    fields: ClassVar[dict[str, object]] = {}

    @initialize(cap=st.integers(1, 2), rounds=st.integers(0, 8))
    def begin(self, cap: int, rounds: int) -> None:
        scenario = Scenario(SYNCS, cap=cap, fields=self.fields, deleted=tuple(SYNCS))
        self.state = Disturbed(scenario)
        check_state(self.state)
        for _ in range(rounds):
            self.goes_on()

    def go(self, kind: str, name: str = "") -> None:
        """One move, and what holds of it and after it."""
        before, move = self.state, (kind, name)
        self.state = before.after(move)
        # The gateway is told by what was seen: what nobody has heard of yet no one can mind.
        check_move(before.seen() if kind == PASS else before, move, self.state)
        self.check(kind, name)

    def check(self, kind: str, name: str) -> None:
        """What holds in this mode besides."""

    # The operator.

    @rule(name=NAMES)
    def passes_over(self, name: str) -> None:
        if not self.state.decided[name]:
            self.go(PASS, name)

    @precondition(lambda self: any(self.state.decided.values()))
    @rule(data=st.data(), kind=st.sampled_from([WRITE, WRITE, CONFLICTS, FORBIDDEN, UNANSWERED]))
    def writes(self, data: st.DataObject, kind: str) -> None:
        busy = [name for name, items in self.state.decided.items() if items]
        self.go(kind, data.draw(st.sampled_from(busy)))

    @rule(name=NAMES)
    def is_at_work(self, name: str) -> None:
        """What usually happens: a pass, and all that it writes."""
        self.passes_over(name)
        while self.state.decided[name]:
            self.go(WRITE, name)
        self.go(PROBE, name)

    @rule(name=NAMES)
    def probes(self, name: str) -> None:
        self.go(PROBE, name)

    @precondition(lambda self: any(self.state.news()))
    @rule(data=st.data())
    def hears(self, data: st.DataObject) -> None:
        self.go(*data.draw(st.sampled_from([*self.state.news()])))

    @rule()
    def hears_all(self) -> None:
        for move in [*self.state.news()]:
            self.go(*move)

    @rule()
    def goes_on(self) -> None:
        """A round of everything, undisturbed."""
        self.hears_all()
        for name in SYNCS:
            self.is_at_work(name)
        for name in self.state.objects:
            self.go(PROGRESS, name)

    @rule()
    def dies(self) -> None:
        self.go(CRASH)

    # The cluster and its users.

    @rule(name=OBJECTS)
    def rolls_out(self, name: str) -> None:
        self.go(PROGRESS, name)

    @rule(name=MODELS)
    def is_edited(self, name: str) -> None:
        self.go(EDIT, name)

    @rule(name=NAMES, data=st.data())
    def is_edited_unseen(self, name: str, data: st.DataObject) -> None:
        """Just before what is decided on it is written, or the decision itself."""
        if data.draw(st.booleans()):
            self.passes_over(name)
        for model in SYNCS[name]:
            self.go(EDIT, model)
        self.is_at_work(name)

    @rule(name=NAMES)
    def is_held_or_let_go(self, name: str) -> None:
        if self.state.syncs[name] is not None:
            self.go(RESUME if self.state.is_paused(name) else PAUSE, name)

    @rule(name=NAMES)
    def is_deleted(self, name: str) -> None:
        body = self.state.syncs[name]
        if body is not None and "deletionTimestamp" not in body["metadata"]:
            self.go(DELETE, name)

    @rule(name=NAMES)
    def is_made_again(self, name: str) -> None:
        if self.state.syncs[name] is None:
            self.go(MAKE_AGAIN, name)

    # The end.

    def teardown(self) -> None:
        if not hasattr(self, "state"):
            return
        for name in SYNCS:
            if self.state.is_paused(name):
                self.go(RESUME, name)
        self.come_to_rest()
        self.check_at_rest()
        for name in SYNCS:
            self.is_deleted(name)
        self.come_to_rest()
        self.check_undone()

    def come_to_rest(self) -> None:
        """All moves in turn, until nothing happens any more."""
        for _ in range(ROUNDS):
            before = self.state.digest
            self.goes_on()
            if self.state.digest != before or any(self.state.news()):
                continue
            if self.state.next_look is None:
                return
            self.go(WAIT)
        raise AssertionError(f"not at rest after {ROUNDS} rounds")

    def check_at_rest(self) -> None:
        """What is true of the objects that are left, and how often it took a restart."""
        living = {name for name, body in self.state.syncs.items() if body is not None}
        for model in self.state.scenario.models:
            wanted = any(model in SYNCS[name] for name in living)
            assert is_configured(self.state.objects[model]) == wanted, model
            assert not wanted or self.state.is_proven(model), model
            assert self.state.restarts[model] <= self.most_restarts(model), model
        assert self.state.flag == bool(living)
        check_second_start(self.state)

    def most_restarts(self, model: str) -> int:
        """Once for the change, and twice for each time that an object went that had it: another may be held
        then, and take it up later."""
        return 1 + 2 * sum(self.state.deaths[name] for name in SYNCS if model in SYNCS[name])

    def check_undone(self) -> None:
        """Each object is gone, and everything is as its owners have it, with their edits."""
        assert not any(self.state.syncs.values())
        assert not self.state.left_over()


class Admission(Protocol):
    """The same with settings that pods get as they are created."""

    fields: ClassVar[dict[str, object]] = {"mode": "Admission"}


class Render(Protocol):
    """Nothing is written to models; their owners are told, and here they do nothing."""

    fields: ClassVar[dict[str, object]] = {"mode": "Render"}

    def check(self, kind: str, name: str) -> None:
        assert not any(self.state.restarts[each] for each in self.state.scenario.models)
        assert not self.state.flag

    def check_at_rest(self) -> None:
        assert self.state.left_over().keys() <= {GATEWAY}
        for body in self.state.syncs.values():
            models = [] if body is None else body["status"]["models"]
            assert all(model["patch"] for model in models if model["reason"] == "NotApplied")


class Retain(Protocol):
    """What is configured stays, without our marks, when its object goes."""

    fields: ClassVar[dict[str, object]] = {"deletionPolicy": "Retain"}

    def check(self, kind: str, name: str) -> None:
        restarts = self.state.restarts
        assert all(restarts[each] <= 1 for each in self.state.scenario.models)

    def check_at_rest(self) -> None:
        living = [name for name, body in self.state.syncs.items() if body is not None]
        for model in {model for name in living for model in SYNCS[name]}:
            assert self.state.is_proven(model), model

    def check_undone(self) -> None:
        assert not any(self.state.syncs.values())
        for name, body in self.state.objects.items():
            assert OWNER_ANNOTATION not in Deployment(body).annotations, name
        assert owners_of(Deployment(self.state.objects[GATEWAY])) == ()


PROFILE = settings()
BRIEFLY = PROFILE.max_examples <= 100
"""In `make test` the same few runs each time; `make properties` looks for others."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("machine", [Protocol, Admission, Render, Retain])
def test_whatever_happens_the_promises_hold(machine: type[Protocol]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            PROFILE,
            max_examples=PROFILE.max_examples // 10,
            stateful_step_count=40,
            derandomize=BRIEFLY,
            database=None if BRIEFLY else PROFILE.database,
        ),
    )


def test_an_operator_that_counts_nobody_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = Settings(gateways=(community.OPEN,), max_rolling=0)
    monkeypatch.setattr(community, "Settings", lambda **_: unlimited)
    with pytest.raises(AssertionError, match=r"more than 1 on their way: \['a', 'b'\]"):
        Protocol().begin(cap=1, rounds=8)


def test_an_operator_whose_patches_expect_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without their guards a patch that was made of a late look takes an owner's edit away."""

    def unguarded(body: Mapping[str, Any], action: Action) -> Json:
        free = [operation for operation in action.operations if operation["op"] != "test"]
        return applied(body, replace(action, operations=tuple(free)))

    def edited_behind_its_back() -> Protocol:
        machine = Protocol()
        machine.begin(cap=1, rounds=0)
        for name in SYNCS:
            machine.is_at_work(name)
        machine.go(EDIT, "a")
        machine.is_at_work("one")
        return machine

    edited_behind_its_back().teardown()
    monkeypatch.setattr(cluster, "applied", unguarded)
    with pytest.raises(AssertionError):
        edited_behind_its_back().teardown()
