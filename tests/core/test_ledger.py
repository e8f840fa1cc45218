"""A model's counts outlive its pods, never fall, and never grow beyond a bound in number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import le

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sightings import events, seen
from kvsync.core import ledger as ledgers
from kvsync.core.ledger import KEPT, MOST_MODELS, Ledger, post
from kvsync.model.metering import OTHERS, Counts, ModelName, Seen

M = ModelName("default", "m")


def posted(*looks: Sequence[Seen], start: Ledger | None = None) -> Ledger:
    ledger = start or Ledger()
    for now, look in enumerate(looks):
        ledger = post(ledger, look, float(now))
    return ledger


def messages(ledger: Ledger, name: ModelName = M) -> int:
    return ledger.accounts[name].counts.messages


def test_every_count_of_an_observation_is_added() -> None:
    look = [
        seen(
            messages=1,
            octets=2,
            events=events(3, 4, 5, 6),
            missing=7,
            undecoded=8,
            restarts=9,
        )
    ]
    assert posted(look).accounts[M].counts == Counts(1, 2, 3, 4, 5, 6, 7, 8, 9)


def test_only_what_is_new_since_the_last_look_is_added() -> None:
    assert messages(posted([seen(messages=5)], [seen(messages=5)], [seen(messages=7)])) == 7


def test_the_sources_of_a_model_are_added_up() -> None:
    look = [seen("a", messages=5), seen("b", messages=2), seen("c", "other", messages=1)]
    ledger = posted(look)
    assert messages(ledger) == 7
    assert messages(ledger, ModelName("default", "other")) == 1


def test_what_ended_sources_counted_stays() -> None:
    assert messages(posted([seen("a", messages=5)], [seen("b", messages=1)])) == 6


def test_one_that_is_watched_anew_counts_from_zero() -> None:
    assert messages(posted([seen(messages=5)], [seen(since=2.0, messages=7)])) == 12


def test_a_count_that_fell_without_a_word_began_anew() -> None:
    assert messages(posted([seen(messages=5)], [seen(messages=1)])) == 6


def test_a_look_that_tells_nothing_of_a_source_changes_nothing() -> None:
    nothing = seen(since=None)
    assert messages(posted([seen(messages=5)], [nothing], [seen(messages=6)])) == 6


def test_one_that_moved_to_another_model_takes_only_what_is_new_along() -> None:
    ledger = posted([seen(messages=5)], [seen(model="n", messages=7)])
    assert messages(ledger) == 5
    assert messages(ledger, ModelName("default", "n")) == 2


def test_a_model_without_sources_is_kept_through_a_rollout_and_then_gone() -> None:
    ledger = posted([seen(messages=5)])
    ledger = post(ledger, [], KEPT)
    assert messages(ledger) == 5
    assert messages(post(ledger, [seen("b", messages=1)], KEPT)) == 6
    assert post(ledger, [], KEPT + 1).accounts == {}


def test_gone_sources_are_forgotten() -> None:
    assert posted([seen("a"), seen("b")], [seen("b")]).entries.keys() == {seen("b")[0].key}


def test_models_beyond_the_bound_are_added_up_together() -> None:
    look = [seen(f"p{n}", f"m{n:04}", messages=1) for n in range(MOST_MODELS + 5)]
    ledger = posted(look)
    assert len(ledger.accounts) == MOST_MODELS + 1
    assert messages(ledger, OTHERS) == 5
    assert ledger.place(look[0][0]) == ModelName("default", "m0000")
    assert ledger.place(look[-1][0]) == OTHERS


def test_the_rest_keeps_its_counts_however_long_it_is_there() -> None:
    look = [seen(f"p{n}", f"m{n:04}", messages=1) for n in range(MOST_MODELS + 5)]
    ledger = Ledger()
    for now in (0.0, KEPT, 2 * KEPT, 3 * KEPT):
        ledger = post(ledger, look, now)
    assert messages(ledger, OTHERS) == 5


def test_who_has_a_place_keeps_it_and_who_waits_gets_the_place_of_one_that_is_gone() -> None:
    first = [seen(f"p{n}", f"m{n:04}", messages=1) for n in range(MOST_MODELS)]
    newcomer = seen("new", "a-new-one", messages=1)
    ledger = posted(first, [*first, newcomer])
    assert ledger.place(newcomer[0]) == OTHERS
    ledger = post(ledger, [*first[1:], newcomer], 2.0)
    assert ledger.place(newcomer[0]) == ModelName("default", "a-new-one")
    assert ModelName("default", "m0000") not in ledger.accounts


@pytest.mark.parametrize("name", ["", "(others)", 'a"b', "a\nb", "\ud800", "x" * 400, "ä"])
def test_what_is_no_name_of_kubernetes_gets_no_series(name: str) -> None:
    assert list(posted([seen(model=name)]).accounts) == [OTHERS]
    assert list(posted([seen(namespace=name)]).accounts) == [OTHERS]


@dataclass(frozen=True)
class Step:
    """What happens to one pod between two looks."""

    pod: str
    more: int
    anew: bool
    gone: bool


steps = st.builds(
    Step, st.sampled_from("abcdef"), st.integers(0, 5), st.booleans(), st.sampled_from([False] * 3 + [True])
)  # fmt: skip


@given(looks=st.lists(st.lists(steps, max_size=8), max_size=12), most=st.integers(0, 3))
def test_counts_add_up_exactly_and_never_fall(looks: list[list[Step]], most: int) -> None:
    """Four models of six pods, at most three places: what is counted stands somewhere, once."""
    living: dict[str, tuple[float, int]] = {}
    ledger, counted, clock = Ledger(), 0, 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "MOST_MODELS", most)
        for look in looks:
            for step in {step.pod: step for step in look}.values():
                clock += 1
                since, before = living.get(step.pod, (clock, 0))
                if step.gone:
                    living.pop(step.pod, None)
                    continue
                living[step.pod] = (clock, step.more) if step.anew else (since, before + step.more)
                counted += step.more
            found = [
                seen(pod, model=f"m{ord(pod) % 4}", since=since, messages=count)
                for pod, (since, count) in living.items()
            ]
            before_, ledger = ledger, post(ledger, found, 0.0)
            assert len(ledger.accounts.keys() - {OTHERS}) <= most
            for name in before_.accounts.keys() & ledger.accounts.keys():
                assert all(map(le, before_.accounts[name].counts, ledger.accounts[name].counts))
            lost = sum(
                messages(before_, name) for name in before_.accounts.keys() - ledger.accounts.keys()
            )
            counted -= lost
            assert sum(messages(ledger, name) for name in ledger.accounts) == counted


@given(st.lists(st.tuples(st.text(), st.text()), max_size=50))
def test_hostile_names_never_make_more_series_than_the_bound(names: list[tuple[str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "MOST_MODELS", 5)
        look = [
            seen(f"p{n}", model, namespace=namespace, messages=1)
            for n, (namespace, model) in enumerate(names)
        ]
        ledger = posted(look)
        assert len(ledger.accounts) <= 6
        assert sum(messages(ledger, name) for name in ledger.accounts) == len(names)
