"""Plans where the story matters more than the breadth: edits of our own pieces, marks, conflicts."""

import copy
from collections.abc import Callable

import pytest

from core.objects import (
    CONFIG,
    EVENTS_LABEL,
    OWNER,
    RECORD,
    Json,
    ask,
    container,
    deployment,
    main_container,
    planned,
    reason_of,
    spec_of,
)
from kvsync.core.patch import PatchConflictError, apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.planned import Outcome
from kvsync.core.revert import contains_run, undo_list
from kvsync.model.record import ListChange, Owner, load_record
from kvsync.model.workload import Deployment

OWNER_MARK = "kvsync.aibrix.ai/owner"


def configured(body: Json) -> Json:
    after: Json = copy.deepcopy(apply(body, planned(body).patch))
    return after


def reverted(body: Json) -> Json:
    after: Json = apply(body, plan_undo(Deployment(body)))
    return after


def template_labels(body: Json) -> Json:
    labels: Json = body["spec"]["template"]["metadata"]["labels"]
    return labels


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body["metadata"].update(uid="another"),
        lambda body: main_container(body).update(args=["--new"]),
        lambda body: main_container(body).update(name="renamed"),
        lambda body: main_container(body).update(ports=[{"containerPort": 1}]),
        lambda body: body["spec"]["template"]["spec"]["containers"].insert(0, {"name": "first"}),
        lambda body: body["metadata"].update(annotations={RECORD: "{}"}),
        lambda body: template_labels(body).update({EVENTS_LABEL: "false"}),
    ],
    ids=["object", "args", "container", "ports", "order", "record", "label"],
)
def test_a_change_of_what_the_patch_touches_is_a_conflict(edit: Callable[[Json], None]) -> None:
    body = deployment(container(args=["--old"], ports=[{"containerPort": 2}]))
    body["metadata"]["annotations"] = {"own": "x"}
    patch = planned(body).patch
    assert apply(body, patch) != body
    edit(body)
    with pytest.raises(PatchConflictError):
        apply(body, patch)


def test_an_edit_elsewhere_is_none() -> None:
    body = deployment()
    patch = planned(body).patch
    main_container(body)["env"] = [{"name": "NEW", "value": "1"}]
    after = apply(body, patch)
    assert main_container(after)["env"] == [{"name": "NEW", "value": "1"}]
    assert main_container(after)["args"] == [CONFIG]


def test_the_record_tells_what_stood_there_before() -> None:
    body = deployment(container(args=["--seed=1"], ports=[{"containerPort": 8000}]))
    template_labels(body)[EVENTS_LABEL] = "false"
    record = load_record(configured(body)["metadata"]["annotations"][RECORD])
    assert (record.container, record.at) == ("vllm", 1_000)
    assert record.words == ListChange(("--seed=1",), ("--seed=1", CONFIG), (CONFIG,))
    assert [port["containerPort"] for port in record.ports] == [5557, 5558]
    assert record.labels[EVENTS_LABEL].before == "false"
    assert record.labels["model.aibrix.ai/engine"].before is None


def test_a_manifest_that_was_applied_over_our_change_is_a_new_base() -> None:
    body = configured(deployment(container(args=["--seed=1"])))
    main_container(body)["args"] = ["--seed=2"]
    del main_container(body)["ports"]
    again = planned(body, at=2_000)
    assert again.outcome is Outcome.CHANGE
    after = apply(body, again.patch)
    assert main_container(after)["args"] == ["--seed=2", CONFIG]
    assert main_container(reverted(after))["args"] == ["--seed=2"]
    assert "ports" not in main_container(reverted(after))


def test_our_argument_edited_by_its_owner_is_theirs() -> None:
    body = configured(deployment())
    edited = CONFIG.replace('"topic":""', '"topic":"mine"')
    main_container(body)["args"] = [edited]
    after = apply(body, planned(body, at=2_000).patch)
    assert load_record(after["metadata"]["annotations"][RECORD]).words is None
    for configured_body in (body, after):
        assert main_container(reverted(configured_body))["args"] == [edited]
        assert "ports" not in main_container(reverted(configured_body))


