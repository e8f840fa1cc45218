"""The budget that a relay is told, how long it holds, and what it does to a pass under way."""

import pytest

from core.relay.test_announcer import events_after, full
from core.relay.test_relay_decisions import stored
from kvsync.core.relay.announcer import Rhythm
from kvsync.core.relay.budget import Budget, read_budget
from kvsync.core.relay.sizing import SPARE, table_size
from kvsync.model.relay_budget import KEPT, LEAST, MOST


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"2000", 2000.0),
        (b" 12.5\r\n", 12.5),
        (b"10", LEAST),
        (b"10000", MOST),
        (b"9.99", None),
        (b"10001", None),
        (b"", None),
        (b"nan", None),
        (b"1e3", None),
        (b"-100", None),
        (b"100 200", None),
        ("²00".encode(), None),
    ],
)
def test_only_a_number_within_bounds_is_a_budget(body: bytes, value: float | None) -> None:
    assert read_budget(body) == value


def test_what_was_told_holds_for_a_while() -> None:
    budget = Budget(500.0)
    assert budget.at(0.0) == 500.0
    budget.tell(20.0, 100.0)
    assert budget.at(100.0 + KEPT) == 20.0
    assert budget.at(100.1 + KEPT) == 500.0
    budget.tell(30.0, 2000.0)
    assert budget.at(2000.0) == 30.0


def test_a_pass_under_way_goes_on_at_the_new_pace() -> None:
    bench = full(2000, Rhythm(every=0.0, budget=1000.0))
    announcer = bench.relay.announcer
    bench.relay.subscribed(b"\x01", 200.0)
    said = [events_after(bench, 200.0 + n / 10) for n in range(1, 5)]
    assert max(said[1:]) <= 101
    announcer.limit_to(50.0)
    assert announcer.budget == 50.0
    said = [events_after(bench, 200.5 + n / 10) for n in range(30)]
    assert sum(said) <= 150 + 13  # and what was saved of a quarter second
    assert max(said[5:]) <= 6
    announcer.limit_to(1000.0)
    said = [events_after(bench, 203.5 + n / 10) for n in range(30)]
    assert not announcer.is_busy
    assert max(said[1:]) > 50


def test_a_slow_pass_is_no_faster_for_a_larger_budget() -> None:
    bench = full(1000, Rhythm(every=100.0, budget=50.0))
    said = [events_after(bench, 100.0 + n / 10) for n in range(100)]
    bench.relay.announcer.limit_to(1000.0)
    said += [events_after(bench, 110.0 + n / 10) for n in range(100)]
    assert max(said[1:]) <= 6


@pytest.mark.parametrize(
    ("cache", "ranks", "most", "size"),
    [
        (10_000, 1, 100_000, 11_000 + SPARE),
        (10_000, 4, 100_000, 44_000 + SPARE),
        (100_000, 8, 100_000, 100_000),
        (1, 1, 100_000, 1 + SPARE),
        (1, 1, 10, 10),
    ],
)
def test_a_table_has_room_for_the_cache_and_no_more_than_it_may(
    cache: int, ranks: int, most: int, size: int
) -> None:
    assert table_size(cache, ranks, most) == size


def test_a_smaller_table_gives_up_its_oldest_ends_with_the_next_block() -> None:
    bench = full(100)
    table = bench.relay.residency
    table.limit_to(10)
    assert len(table) == 100
    bench.say(stored(1000))
    assert (len(table), table.dropped, table.limit) == (10, 91, 10)
    assert 1000 in table.runs
