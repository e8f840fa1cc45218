"""A gateway whose variables someone sets back: set again three times at most, and he is named."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json, spec_of
from core.scenes import (
    FLAGS,
    NOW,
    applied,
    condition,
    decided,
    flag_is_on,
    gateway_of,
    gateway_turned_on,
    rolled_out,
    sync_of,
    working,
)
from kvsync.core.repairs import LIMIT, PAUSES, WINDOW
from kvsync.model.decision import Decision
from kvsync.model.observed import KVEventSync
from kvsync.model.record import REPAIRS_ANNOTATION

HELM = {
    "manager": "helm",
    "operation": "Update",
    "time": "2026-01-01T10:00:00Z",
    "fieldsV1": {
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"gateway-plugin"}': {
                            "f:env": {f'k:{{"name":"{name}"}}': {} for name in FLAGS}
                        }
                    }
                }
            }
        }
    },
}


class War:
    """A working model, its gateway, and what the status remembers from pass to pass."""

    def __init__(self) -> None:
        self.now = NOW
        self.status: Json = {}
        self.retry = ""
        self.gateway = rolled_out(gateway_turned_on())
        self.rolls: list[float] = []
        self.look()

    def look(self, **picture: Any) -> Decision:
        one, verdict = working()
        decision = decided(
            one,
            verdicts=[verdict],
            gateway=self.gateway,
            now=self.now,
            sync=KVEventSync(sync_of(status=self.status, retry=self.retry).body),
            **picture,
        )
        for action in decision.actions:
            counts = "repairs" in (decision.status or {})["gateway"]
            assert action.counted == counts, "a repair is written down before it is made"
            self.gateway = rolled_out(applied(self.gateway, action))
            self.rolls.append(self.now)
        assert decision.status is not None
        self.status = copy.deepcopy(dict(decision.status))
        return decision

    def set_back(self, *, wipe: bool = False) -> None:
        """What an upgrade by Helm does to the flag; with ``wipe`` also to annotations, as --force does."""
        container = self.gateway["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [
            {**item, "value": "false"} if item["name"] in FLAGS else item
            for item in container["env"]
        ]
        self.gateway["metadata"]["managedFields"] = [copy.deepcopy(HELM)]
        if wipe:
            self.gateway["metadata"]["annotations"] = {}

    def lose(self, *, wipe: bool = False) -> None:
        """As often as it may be set again, and once more."""
        for pause in (*PAUSES, 0):
            self.now += pause
            self.set_back(wipe=wipe)
            self.look()
            self.look()


def gateway_condition(war: War) -> tuple[str, str]:
    return condition(war.status, "GatewayConfigured")


def message(war: War) -> str:
    return str(war.status["gateway"]["message"])


def test_the_first_time_it_is_set_again_at_once_and_counted() -> None:
    war = War()
    war.set_back()
    war.look()
    assert flag_is_on(war.gateway)
    assert war.rolls == [NOW]
    assert war.status["gateway"]["repairs"]["times"] == [int(NOW)]
    assert "helm" in war.status["gateway"]["repairs"]["by"].lower()
    assert REPAIRS_ANNOTATION in war.gateway["metadata"]["annotations"]


@pytest.mark.parametrize("wipe", [False, True])
def test_after_three_times_it_is_left_and_the_opponent_is_named(wipe: bool) -> None:
    war = War()
    war.lose(wipe=wipe)
    assert len(war.rolls) == LIMIT
    assert gateway_condition(war) == ("False", "Contended")
    assert condition(war.status, "Stalled") == ("True", "Contended")
    assert "helm" in message(war).lower()
    assert "AIBRIX_" in message(war)
    assert "spec.gateway.manage" in message(war)
    war.now += 10 * WINDOW
    assert war.look().actions == (), "time alone begins no war again"


def test_the_second_time_waits_and_wakes_up_for_it() -> None:
    war = War()
    war.set_back()
    war.look()
    war.set_back()
    decision = war.look()
    assert decision.actions == ()
    assert gateway_condition(war) == ("False", "Contended")
    assert condition(war.status, "Stalled")[0] == "False"
    assert decision.look_again is not None
    assert 0 < decision.look_again <= PAUSES[1] + 1
    told = war.status
    assert war.look().actions == ()
    assert war.status == told, "nothing is written while nothing happens"


@pytest.mark.parametrize("wanted", ["retry", "spec"])
def test_whoever_asks_anew_has_it_tried_again(wanted: str) -> None:
    war = War()
    war.lose()
    if wanted == "retry":
        war.retry = "once more"
        war.look()
    else:
        war.look(spec=spec_of(gateway={"remoteTokenizer": {"engine": "sglang"}}))
    assert len(war.rolls) == LIMIT + 1
    assert gateway_condition(war)[1] != "Contended"
    for _ in range(2 * LIMIT):
        war.set_back()
        war.look()
    # Another try is a repair already, a change of what is wanted is none.
    again = LIMIT + 1 if wanted == "retry" else LIMIT + 2
    assert len(war.rolls) == again, "under the new terms the same bounds hold"


def test_what_stands_again_by_the_owners_own_hand_is_healthy() -> None:
    war = War()
    on = copy.deepcopy(war.gateway)
    war.lose()
    war.gateway = on
    war.look()
    assert gateway_condition(war)[1] != "Contended"


def test_a_change_of_our_own_is_no_repair() -> None:
    war = War()
    one, verdict = working()
    decision = decided(
        one,
        verdicts=[verdict],
        gateway=war.gateway,
        sync=sync_of(status=war.status),
        spec=spec_of(gateway={"environment": "V0_5"}),
    )
    assert decision.actions
    assert decision.status is not None
    assert "repairs" not in decision.status["gateway"]


def test_while_it_is_held_nothing_is_counted() -> None:
    war = War()
    war.set_back()
    one, verdict = working()
    decision = decided(
        one,
        verdicts=[verdict],
        gateway=war.gateway,
        sync=sync_of(status=war.status),
        spec=spec_of(paused=True),
    )
    assert decision.actions == ()
    assert decision.status is not None
    assert "repairs" not in decision.status["gateway"]


def test_the_undo_takes_the_count_off_too() -> None:
    war = War()
    war.set_back()
    war.look()
    gone = decided(gateway=war.gateway, sync=sync_of(deleted="2026-01-01T00:00:00Z"))
    after = applied(war.gateway, gone.actions[0])
    assert REPAIRS_ANNOTATION not in (after["metadata"].get("annotations") or {})
    assert not flag_is_on(after)


@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["set back", "wipe", "look"]), st.integers(0, 400)), max_size=25
    )
)
def test_never_more_than_three_in_thirty_minutes(moves: list[tuple[str, int]]) -> None:
    war = War()
    for move, passed in moves:
        war.now += passed
        if move != "look":
            war.set_back(wipe=move == "wipe")
        war.look()
    for at in war.rolls:
        assert sum(at <= other < at + WINDOW for other in war.rolls) <= LIMIT


def test_the_gateway_as_it_was_never_carries_a_count() -> None:
    assert REPAIRS_ANNOTATION not in (gateway_of()["metadata"].get("annotations") or {})
