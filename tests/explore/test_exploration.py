"""Every order of events: all states of a few small scenarios, and the nearest ones of a large one."""

import pytest

from explore import community
from explore.scenarios import LARGE, SMALL, TWO
from explore.search import BrokenPromiseError, Search
from kvsync.shell.settings import Settings


@pytest.mark.parametrize("name", SMALL)
def test_in_every_state_the_promises_hold_and_left_alone_it_comes_to_rest(name: str) -> None:
    found = Search(SMALL[name]).run(most=20_000)
    assert found.complete
    assert found.rests
    assert found.states > 1_000


@pytest.mark.parametrize(
    ("name", "most"),
    [("three, killed, and each may be deleted", 2_500), ("two objects, one is deleted", 1_000)],
)
def test_in_the_nearest_states_of_a_large_one_the_promises_hold(name: str, most: int) -> None:
    assert Search(LARGE[name]).run(most).states >= most


def test_an_operator_without_its_limit_is_found_out_by_the_shortest_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        community, "Settings", lambda **more: Settings(**{**more, "max_rolling": 0})
    )
    with pytest.raises(BrokenPromiseError) as broken:
        Search(community.Scenario(TWO, crashes=False)).run(most=5_000)
    assert "more than 1 on their way: ['a', 'b']" in str(broken.value)
    assert str(broken.value).count("write") == 4, "two finalizers, two models"
