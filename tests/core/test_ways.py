"""Which ways fit a situation: the table by rows, and what holds of every situation."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.ways import Situation, Way, in_words, ways
from kvsync.model.admission import AdmissionMeans
from kvsync.model.record import Place
from kvsync.model.spec import Mode

PATCH, ADMISSION, SLOT, MANIFEST, RENDER = Way

NOBODY = Situation(admission=True)
ARGO = Situation(takes_back=True, argo=True, place=Place.ARGS, admission=True)
FLUX = Situation(takes_back=True, place=Place.ARGS, admission=True)
HELM_3 = Situation(may=True, place=Place.ARGS, admission=True)
LEFT_SLOT = Situation(may=True, argo=True, place=Place.ENV, slot=True, admission=True)
KEPT_SLOT = Situation(takes_back=True, place=Place.ENV, slot=True, admission=True)
LABEL = Situation(takes_back=True, admission=True)
SCRIPT = Situation(takes_back=True, place=Place.COMMAND, admission=True)
MADE = Situation(made=True, admission=True)
STORM = Situation(storm=True, admission=True)
OWNED_STORM = Situation(takes_back=True, place=Place.ARGS, storm=True, admission=True)


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (NOBODY, (PATCH, ADMISSION, RENDER)),
        (ARGO, (ADMISSION, SLOT, MANIFEST, RENDER)),
        (FLUX, (ADMISSION, MANIFEST, RENDER)),
        (HELM_3, (PATCH, ADMISSION, MANIFEST, RENDER)),
        (LEFT_SLOT, (PATCH, ADMISSION, RENDER)),
        (KEPT_SLOT, (ADMISSION, RENDER)),
        (LABEL, (ADMISSION, MANIFEST, RENDER)),
        (SCRIPT, (ADMISSION, MANIFEST, RENDER)),
        (MADE, (ADMISSION, RENDER)),
        (STORM, (PATCH, RENDER)),
        (OWNED_STORM, (RENDER,)),
    ],
)
def test_the_best_way_first(situation: Situation, expected: tuple[Way, ...]) -> None:
    assert ways(situation) == expected


@pytest.mark.parametrize("situation", [ARGO, FLUX, HELM_3, MADE, NOBODY])
def test_without_the_policy_the_same_ways_but_that_one(situation: Situation) -> None:
    without = Situation(**{f: getattr(situation, f) for f in FIELDS} | {"admission": False})
    assert ways(without) == tuple(way for way in ways(situation) if way is not ADMISSION)


FIELDS = tuple(Situation.__dataclass_fields__)
SITUATIONS = st.builds(
    Situation,
    takes_back=st.booleans(),
    may=st.booleans(),
    argo=st.booleans(),
    place=st.sampled_from([None, *Place]),
    slot=st.booleans(),
    made=st.booleans(),
    storm=st.booleans(),
    admission=st.sampled_from([None, True, False]),
)


@given(SITUATIONS)
def test_in_every_situation_there_is_a_way_and_none_that_cannot_work(situation: Situation) -> None:
    found = ways(situation)
    assert len(set(found)) == len(found)
    assert found[-1] is RENDER, "whoever owns it can always write it himself"
    if situation.takes_back or situation.made:
        assert PATCH not in found
    if situation.storm or situation.admission is False:
        assert ADMISSION not in found
    if SLOT in found:
        assert situation.argo, "nobody else can be told to leave one value"
        assert situation.place is Place.ARGS


@given(SITUATIONS)
def test_every_way_is_said_with_what_to_set_or_to_change(situation: Situation) -> None:
    for way in ways(situation):
        text = in_words(way, situation)
        assert text.endswith(".")
        assert len(text) < 130, "several of them stand in one message of 1024"
        if way.mode is not Mode.PATCH:
            assert way.mode.value in text
    if situation.admission is None:
        assert "where the cluster has" in in_words(ADMISSION, situation)


@pytest.mark.parametrize(
    ("policy", "served"), list(itertools.product([None, True, False], repeat=2))
)
def test_what_is_known_of_the_policy(policy: bool | None, served: bool | None) -> None:
    means = AdmissionMeans(policy, served, left_out=frozenset({"system"}))
    assert means.reaches("system") is False
    found = means.reaches("team")
    if False in (policy, served):
        assert found is False
    else:
        assert found is (True if policy and served else None)