def test_the_topic_of_an_owners_own_configuration_is_what_is_listened_for() -> None:
    own = CONFIG.replace('"topic":""', '"topic":"kv@mine"')
    for words in ([own], [own.replace('"replay_endpoint":"tcp://*:5558",', "")]):
        (part,) = planned(deployment(container(args=words))).parts
        assert part.events.topic == "kv@mine"
    (part,) = planned(deployment(), spec_of(events={"topic": "t"})).parts
    assert part.events.topic == "t"


def test_a_paused_rollout_holds_a_change_back_and_nothing_that_is_done() -> None:
    paused, done = deployment(), configured(deployment())
    for body in (paused, done):
        body["spec"]["paused"] = True
    assert reason_of(planned(paused)) == "RolloutPaused"
    assert planned(done).outcome is Outcome.UNCHANGED


def test_our_label_taken_off_is_put_back_and_reverts_to_its_absence() -> None:
    body = configured(deployment())
    del template_labels(body)[EVENTS_LABEL]
    after = apply(body, planned(body, at=2_000).patch)
    assert template_labels(after)[EVENTS_LABEL] == "true"
    assert reverted(after) == deployment()


def test_our_label_changed_by_someone_survives_the_way_back() -> None:
    body = configured(deployment())
    template_labels(body)["model.aibrix.ai/engine"] = "sglang"
    assert template_labels(reverted(body)) == {"app": "model", "model.aibrix.ai/engine": "sglang"}


def test_a_port_that_its_owner_adds_beside_ours_stays() -> None:
    body = configured(deployment())
    main_container(body)["ports"].insert(0, {"containerPort": 8000})
    assert planned(body).outcome is Outcome.UNCHANGED
    assert main_container(reverted(body))["ports"] == [{"containerPort": 8000}]


def test_a_port_without_protocol_is_the_same_port() -> None:
    body = configured(deployment())
    for port in main_container(body)["ports"]:
        del port["protocol"]
    assert planned(body).outcome is Outcome.UNCHANGED
    assert reverted(body) == deployment()


def test_a_container_renamed_by_its_owner_takes_our_words_along_and_gives_them_back() -> None:
    body = configured(deployment())
    main_container(body)["name"] = "engine"
    expected = deployment(container("engine"))
    assert reverted(body) == expected
    after = apply(body, planned(body, at=2_000).patch)
    assert main_container(after, "engine")["args"] == [CONFIG]
    assert reverted(after) == expected


@pytest.mark.parametrize("mark", [None, "garbage", "a/b"])
def test_a_lost_mark_is_written_again_without_a_restart(mark: str | None) -> None:
    before = configured(deployment())
    body = copy.deepcopy(before)
    del body["metadata"]["annotations"][OWNER_MARK]
    if mark is not None:
        body["metadata"]["annotations"][OWNER_MARK] = mark
    again = planned(body, at=1_000)
    assert again.outcome is Outcome.CHANGE
    assert apply(body, again.patch) == before
    assert apply(before, again.undo) == body


@pytest.mark.parametrize("text", ["", "{}", "null", '{"v":1}', None])
def test_a_lost_record_is_written_again_from_what_is_ours_without_a_restart(
    text: str | None,
) -> None:
    before = configured(deployment(container(args=["--seed=1"])))
    body = copy.deepcopy(before)
    del body["metadata"]["annotations"][RECORD]
    if text is not None:
        body["metadata"]["annotations"][RECORD] = text
    made = planned(body, at=2_000)
    assert (made.outcome, made.restarts) == (Outcome.CHANGE, 0)
    assert [note.reason for note in made.notes][-1] == "RecordLost"
    after = apply(body, made.patch)
    assert after["spec"] == before["spec"]
    assert planned(after).outcome is Outcome.UNCHANGED
    assert main_container(reverted(after))["args"] == ["--seed=1"]


def test_our_time_starts_anew_where_an_older_revision_came_back() -> None:
    body = configured(deployment())
    assert plan(Deployment(body), ask(proven_at=1_000)).outcome is Outcome.UNCHANGED
    made = plan(Deployment(body), ask(proven_at=5_000, at=6_000))
    assert (made.outcome, made.restarts) == (Outcome.CHANGE, 0)
    after = apply(body, made.patch)
    assert load_record(after["metadata"]["annotations"][RECORD]).at == 6_000
    assert after["spec"] == body["spec"]
    assert plan(Deployment(after), ask(proven_at=5_000)).outcome is Outcome.UNCHANGED


