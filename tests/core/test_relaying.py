"""What looks at a relay come to: who is there, who is mute, what does not keep up; never too early."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.relay_looks import engine, healthy, look, rank, relay, weighed
from kvsync.core.relaying import unanswered, wants_engine
from kvsync.model.relaying import RelayFlaw, RelayMetrics, RelayRank

AWAY = rank(connected=False)


def test_who_is_not_there_is_told_by_rank_and_for_how_many_looks() -> None:
    once = weighed(look(0.0, relay(rank(1), AWAY)))
    assert (once.missing, once.missing_looks, once.connected_once) == ((1,), 1, False)
    twice = weighed(*(look(n, relay(rank(1), AWAY), None, engine(1, 0)) for n in (0.0, 10.0)))
    assert (twice.missing_looks, twice.serving) == (2, True)
    back = weighed(look(0.0, relay(AWAY)), look(10.0, relay(rank())), look(20.0, relay(AWAY)))
    assert (back.missing_looks, back.connected_once) == (1, True)


def test_a_rank_that_computes_and_says_nothing_is_convicted_by_the_second_window() -> None:
    silent = [look(10.0 * n, relay(rank(5), rank(n)), None, engine(n, n)) for n in range(4)]
    assert weighed(*silent[:2]).silent == {0: 1}
    known = weighed(*silent[:3])
    assert (known.silent, known.silent_tokens) == ({0: 2}, 2 * (1000 - 32))


def test_one_message_acquits_it() -> None:
    looks = [look(10.0 * n, relay(rank(5)), None, engine(n)) for n in range(3)]
    heard = look(30.0, relay(rank(6)), None, engine(4))
    known = weighed(*looks, heard)
    assert (known.silent, known.silent_tokens) == ({}, 0)


def test_looks_without_prompts_count_neither_way() -> None:
    prompts = (0, 1, 1, 1, 2)
    looks = [look(10.0 * n, relay(rank(5)), None, engine(p)) for n, p in enumerate(prompts)]
    assert weighed(*looks).silent == {0: 2}


@pytest.mark.parametrize(
    "other",
    [
        relay(rank(5, connected=False)),
        relay(rank(5, forgotten=1)),
        relay(rank(5), started=1_700_000_001),
        relay(rank(6)),
    ],
)
def test_silence_counts_only_while_the_rank_was_there_all_the_time(other: RelayMetrics) -> None:
    quiet = relay(rank(5))
    first, second = look(0.0, quiet, None, engine(1)), look(10.0, quiet, None, engine(2))
    for broken in (replace(second, before=other), replace(second, after=other)):
        assert weighed(first, broken).silent == {}


def test_an_engine_that_does_not_tell_ranks_apart_accuses_none_of_several() -> None:
    whole = replace(engine(0), ranks={})
    looks = [
        look(10.0 * n, relay(rank(5), rank(5)), None, replace(whole, whole=engine(n).whole))
        for n in range(4)
    ]
    assert weighed(*looks).silent == {}


def test_an_engine_is_asked_where_a_rank_is_away_or_quiet() -> None:
    earlier = look(0.0, relay(rank(5), rank(5)))
    assert wants_engine(None, relay(rank(5)))
    assert wants_engine(earlier, relay(rank(6), rank(5)))
    assert wants_engine(earlier, relay(rank(6), rank(6, connected=False)))
    assert not wants_engine(earlier, relay(rank(6), rank(6)))


# Flaws

FLAWED = {
    RelayFlaw.FULL: lambda n: relay(rank(n), dropped=n),
    RelayFlaw.MISSED: lambda n: relay(rank(n, missed=3 * n)),
    RelayFlaw.UNREADABLE: lambda n: relay(rank(n), rank(n, unreadable=n)),
    RelayFlaw.SLOW_READER: lambda n: relay(rank(n), lost=n),
    RelayFlaw.LATE: lambda n: relay(rank(n), lag=2),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_a_flaw_of_two_windows_is_held_true_until_as_many_are_free_of_it(flaw: RelayFlaw) -> None:
    looks = [look(10.0 * n, FLAWED[flaw](n)) for n in range(4)]
    assert weighed(*looks[:2]).flaws == frozenset()
    assert weighed(*looks[:3]).flaws == {flaw}
    assert weighed(*looks).flaws == {flaw}
    last = replace(looks[-1], before=(calm := replace(FLAWED[flaw](3), lag=0)), after=calm)
    free = [replace(last, at=40.0 + 10 * n) for n in range(3)]
    assert weighed(*looks, *free[:2]).flaws == {flaw}
    assert weighed(*looks, *free).flaws == frozenset()


def test_messages_that_wait_for_a_replay_look_after_look_are_late() -> None:
    assert weighed(*(look(n, relay(rank(5, held=7))) for n in range(3))).flaws == {RelayFlaw.LATE}


def test_an_old_lag_of_a_relay_that_is_idle_is_none() -> None:
    assert weighed(*(look(n, relay(rank(5), lag=900)) for n in range(5))).flaws == frozenset()


# Restarts and silence of the relay itself


def test_what_a_relay_counted_before_it_restarted_is_not_compared() -> None:
    before = look(0.0, relay(rank(500, missed=9), dropped=9, lost=9))
    after = [look(10.0 * n, relay(rank(n), started=n)) for n in (1, 2)]
    known = weighed(before, *after)
    assert known.flaws == frozenset()
    assert known.tendencies == {}
    assert known.restarts == (10.0, 20.0)


def test_of_restarts_the_last_two_are_known() -> None:
    looks = [look(float(n), relay(rank(), started=n)) for n in range(1, 6)]
    assert weighed(*looks).restarts == (4.0, 5.0)


def test_a_relay_that_does_not_answer_keeps_what_was_known_with_its_time() -> None:
    known = unanswered(healthy(5.0), 15.0)
    assert (known.looked_at, known.answered_at, known.connected_once) == (15.0, 5.0, True)
    never = unanswered(None, 15.0)
    assert (never.looked_at, never.answered_at, never.connected_once) == (15.0, None, False)


RANKS = st.builds(
    RelayRank,
    st.booleans(),
    *(st.integers(0, 1 << 53) for _ in range(5)),
)
METRICS = st.builds(
    RelayMetrics,
    st.dictionaries(st.integers(0, 3), RANKS, max_size=4),
    *(st.integers(0, 1 << 53) for _ in range(5)),
)


@given(
    st.lists(st.tuples(METRICS, METRICS, st.none() | st.just(engine(1, 2))), min_size=1, max_size=8)
)
def test_whatever_a_pod_says_is_weighed_and_stays_small(
    said: list[tuple[RelayMetrics, RelayMetrics, object]],
) -> None:
    known = weighed(
        *(
            look(float(n), before, after, engine(n, n) if asked else None)
            for n, (before, after, asked) in enumerate(said)
        )
    )
    assert known.looked_at == known.answered_at == len(said) - 1
    assert len(known.restarts) <= 2
    assert len(known.silent) <= 4
    assert all(0 < tendency <= 3 for tendency in known.tendencies.values())
    assert known.flaws <= known.tendencies.keys()
    assert set(known.missing) <= set(said[-1][1].ranks)
