"""The rules of leadership: who may take the Lease, until when its holder writes, what is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.leadership import (
    LONGEST,
    SHORTEST,
    Choice,
    Sight,
    Terms,
    as_leader,
    as_standby,
    claim,
    look,
    may_write,
    release,
    written,
)
from kvsync.model.lease import MOST_TRANSITIONS, Lease, read_lease

TERMS = Terms(10.0)
THEIRS = Lease("other", "2026-01-01T00:00:00.000000Z", 3, 10.0)


def seen(lease: Lease | None, *, since: float = 100.0, first: bool = True) -> Sight:
    return Sight(lease, since, first)


@pytest.mark.parametrize(
    ("sight", "now", "choice"),
    [
        (seen(None), 100.0, Choice.CREATE),
        (seen(None, first=False), 109.9, Choice.WAIT),
        (seen(None, first=False), 110.0, Choice.CREATE),
        (seen(Lease("")), 100.0, Choice.TAKE),
        (seen(Lease("me", "t")), 100.0, Choice.TAKE),
        (seen(THEIRS), 109.9, Choice.WAIT),
        (seen(THEIRS), 110.0, Choice.TAKE),
        (seen(Lease("other", "t", 0, 30.0)), 129.9, Choice.WAIT),
        (seen(Lease("other", "t", 0, 30.0)), 130.0, Choice.TAKE),
        (seen(Lease("other", "t", 0, 1e9)), 100.0 + LONGEST, Choice.TAKE),
        (seen(Lease("other", "t", 0, 1.0)), 109.9, Choice.WAIT),
    ],
)
def test_a_standby_takes_what_is_free_or_has_not_changed_for_as_long_as_it_lasts(
    sight: Sight, now: float, choice: Choice
) -> None:
    assert as_standby(sight, "me", TERMS, now) is choice


def test_what_stays_is_seen_since_it_was_first_seen() -> None:
    first = look(None, THEIRS, 5.0)
    assert first == Sight(THEIRS, 5.0, first=True)
    assert look(first, THEIRS, 9.0) is first
    renewed = Lease("other", "2026-01-01T00:00:02.000000Z", 3, 10.0)
    assert look(first, renewed, 9.0) == Sight(renewed, 9.0, first=False)
    assert look(first, None, 9.0) == Sight(None, 9.0, first=False)


@pytest.mark.parametrize(
    ("lease", "choice"),
    [
        (None, Choice.CREATE),
        (Lease("me"), Choice.RENEW),
        (Lease("other"), Choice.LOST),
        (Lease(""), Choice.LOST),
    ],
)
def test_a_leader_goes_on_unless_the_lease_is_in_another_name(
    lease: Lease | None, choice: Choice
) -> None:
    assert as_leader(lease, "me") is choice


@given(st.integers(SHORTEST, LONGEST), st.floats(0, 1e6), st.floats(0, 100), st.floats(0, 100))
def test_no_two_may_write_at_once(duration: int, asked: float, travel: float, later: float) -> None:
    """A standby cannot have seen a renewal before it was asked for; ``later`` it looks."""
    terms = Terms(float(duration))
    now = asked + travel + later
    sight = seen(Lease("leader", "t", 0, terms.duration), since=asked + travel)
    taken = as_standby(sight, "me", terms, now) is Choice.TAKE
    assert not (taken and may_write(asked, terms, now))


@given(st.integers(SHORTEST, LONGEST))
def test_several_renewals_may_fail_before_a_leader_has_to_stop(duration: int) -> None:
    terms = Terms(float(duration))
    assert terms.renew_every + 2 * terms.patience <= terms.deadline < terms.duration


def test_nothing_is_written_without_a_renewal() -> None:
    assert not may_write(None, TERMS, 0.0)


def test_what_is_written_counts_hands_and_keeps_when_it_was_taken() -> None:
    assert claim(None, "me", TERMS, "t1") == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 10,
        "renewTime": "t1",
        "acquireTime": "t1",
        "leaseTransitions": 0,
    }
    assert claim(THEIRS, "me", TERMS, "t1")["leaseTransitions"] == 4
    assert claim(Lease("", "t0", 4, 1.0), "me", TERMS, "t1")["leaseTransitions"] == 5
    renewal = claim(Lease("me", "t1", 5, 10.0), "me", TERMS, "t2")
    assert renewal.keys() == {"holderIdentity", "leaseDurationSeconds", "renewTime"}
    most = Lease("other", "t", MOST_TRANSITIONS, 10.0)
    assert claim(most, "me", TERMS, "t")["leaseTransitions"] == MOST_TRANSITIONS


def test_what_others_wrote_into_the_object_stays() -> None:
    body = {
        "metadata": {"name": "l", "resourceVersion": "7", "labels": {"a": "b"}},
        "spec": {"holderIdentity": "me", "acquireTime": "t0", "leaseTransitions": 2, "x": 1},
    }
    sent = written(body, release("t9"))
    assert sent["metadata"] == body["metadata"]
    assert sent["spec"] == {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "renewTime": "t9",
        "acquireTime": "t0",
        "leaseTransitions": 2,
        "x": 1,
    }
    assert written({"spec": ["no", "spec"]}, {"a": 1})["spec"] == {"a": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("holderIdentity", "renewTime", "leaseTransitions", "leaseDurationSeconds", "acquireTime")


@given(json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values)))
def test_whatever_stands_in_a_lease_it_locks_nobody_out_for_ever(spec: Any) -> None:
    lease = read_lease({"spec": spec})
    assert all(c.isprintable() for c in lease.holder)
    assert len(lease.holder) <= 253
    sight = look(None, lease, 0.0)
    assert as_standby(sight, "me", TERMS, float(LONGEST)) is Choice.TAKE
    taken = claim(lease, "me", TERMS, "t")
    assert 0 <= taken.get("leaseTransitions", 0) <= MOST_TRANSITIONS
    assert read_lease(written({"spec": spec}, taken)).holder == "me"
