"""One gateway's budget is never exceeded, nobody is left out, and sharing knows no order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.relay.budget import read_budget
from kvsync.core.relay_shares import LARGEST, share_out
from kvsync.model.relay_budget import LEAST, MOST

LIMITS = st.dictionaries(
    st.text(max_size=4),
    st.sampled_from([0, 1, 5_000, 100_000]) | st.integers(0, 1 << 53),
    max_size=60,
)
BUDGETS = st.floats(0, 1e7)


@given(LIMITS, BUDGETS)
def test_together_never_more_than_there_is_and_each_at_least_a_little(
    limits: dict[str, int], budget: float
) -> None:
    shares = share_out(limits, budget)
    assert shares.keys() == limits.keys()
    assert sum(shares.values()) <= max(budget, LEAST * len(limits))
    for share in shares.values():
        assert LEAST <= share <= MOST
        assert read_budget(f"{share:.0f}".encode()) == share


@given(LIMITS, BUDGETS, st.randoms())
def test_sharing_knows_no_order(limits: dict[str, int], budget: float, random: object) -> None:
    mixed = list(limits.items())
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert share_out(dict(mixed), budget) == share_out(limits, budget)


@given(LIMITS, BUDGETS)
def test_a_larger_table_has_no_smaller_share(limits: dict[str, int], budget: float) -> None:
    known = {name: limit for name, limit in limits.items() if limit}
    shares = share_out(known, budget)
    by_size = sorted(known, key=known.__getitem__)
    assert [shares[n] for n in by_size] == sorted(shares.values())


def test_most_of_the_budget_is_given_and_by_size() -> None:
    shares = share_out({"a": 100_000, "b": 100_000, "c": 400_000, "unknown": 0}, 10_000)
    assert shares == {"a": 1280, "b": 1280, "c": 5120, "unknown": 1280}


def test_one_that_claims_everything_does_not_get_it() -> None:
    shares = share_out({"liar": 1 << 50, **{str(n): 100_000 for n in range(10)}}, 10_000)
    assert shares["liar"] <= 10_000 * LARGEST / (LARGEST + 10 * 100_000)
    assert shares["0"] >= 400


def test_one_relay_more_changes_no_share_of_a_hundred() -> None:
    hundred = {str(n): 100_000 for n in range(100)}
    assert share_out({**hundred, "new": 100_000}, 50_000)["0"] == share_out(hundred, 50_000)["0"]
