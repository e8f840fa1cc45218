"""Every order of events: all states of a few small scenarios, and the nearest ones of a large one."""

from collections import deque

import pytest

from explore import community
from explore.community import CRASH, WAIT, Community, Scenario
from explore.rows import BY_CHOICE
from explore.scenarios import LARGE, ONE, SMALL, THREE, TWO
from explore.search import BrokenPromiseError, Search
from kvsync.shell.settings import Settings

*_, CRASHING = SMALL


def made_in_full(scenario: Scenario) -> tuple[set[bytes], int, int]:
    """All states by their digests, how many moves lead to another one, and how many are at rest."""
    first = Community(scenario)
    known, queue = {first.digest}, deque([first])
    moves = rests = 0
    while queue:
        state = queue.popleft()
        here = state.digest
        then = [(move, state.after(move)) for move in state.moves()]
        led = [(kind, after) for (kind, _), after in then if after.digest != here]
        goes_on = any(kind not in BY_CHOICE for kind, _ in led)
        if not goes_on and state.next_look is not None:
            led.append((WAIT, state.after((WAIT, ""))))
        rests += not goes_on and state.next_look is None
        moves += len(led)
        for _, after in led:
            if after.digest not in known:
                known.add(after.digest)
                queue.append(after)
    return known, moves, rests


@pytest.mark.parametrize("name", SMALL)
def test_in_every_state_the_promises_hold_and_left_alone_it_comes_to_rest(name: str) -> None:
    found = Search(SMALL[name]).run(most=20_000)
    assert found.complete
    assert found.rests
    assert found.states > 1_000


@pytest.mark.parametrize("scenario", [Scenario(ONE), SMALL[CRASHING]])
def test_moves_that_are_known_lead_where_they_lead_when_made_in_full(scenario: Scenario) -> None:
    """The search for which every move is really made comes to the same states and the same ends."""
    states, moves, rests = made_in_full(scenario)
    search = Search(scenario)
    found = search.run(most=None)
    assert {state.digest for state in search.states()} == states
    assert (found.states, found.moves, found.rests) == (len(states), moves, rests)


def test_a_move_that_depends_on_more_than_is_said_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Community, "bearing", lambda *_: ())
    with pytest.raises(BrokenPromiseError, match="depends on more than is said"):
        Search(Scenario(TWO), audit=10).run(most=5_000)


def test_the_operator_dies_between_any_two_writes_of_a_pass() -> None:
    search = Search(Scenario(THREE))
    assert search.run(most=3_000).amid > 100
    left = {len(decided) for state in search.states() for decided in state.decided.values()}
    assert {0, 1, 2} <= left, "a pass of two writes, before and between them, and after"
    assert all((CRASH, "") in [*state.moves()] for state in search.states())


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