def test_the_mark_of_an_object_that_is_gone_is_taken_over_without_a_restart() -> None:
    body = configured(deployment())
    heir = Owner("default", "heir", "uid-of-heir")
    living = frozenset({heir.uid, OWNER.uid})
    held = plan(Deployment(body), ask(owner=heir, living=living))
    assert reason_of(held) == "OwnedByAnother"
    made = plan(Deployment(body), ask(owner=heir, living=living - {OWNER.uid}, at=2_000))
    assert (made.outcome, made.restarts) == (Outcome.CHANGE, 0)
    after = apply(body, made.patch)
    assert after["metadata"]["annotations"][OWNER_MARK] == str(heir)
    assert after["spec"] == body["spec"]


def test_an_adopted_model_gets_nothing_and_gives_nothing_back() -> None:
    body = deployment(container(args=[CONFIG]))
    labels = {EVENTS_LABEL: "true", "model.aibrix.ai/name": "m", "model.aibrix.ai/engine": "vllm"}
    template_labels(body).update(labels)
    made = planned(body)
    assert (made.outcome, made.patch, made.undo) == (Outcome.UNCHANGED, (), ())
    assert plan_undo(Deployment(body)) == ()


def test_an_adopted_model_that_lacks_a_label_gets_only_that() -> None:
    body = deployment(container(args=[CONFIG]))
    after = configured(body)
    assert main_container(after) == main_container(body)
    assert template_labels(after)[EVENTS_LABEL] == "true"
    assert planned(after).outcome is Outcome.UNCHANGED
    assert reverted(after) == body


def test_an_owner_who_writes_the_same_words_behind_ours_makes_them_theirs() -> None:
    body = configured(deployment())
    main_container(body)["args"] = [CONFIG, CONFIG]
    left = main_container(reverted(body))["args"]
    assert left == [CONFIG]


def test_the_fingerprint_stands_for_what_decides_the_outcome() -> None:
    body = deployment()
    same = planned(body).fingerprint
    assert planned({**body, "status": {"replicas": 3}}, at=9_999).fingerprint == same
    assert planned(configured(body)).fingerprint == same
    scaled = copy.deepcopy(body)
    scaled["spec"]["replicas"] = 7
    assert planned(scaled).fingerprint == same
    other = copy.deepcopy(body)
    main_container(other)["image"] = "vllm/vllm-openai:v0.20.0"
    new_spec = spec_of(events={"topic": "t"})
    different = [planned(other), planned(body, retry="1"), planned(body, new_spec)]
    assert len({same, *(made.fingerprint for made in different)}) == 4


def test_the_plan_refuses_in_words_that_help() -> None:
    made = plan(Deployment(deployment(container("c", "busybox:1.36"))), ask())
    assert made.refusal is not None
    assert str(made.refusal) == (
        "No container of Deployment model is known to run vLLM. "
        "Set spec.engine.container to the one that does: c."
    )


def test_a_manifest_that_was_never_applied_is_planned_too() -> None:
    body = deployment()
    del body["metadata"]["uid"]
    assert not any(operation["path"] == "/metadata/uid" for operation in planned(body).patch)
    assert reverted(configured(body)) == body


@pytest.mark.parametrize(
    ("current", "left"),
    [
        (["a", "x", "y"], ["a"]),
        (["x", "y", "a"], ["a"]),
        (["a", "y", "b", "x"], ["a", "b"]),
        (["a", "y"], ["a"]),
        (["a"], ["a"]),
        (["x", "a", "x", "y"], ["x", "a"]),
        ([], []),
    ],
)
def test_our_words_are_taken_out_wherever_they_are(current: list[str], left: list[str]) -> None:
    change = ListChange(("a",), ("a", "x", "y"), ("x", "y"))
    assert list(undo_list(tuple(current), change)) == left


def test_runs_of_words() -> None:
    assert contains_run(("a", "b", "c"), ("b", "c"))
    assert contains_run((), ())
    assert not contains_run(("a", "b", "c"), ("a", "c"))
    assert not contains_run(("a",), ("a", "a"))


def test_the_mark_names_the_object() -> None:
    assert configured(deployment())["metadata"]["annotations"][OWNER_MARK] == str(OWNER)
