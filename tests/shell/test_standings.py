"""Standings: who is looked at again when one object's standing changes."""

from dataclasses import replace

from kvsync.model.spec import GatewaySpec
from kvsync.model.standing import GatewayWish, Standing
from kvsync.shell.standings import PATIENCE, Key, Standings

A, B, C = ("default", "a"), ("default", "b"), ("default", "c")


class Stage:
    """Standings with a clock in hand, and who was enqueued."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[Key] = []
        self.standings = Standings(self.told.append, lambda: self.now)

    def note(self, key: Key, **standing: object) -> list[Key]:
        """Note one, and say who is looked at because of it."""
        self.told.clear()
        self.standings.note(key, Standing("/".join(key), **standing))  # type: ignore[arg-type]
        return sorted(self.told)


def wish(namespace: str = "aibrix-system", *, ready: bool = False) -> GatewayWish:
    return GatewayWish(GatewaySpec(namespace=namespace), ready=ready)


def test_a_changed_wish_concerns_those_who_share_the_gateway() -> None:
    stage = Stage()
    stage.note(A, wish=wish())
    assert stage.note(B, wish=wish()) == [A]
    assert stage.note(C, wish=wish("elsewhere")) == []
    assert stage.note(B, wish=wish(ready=True)) == [A]
    assert stage.note(B, wish=wish(ready=True)) == [], "nothing new"
    assert stage.note(B) == [A], "a wish that is given up is news too"


def test_pods_that_answer_concern_those_who_wait_for_them_whatever_gateway_they_share() -> None:
    stage = Stage()
    silent = GatewayWish(GatewaySpec(namespace="elsewhere"), unanswering=("team/pod",))
    stage.note(A, wish=silent)
    stage.note(B, wish=wish(), awaits_pods=True)
    stage.note(C, wish=wish("elsewhere"))
    assert stage.note(A, wish=wish("elsewhere")) == [B], "and not those who merely share it"


def test_a_deployment_beside_the_gateway_is_shared_too() -> None:
    stage = Stage()
    watcher = ("kvcache-watcher",)
    stage.note(A, wish=GatewayWish(GatewaySpec(deployment="one", also_configure=watcher)))
    stage.note(B, wish=GatewayWish(GatewaySpec(deployment="two", also_configure=watcher)))
    stage.note(C, wish=GatewayWish(GatewaySpec(deployment="two")))
    changed = GatewayWish(GatewaySpec(deployment="one", also_configure=watcher), ready=True)
    assert stage.note(A, wish=changed) == [B]


def test_what_one_wants_who_may_not_have_it_concerns_nobody_and_others_do_not_concern_it() -> None:
    stage = Stage()
    stage.note(A, wish=wish())
    stage.note(C, wish=replace(wish(), asks=False))
    assert stage.note(B, wish=replace(wish(), asks=False)) == []
    assert stage.note(B, wish=replace(wish(ready=True), asks=False)) == []
    assert stage.note(B, wish=wish()) == [A], "it asks now"
    assert stage.note(B, wish=replace(wish(), asks=False)) == [A], "and not any more"


def test_who_moves_to_another_gateway_concerns_both() -> None:
    stage = Stage()
    stage.note(A, wish=wish())
    stage.note(B, wish=wish("elsewhere"))
    stage.note(C, wish=wish())
    assert stage.note(C, wish=wish("elsewhere")) == [A, B]


def test_a_model_that_is_done_concerns_those_who_wait() -> None:
    stage = Stage()
    stage.note(A, in_flight=("x", "y"))
    stage.note(B, waiting=True)
    stage.note(C)
    assert stage.note(A, in_flight=("x",)) == [B]
    assert stage.note(A, in_flight=("x", "y")) == [B], "it may have let A go first"
    assert stage.note(A, in_flight=("x", "y")) == [], "nothing new"
    assert stage.note(A, in_flight=("x", "y"), waiting=True) == [B]


def test_an_object_whose_passes_fail_is_waited_for_by_nobody() -> None:
    stage = Stage()
    stage.note(A, waiting=True, in_flight=("x",))
    stage.note(B, waiting=True)
    stage.told.clear()
    stage.standings.note_failed(A, "default/a")
    assert stage.told == [B]
    assert stage.standings.others(B) == (Standing("default/a", in_flight=("x",)),)


def test_an_object_that_goes_frees_what_it_held() -> None:
    stage = Stage()
    stage.note(A, in_flight=("x",), wish=wish())
    stage.note(B, waiting=True)
    stage.note(C, wish=wish())
    stage.told.clear()
    stage.standings.forget(A)
    assert sorted(stage.told) == [B, C]
    assert [each.sync for each in stage.standings.others(C)] == ["default/b"]


def test_after_a_start_each_object_is_looked_at_before_the_others_count_it() -> None:
    stage = Stage()
    for key in (A, B, C):
        stage.standings.expect(key)
    assert stage.standings.unheard(A) == ("default/b", "default/c")
    stage.note(A, awaits_all=True)
    stage.standings.note_failed(B, "default/b")
    assert stage.standings.unheard(A) == ("default/c",)
    assert stage.note(C) == [A], "now that all are known, and B waited for nothing"
    assert stage.standings.unheard(A) == ()


def test_one_that_was_deleted_while_the_operator_started_holds_nobody_for_ever() -> None:
    stage = Stage()
    stage.standings.expect(A)
    stage.note(B)
    stage.now = PATIENCE - 1
    assert stage.standings.unheard(B) == ("default/a",)
    stage.now = PATIENCE
    assert stage.standings.unheard(B) == ()


def test_a_pass_that_fails_later_keeps_what_was_known() -> None:
    stage = Stage()
    stage.note(A, in_flight=("x",))
    stage.standings.note_failed(A, "default/a")
    assert stage.standings.others(B)[0].in_flight == ("x",)
