"""Who undoes ours is named, resisted a few times with pauses, and then let be, until a person decides."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from core.objects import (
    CONFIG,
    EVENTS_LABEL,
    RECORD,
    Json,
    ask,
    container,
    deployment,
    main_container,
    spec_of,
)
from core.scenes import (
    NOW,
    applied,
    condition,
    configured,
    decided,
    done_to,
    model,
    pod_of,
    rolled_out,
    sync_of,
    verdict_on,
)
from kvsync.core.contest import WAY_ON
from kvsync.core.moment import timestamp
from kvsync.core.patch import apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.repairs import PAUSES, WINDOW
from kvsync.model.decision import Decision
from kvsync.model.observed import ObservedModel
from kvsync.model.record import OWNER_ANNOTATION, REPAIRS_ANNOTATION
from kvsync.model.repairs import Repairs, load_repairs, read_repairs
from kvsync.model.storm import StormService
from model.storms import storm

ARGS = ["--port=8000"]
TAKER: Json = {
    "manager": "kubectl-client-side-apply",
    "operation": "Update",
    "time": "2026-11-26T10:00:00Z",
    "fieldsV1": {
        "f:spec": {
            "f:template": {"f:spec": {"f:containers": {'k:{"name":"vllm"}': {"f:args": {}}}}}
        }
    },
}
Status = Mapping[str, Any] | None


def owned_model() -> Json:
    return deployment(container(command=["vllm", "serve", "tiny"], args=list(ARGS)))


def taken_back(body: Json | None = None) -> Json:
    """The configured model after its owner applied his arguments again: all else of ours stays."""
    taken = copy.deepcopy(body or configured(owned_model()))
    main_container(taken)["args"] = list(ARGS)
    taken["metadata"]["managedFields"] = [copy.deepcopy(TAKER)]
    return rolled_out(taken)


class War:
    """A model and its object, passes over it, and an owner who takes his arguments back."""

    def __init__(self, body: Json | None = None, retry: str = "", **spec: Any) -> None:
        self.body = body or rolled_out(configured(owned_model()))
        self.status: Status = None
        self.now = NOW
        self.retry = retry
        self.spec = spec
        self.look()

    def look(self, **more: Any) -> Decision:
        """One pass, with what it writes."""
        pod = pod_of(self.body)
        decision = decided(
            model(self.body, pod),
            verdicts=[verdict_on(pod)],
            sync=sync_of(status=self.status, retry=self.retry),
            spec=spec_of(**(self.spec | more)),
            now=self.now,
        )
        if not decision.actions or any(action.counted for action in decision.actions):
            self.status = decision.status
        for action in decision.actions:
            self.body = rolled_out(applied(self.body, action))
        return decision

    def entry(self) -> Mapping[str, Any]:
        assert self.status is not None
        found: Mapping[str, Any] = self.status["models"][0]
        return found

    def stands(self) -> tuple[str, str]:
        return self.entry()["state"], self.entry()["reason"]

    def lose(self) -> None:
        """Three repairs, and the fourth time undone."""
        for pause in (*PAUSES[1:], PAUSES[-1]):
            self.body = taken_back(self.body)
            assert done_to(self.look()) == [("Repaired", "model")]
            self.look()
            self.now += pause
        self.body = taken_back(self.body)
        assert done_to(self.look()) == []


def test_what_was_taken_back_is_put_back_at_once_and_counted_beforehand() -> None:
    war = War(taken_back())
    # A first pass learned of nothing else: the record on it says that it was ours.
    assert REPAIRS_ANNOTATION in war.body["metadata"]["annotations"]
    kept = load_repairs(war.body["metadata"]["annotations"][REPAIRS_ANNOTATION])
    assert kept == read_repairs(war.entry()["repairs"])
    assert kept is not None
    assert kept.times == (int(NOW),)
    assert "kubectl apply (manager kubectl-client-side-apply" in kept.by
    assert any("kv-events-config" in word for word in main_container(war.body)["args"])


def test_the_event_names_who_took_what() -> None:
    war = War()
    war.body = taken_back(war.body)
    decision = war.look()
    (action,) = decision.actions
    assert action.counted, "the status goes first"
    assert (action.reason, action.warning) == ("Repaired", True)
    assert "at 2026-11-26T10:00:00Z) took the args of container vllm" in action.note
    assert "repair 1 of 3" in action.note


def test_the_next_repair_waits_and_says_until_when() -> None:
    war = War()
    for number, pause in ((2, PAUSES[1]), (3, PAUSES[2])):
        war.body = taken_back(war.body)
        war.look()
        war.body = taken_back(war.body)
        waiting = war.look()
        assert waiting.actions == ()
        assert war.stands() == ("Pending", "Contended")
        assert f"repair {number} of 3 comes at " in war.entry()["message"]
        assert waiting.look_again == pytest.approx(pause + 1)
        war.now += pause
        assert done_to(war.look()) == [("Repaired", "model")]
        war.look()


def test_after_the_last_repair_it_is_let_be_with_the_ways_out() -> None:
    war = War()
    war.lose()
    assert war.stands() == ("Refused", "Contended")
    assert condition(war.status, "Stalled") == ("True", "Contended")
    message = war.entry()["message"]
    for words in (
        *("kubectl apply", "args of container vllm", "1. ", "2. ", "3. "),
        *("command", "kvsync render", "spec.models", "kvsync.aibrix.ai/retry"),
    ):
        assert words in message
    assert len(message) < 1024, "the status keeps no more"


def test_time_alone_does_not_begin_the_war_again() -> None:
    war = War()
    war.lose()
    before = war.status
    war.now += 10 * WINDOW
    assert war.look().actions == ()
    assert war.status == before, "and nothing is written"


def test_who_writes_every_second_does_not_make_us_write_every_second() -> None:
    war = War()
    war.lose()
    before = war.status
    war.body["metadata"]["managedFields"][0]["time"] = "2026-11-26T10:00:01Z"
    war.look()
    assert war.status == before


@pytest.mark.parametrize(
    ("wrote", "named"), [(NOW - 60, "Someone (no name left"), (NOW + 60, "kubectl create (")]
)
def test_who_wrote_before_our_change_did_not_undo_it(wrote: float, named: str) -> None:
    """``kubectl rollout undo`` that only takes our args away owns nothing, and whoever made it still does."""
    war = War(rolled_out(configured(deployment())))
    war.body = rolled_out(deployment())
    maker = {**TAKER, "manager": "kubectl-create", "time": timestamp(wrote)}
    maker["fieldsV1"] = {"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}}
    war.body["metadata"]["managedFields"] = [maker]
    (action,) = war.look().actions
    assert action.reason == "Repaired"
    assert action.note.startswith(named)


def test_the_end_names_every_way_and_the_last_one_is_not_cut_off() -> None:
    body = rolled_out(configured(owned_model()))
    application = "a-team-with-a-long-name-and-a-model-with-a-longer-one-than-that"
    body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = f"{application}:x"
    war = War(body)
    war.lose()
    message = war.entry()["message"]
    assert message.endswith(WAY_ON)
    for way in ("spec.mode to Admission", "render --slot", "into command", "spec.mode Render"):
        assert way in message
    assert "5. Take the model out of spec.models" in message


def test_a_new_value_of_the_retry_annotation_tries_again() -> None:
    war = War()
    war.lose()
    war.retry = "again"
    assert done_to(war.look()) == [("Repaired", "model")]


def test_other_terms_try_again() -> None:
    war = War()
    war.lose()
    assert done_to(war.look(events={"topic": "other"})) == [("Repaired", "model")]


def test_what_carries_ours_again_is_healthy_again() -> None:
    war = War()
    war.lose()
    main_container(war.body)["args"] = [*ARGS, CONFIG]  # by its owner
    war.look()
    assert war.stands() == ("Ready", "Verified")
    assert "opponent" not in war.entry()


def test_after_a_quiet_window_the_count_is_forgotten_without_a_write_for_it() -> None:
    war = War()
    war.body = taken_back(war.body)
    war.look()
    war.now += WINDOW
    assert war.look().actions == ()
    assert "repairs" not in war.entry()
    assert REPAIRS_ANNOTATION in war.body["metadata"]["annotations"]


def test_the_undo_takes_the_count_off_too() -> None:
    war = War()
    original = rolled_out(owned_model())
    war.lose()
    # What is taken back is named in the status first.
    status = {**(war.status or {}), "wave": {"current": ["model"]}}
    left = decided(model(war.body, selected=False), sync=sync_of(status=status))
    after = applied(war.body, left.actions[0])
    del after["metadata"]["managedFields"]
    assert after == original


def wiped(_: Json) -> Json:
    """As ``kubectl replace`` and Helm 3 ``--force`` leave it."""
    return rolled_out(owned_model())


def record_removed(body: Json) -> Json:
    changed = copy.deepcopy(body)
    changed["metadata"]["annotations"].pop(RECORD, None)
    return changed


def mark_removed(body: Json) -> Json:
    changed = copy.deepcopy(body)
    changed["metadata"]["annotations"].pop(OWNER_ANNOTATION, None)
    return changed


def record_broken(body: Json) -> Json:
    changed = copy.deepcopy(body)
    changed["metadata"]["annotations"][RECORD] = "{}"
    return changed


def label_removed(body: Json) -> Json:
    changed = copy.deepcopy(body)
    changed["spec"]["template"]["metadata"]["labels"].pop(EVENTS_LABEL, None)
    return changed


def port_removed(body: Json) -> Json:
    changed = copy.deepcopy(body)
    main_container(changed)["ports"] = []
    return changed


@pytest.mark.parametrize(
    "undo",
    [wiped, record_removed, mark_removed, record_broken, label_removed, port_removed, taken_back],
)
def test_however_ours_is_undone_the_bound_holds(undo: Any) -> None:
    war = War()
    repaired = 0
    for _ in range(40):
        war.body = undo(war.body)
        repaired += sum(action.reason == "Repaired" for action in war.look().actions)
        assert not any(action.reason == "Configured" for action in war.look().actions)
        war.now += 20
    assert repaired == 3
    assert war.stands() == ("Refused", "Contended")


def test_an_annotation_of_an_old_revision_does_not_reset_the_count() -> None:
    """``kubectl rollout undo`` brings the annotations of that revision back with its template."""
    war = War()
    revisions = [copy.deepcopy(war.body)]
    repaired = 0
    for _ in range(40):
        old = taken_back(revisions[0])
        war.body = old
        repaired += sum(action.reason == "Repaired" for action in war.look().actions)
        war.look()
        war.now += 20
    assert repaired == 3


def test_a_change_of_our_own_settings_is_no_repair() -> None:
    war = War()
    decision = war.look(events={"topic": "other"})
    assert done_to(decision) == [("Configured", "model")]
    assert not decision.actions[0].counted


def test_an_edit_beside_ours_is_none() -> None:
    war = War()
    main_container(war.body)["args"].append("--max-model-len=512")
    assert war.look().actions == ()
    assert war.stands() == ("Ready", "Verified")


def test_the_first_change_is_none() -> None:
    decision = decided(model(rolled_out(owned_model())))
    assert done_to(decision) == [("Configured", "model")]
    assert decision.status["models"][0]["state"] == "Pending" if decision.status else False


def test_a_model_in_dispute_holds_no_turn() -> None:
    """The others go on, during the pauses and after the end."""
    war = War()
    war.body = taken_back(war.body)
    war.look()
    war.body = taken_back(war.body)
    other = rolled_out(deployment(name="z"))
    for _ in range(2):
        decision = decided(
            model(war.body, pod_of(war.body)), model(other), sync=sync_of(status=war.status)
        )
        assert done_to(decision) == [("Configured", "z")]
        war.now += PAUSES[1]


def test_a_repair_that_was_counted_and_not_made_is_lost() -> None:
    """The operator died between the two writes: better one too few than one too many."""
    war = War()
    war.body = taken_back(war.body)
    before = copy.deepcopy(war.body)
    war.look()
    war.body = before
    again = war.look()
    assert again.actions == ()
    assert read_repairs(war.entry()["repairs"]) == Repairs(
        war.entry()["repairs"]["terms"], (int(NOW),), war.entry()["repairs"]["by"]
    )


def test_while_held_nothing_is_counted() -> None:
    war = War(paused=True)
    war.body = taken_back(war.body)
    for _ in range(5):
        assert war.look().actions == ()
        war.now += 100
    assert war.entry()["repairs"]["times"] == []
    assert war.stands() == ("Pending", "Contended")


def stripped_roles(body: Json) -> Json:
    """As whoever applies a StormService leaves it: its roles are one field."""
    changed = copy.deepcopy(body)
    changed["spec"]["template"]["spec"]["roles"] = storm()["spec"]["template"]["spec"]["roles"]
    return changed


def test_a_storm_service_is_fought_over_as_one() -> None:
    original = storm()
    made = plan(StormService(original), ask())
    body = stripped_roles(apply(original, made.patch))
    roles: Json = {"f:spec": {"f:template": {"f:spec": {"f:roles": {}}}}}
    body["metadata"]["managedFields"] = [{**TAKER, "fieldsV1": roles}]
    observed = ObservedModel(StormService(body).model, True, StormService(body))
    decision = decided(observed, now=20_000.0)
    assert [action.reason for action in decision.actions] == ["Repaired"]
    assert "took the whole list of roles of StormService pd back" in decision.actions[0].note
    after = applied(body, decision.actions[0])
    del after["metadata"]["managedFields"]
    kept = load_repairs(after["metadata"]["annotations"][REPAIRS_ANNOTATION])
    assert kept is not None
    assert kept.times == (20_000,)
    assert apply(after, plan_undo(StormService(after))) == original
    # A change of ours after it keeps no count that is of other terms.
    other = plan(StormService(after), ask(spec_of(events={"topic": "t"}), at=30_000))
    assert REPAIRS_ANNOTATION not in apply(after, other.patch)["metadata"]["annotations"]
