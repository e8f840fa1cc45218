"""What stands while it is too early to tell: neither a proof nor a failure comes out of nothing."""

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.observations import NOW, OBSERVATIONS, TRAFFIC
from kvsync.core.judge import Policy, judge
from kvsync.core.steady import steady
from kvsync.model.events import EventLayout
from kvsync.model.source import Observation, SourceKey, SourceReason, Target, Verdict

KEY = SourceKey("default", "pod", "uid")
TARGET = Target(KEY, "10.0.0.1", 5557, 5558, "kv")
R = SourceReason


def verdict(
    reason: SourceReason,
    *,
    verified: bool = False,
    settled: bool = True,
    key: SourceKey = KEY,
    layout: EventLayout | None = None,
) -> Verdict:
    return Verdict(key, reason, verified=verified, settled=settled, message="m", layout=layout)


PUBLISHING = verdict(R.PUBLISHING, verified=True, layout=EventLayout.ARRAY)
CLOSED = verdict(R.PORT_CLOSED)
SILENT = verdict(R.IDLE)
CONNECTING = verdict(R.CONNECTING, settled=False)
INTERRUPTED = verdict(R.PROBE_RESTARTED, settled=False)


@pytest.mark.parametrize("before", [PUBLISHING, CLOSED, SILENT])
@pytest.mark.parametrize("now", [PUBLISHING, CLOSED, CONNECTING, INTERRUPTED])
@pytest.mark.parametrize("answers", [True, False])
def test_whether_it_answers_is_always_the_newest_looks(
    before: Verdict, now: Verdict, answers: bool
) -> None:
    stood = replace(before, answers=not answers)
    assert steady(stood, replace(now, answers=answers)).answers is answers


Held = tuple[SourceReason, bool, bool]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([CONNECTING], (R.CONNECTING, False, False)),
        ([INTERRUPTED], (R.PROBE_RESTARTED, False, False)),
        ([PUBLISHING, CONNECTING], (R.PUBLISHING, True, False)),
        ([PUBLISHING, INTERRUPTED], (R.PROBE_RESTARTED, True, False)),
        ([PUBLISHING, INTERRUPTED, CONNECTING], (R.PROBE_RESTARTED, True, False)),
        ([PUBLISHING, INTERRUPTED, CONNECTING, PUBLISHING], (R.PUBLISHING, True, True)),
        ([PUBLISHING, INTERRUPTED, CONNECTING, CLOSED], (R.PORT_CLOSED, False, True)),
        ([CLOSED, CONNECTING], (R.PORT_CLOSED, False, True)),
        ([CLOSED, INTERRUPTED, CONNECTING], (R.PORT_CLOSED, False, True)),
        ([CLOSED, CONNECTING, PUBLISHING], (R.PUBLISHING, True, True)),
        ([SILENT, CONNECTING], (R.IDLE, False, True)),
    ],
)
def test_what_stands_after_these_looks(looks: list[Verdict], expected: Held) -> None:
    found = reduce(steady, looks[1:], steady(None, looks[0]))
    assert (found.reason, found.verified, found.settled) == expected


def test_a_verdict_does_not_pass_to_another_pod() -> None:
    other = replace(CONNECTING, key=replace(KEY, uid="another"))
    assert steady(PUBLISHING, other) == other


def test_how_events_are_written_is_not_forgotten_while_the_pod_lives() -> None:
    for now in (CLOSED, CONNECTING, INTERRUPTED, SILENT):
        assert steady(PUBLISHING, now).layout is EventLayout.ARRAY
    changed = replace(PUBLISHING, layout=EventLayout.MAP)
    assert steady(PUBLISHING, changed).layout is EventLayout.MAP


def test_of_blocks_of_several_sizes_the_first_stands_until_the_engine_restarts() -> None:
    first = replace(PUBLISHING, block_size=16)
    assert steady(PUBLISHING, first).block_size == 16
    assert steady(first, replace(PUBLISHING, block_size=64)).block_size == 16
    assert steady(first, CLOSED).block_size == 16
    anew = replace(verdict(R.ENGINE_RESTARTED, verified=True), block_size=64)
    assert steady(first, anew).block_size == 64
    assert steady(first, replace(anew, block_size=None)).block_size == 16


JUDGED = st.builds(
    lambda seen, traffic: judge(TARGET, seen, NOW, Policy(), traffic), OBSERVATIONS, TRAFFIC
)


@given(before=JUDGED, now=JUDGED, then=JUDGED)
def test_the_same_look_twice_is_one_look(before: Verdict, now: Verdict, then: Verdict) -> None:
    stood = steady(before, now)
    once = steady(stood, then)
    assert steady(once, then) == once


@given(looks=st.lists(JUDGED, min_size=1, max_size=8))
def test_what_counts_is_the_last_look_that_was_settled(looks: list[Verdict]) -> None:
    found = reduce(steady, looks[1:], steady(None, looks[0]))
    settled = [look for look in looks if look.settled]
    assert found.verified is bool(settled and settled[-1].verified)
    # A proof that is settled is a look of now: only then a gateway may be told for the first time.
    assert not (found.verified and found.settled) or looks[-1].verified
    # What fails is not taken on trust while it is tried again.
    assert not settled or settled[-1].verified or found.settled


@given(seen=OBSERVATIONS, waits=st.lists(st.floats(0, 100), max_size=5))
def test_time_alone_proves_nothing_that_was_not(seen: Observation, waits: list[float]) -> None:
    now, found = NOW, steady(None, judge(TARGET, seen, NOW, Policy()))
    for wait in waits:
        now, before = now + wait, found
        found = steady(before, judge(TARGET, seen, now, Policy()))
        assert before.verified or not found.verified
