"""When only a new process helps: what does not go on is named; an API server that is down is none of it."""

from __future__ import annotations

import pytest

from kvsync.core.health import DEAF, LATE, STUCK, Signs, trouble


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        (Signs(ended=("watch of pods", "resync")), "watch of pods, resync"),
        (Signs(lag=LATE + 1), "event loop stood still for 16 s"),
        (Signs(longest_pass=STUCK + 1, waiting=7), "301 s; 7 objects wait"),
        (Signs(oldest=400, last_pass=350), "waited for 400 s, and no pass ended"),
        (Signs(idle={"pods": DEAF + 1, "deployments": 1}), "watch of pods has heard and tried"),
    ],
)
def test_what_does_not_go_on_is_named(signs: Signs, said: str) -> None:
    assert said in trouble(signs)
    assert trouble(signs).endswith(".")


@pytest.mark.parametrize(
    "signs",
    [
        Signs(),
        Signs(lag=LATE, longest_pass=STUCK, oldest=STUCK, last_pass=STUCK, idle={"pods": DEAF}),
        Signs(oldest=5000, waiting=1000, last_pass=60),
        Signs(last_pass=90_000),
    ],
    ids=["fresh", "at the bounds", "the API server is down: passes fail in turn", "nothing to do"],
)
def test_what_a_new_process_would_not_help_is_no_trouble(signs: Signs) -> None:
    assert trouble(signs) == ""


def test_all_of_it_is_told_at_once() -> None:
    said = trouble(Signs(ended=("a",), lag=99, longest_pass=999, idle={"b": 999, "c": 999}))
    assert said.count(".") == 5
