"""The table of runs: what must hold of it whatever is stored and dropped, in which order."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.relay.encoding import Key, packed_tokens
from kvsync.core.relay.outbox import Outbox
from kvsync.core.relay.residency import Bounds, Residency
from kvsync.core.relay.run import LONGEST, Run

A, B = 1, 2
"""Two holders."""
KEYS = 12


def run_of(keys: list[Key], parent: Key | None = None, holders: int = A) -> Run:
    packed = packed_tokens([key % 1000 for key in keys for _ in range(2)])
    assert packed is not None
    return Run(list(keys), None, parent, packed, holders)


def table(bounds: Bounds | None = None) -> Residency:
    return Residency(bounds or Bounds(), Outbox())


def chain(made: Residency, key: Key) -> list[Key]:
    """The blocks from the first one to this one."""
    found: list[Key] = []
    at: Key | None = key
    while at is not None:
        found.append(at)
        run = made.runs[at]
        place = run.place_of(at)
        at = run.keys[place - 1] if place else run.parent
    return found[::-1]


def check(made: Residency) -> None:
    """Everything that the table counts, counted anew."""
    runs = set(made.runs.values())
    keys = [key for run in runs for key in run.keys]
    assert Counter(keys) == Counter(made.runs.keys())
    assert made.octets == sum(run.cost for run in runs)
    hanging = Counter(run.parent for run in runs)
    for run in runs:
        assert 0 < len(run) <= LONGEST
        assert len(run.tokens) == len(run) * run.octets
        assert all(made.runs[key] is run for key in run.keys)
        assert not any(hanging[key] for key in run.keys[:-1])
        assert run.children == hanging[run.keys[-1]]


@dataclass
class Scene:
    """A table, and who holds which block, one by one."""

    made: Residency = field(default_factory=table)
    holders: dict[Key, int] = field(default_factory=dict)
    parents: dict[Key, Key | None] = field(default_factory=dict)

    def store(self, stored: list[Key], parent: Key | None, holders: int) -> None:
        new = [key for key in stored if key not in self.made.runs]
        if new:
            self.made.add(run_of(new, parent, holders))
            self.parents.update(zip(new, [parent, *new[:-1]], strict=True))
            self.holders.update(dict.fromkeys(new, holders))

    def hold(self, key: Key, count: int, holders: int) -> None:
        if (run := self.made.runs.get(key)) is not None:
            start = run.place_of(key)
            some = run.keys[start : start + count]
            self.made.hold(run, start, start + len(some), holders)
            for each in some:
                self.holders[each] |= holders

    def drop(self, key: Key, count: int, holders: int) -> None:
        if (run := self.made.runs.get(key)) is not None:
            start = run.place_of(key)
            some = run.keys[start : start + count]
            self.made.release(run, start, start + len(some), holders)
            self.gone(some, holders)

    def drop_all(self, holders: int) -> None:
        self.made.release_all(holders)
        self.gone(list(self.holders), holders)

    def gone(self, keys: list[Key], holders: int) -> None:
        for key in keys:
            self.holders[key] &= ~holders
            if not self.holders[key]:
                del self.holders[key], self.parents[key]

    def tell_all(self) -> None:
        self.made.begin_pass()
        for key in list(self.made.runs):
            self.made.tell_again(key)

    def check(self) -> None:
        check(self.made)
        assert {key: run.holders for key, run in self.made.runs.items()} == self.holders
        for key, run in self.made.runs.items():
            place = run.place_of(key)
            assert (run.keys[place - 1] if place else run.parent) == self.parents[key]


keys = st.integers(1, KEYS)
holders = st.sampled_from([A, B])
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("store"),
            st.lists(keys, min_size=1, max_size=6, unique=True),
            keys | st.none(),
            st.sampled_from([A, B, A | B]),
        ),
        st.tuples(st.sampled_from(["hold", "drop"]), keys, st.integers(1, 4), holders),
        st.tuples(st.just("drop_all"), holders),
        st.tuples(st.just("tell_all")),
    ),
    max_size=40,
)


@given(steps)
def test_the_table_counts_right_and_holds_what_was_stored(
    happenings: list[tuple[object, ...]],
) -> None:
    scene = Scene()
    for verb, *details in happenings:
        getattr(scene, str(verb))(*details)
        scene.made.tidy()
        scene.check()


def test_a_long_chain_is_kept_in_pieces_and_whole() -> None:
    made = table()
    made.add(run_of(list(range(1, 501))))
    check(made)
    assert chain(made, 500) == list(range(1, 501))
    assert made.stored == 500


def test_what_grows_block_by_block_becomes_long_runs() -> None:
    made = table()
    for key in range(1, 200):
        made.add(run_of([key], key - 1 or None))
    check(made)
    assert len(set(made.runs.values())) == 4


def test_a_chain_that_branches_off_parts_a_run() -> None:
    made = table()
    made.add(run_of([1, 2, 3, 4]))
    made.add(run_of([11, 12], parent=2))
    check(made)
    assert chain(made, 12) == [1, 2, 11, 12]
    assert chain(made, 4) == [1, 2, 3, 4]


@pytest.mark.parametrize("order", [[4, 3, 2, 1], [1, 2, 3, 4], [2, 3, 1, 4]])
def test_blocks_go_one_by_one_in_any_order(order: list[Key]) -> None:
    made = table()
    made.add(run_of([1, 2, 3, 4]))
    for key in order:
        run = made.runs[key]
        place = run.place_of(key)
        made.release(run, place, place + 1, A)
        check(made)
    assert not made.runs
    assert made.octets == 0
    assert made.removed == 4


@pytest.mark.parametrize("bounds", [Bounds(blocks=70), Bounds(octets=20_000)])
def test_the_bounds_hold_and_what_stays_are_whole_chains(bounds: Bounds) -> None:
    made = table(bounds)
    for number in range(1, 30):
        made.add(run_of(list(range(100 * number, 100 * number + 10))))
        made.add(run_of([10_000 + number], parent=100 * number + number % 10))
        check(made)
        assert len(made) <= bounds.blocks
        assert made.octets <= bounds.octets
        for key in made.runs:
            assert chain(made, key)[0] % 100 == 0
    assert made.dropped == 29 * 11 - len(made)
    assert made.waiting == 0
