"""For each promise a history that keeps it, and one that breaks it, which the oracle names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chaos.history import (
    DEPLOYMENTS,
    SYNCS,
    Change,
    Edit,
    History,
    Key,
    Version,
    annotated,
    labelled,
    scaled,
    with_argument,
    with_variable,
)
from chaos.judgement import Stage, broken, differences, rollouts
from chaos.lease import strange_writes
from chaos.truth import untrue_statuses
from testbed.api import Object
from testbed.audit import Request

CONFIG = '--kv-events-config={"enable_kv_cache_events":true}'
FLAG = "AIBRIX_KV_EVENT_SYNC_ENABLED"
SYNC: Key = (SYNCS, "ns", "kv")
GATEWAY: Key = (DEPLOYMENTS, "aibrix-system", "gateway")
STAGE = Stage("ns", ("gateway", "aibrix-system"))


def m(name: str = "m") -> Key:
    return (DEPLOYMENTS, "ns", name)


def deployment(key: Key, *args: str, env: dict[str, str] | None = None) -> Object:
    container = {
        "name": "main",
        "args": list(args),
        "env": [{"name": k, "value": v} for k, v in (env or {}).items()],
    }
    return {
        "metadata": {"name": key[2], "namespace": key[1], "generation": 1, "annotations": {}},
        "spec": {"replicas": 1, "template": {"metadata": {}, "spec": {"containers": [container]}}},
        "status": {
            "observedGeneration": 1,
            **dict.fromkeys(("updatedReplicas", "availableReplicas", "replicas"), 1),
        },
    }


def sync_of(*names: str) -> Object:
    metadata = {"name": "kv", "namespace": "ns", "generation": 1}
    return {"metadata": metadata, "spec": {"models": {"names": list(names)}}}


class Story:
    """Writes a history: each call is one revision."""

    def __init__(self, *models: str) -> None:
        self.versions: list[Version] = []
        self.edits: list[Edit] = []
        self.now: dict[Key, Object] = {}
        for key in [*map(m, models or ("m",)), GATEWAY]:
            self._write(key, deployment(key, env={FLAG: "false"} if key == GATEWAY else None))

    def _write(self, key: Key, body: Object | None) -> int:
        revision = len(self.versions) + 1
        if body is None:
            self.now.pop(key)
        else:
            self.now[key] = body
        self.versions.append(Version(key, revision, copy.deepcopy(body)))
        return revision

    def change(self, key: Key, how: Callable[[Object], None]) -> int:
        """Someone who is no user changes an object; another template is not rolled out yet."""
        before = self.now[key]
        body = copy.deepcopy(before)
        how(body)
        if body["spec"] != before["spec"]:
            body["metadata"]["generation"] += 1
        return self._write(key, body)

    def roll(self, key: Key) -> None:
        def done(body: Object) -> None:
            body["status"]["observedGeneration"] = body["metadata"]["generation"]

        self.change(key, done)

    def edit(self, key: Key, change: Change) -> None:
        self.edits.append(Edit(key, self.change(key, change), change))

    def configure(self, *names: str, rolled: bool = True) -> None:
        for name in names:
            self.change(m(name), with_argument(CONFIG))
            if rolled:
                self.roll(m(name))

    def restore(self, *names: str) -> None:
        for name in names:
            self.change(m(name), lambda body: container(body)["args"].remove(CONFIG))
            self.roll(m(name))

    def flag(self, value: str = "true") -> None:
        self.change(GATEWAY, with_variable(FLAG, value))
        self.roll(GATEWAY)

    def create_sync(self, *names: str) -> None:
        self._write(SYNC, sync_of(*names))

    def tell(self, *names: str, verified: int = 1, **told: Any) -> None:
        models = [{"name": n, "sources": {"total": 1, "verified": verified}} for n in names]
        conditions = [{"type": t, "status": "True"} for t in ("Ready", "GatewayConfigured")]
        counts = {"modelsTotal": len(names), "modelsReady": len(names)}
        status = {
            "observedGeneration": 1,
            "models": models,
            "conditions": conditions,
            "sources": {"total": len(names)},
            **counts,
            **told,
        }
        self.change(SYNC, lambda body: body.update(status=status))

    def delete_sync(self) -> None:
        self.change(SYNC, lambda body: body["metadata"].update(deletionTimestamp="now"))

    def sync_gone(self) -> None:
        self._write(SYNC, None)

    def told(self, stage: Stage = STAGE) -> list[str]:
        return broken(self.history(), stage)

    def history(self) -> History:
        return History(tuple(self.versions), tuple(self.edits))


def container(body: Object) -> Any:
    return body["spec"]["template"]["spec"]["containers"][0]


def enabled(*names: str) -> Story:
    names = names or ("m",)
    story = Story(*names)
    story.create_sync(*names)
    story.configure(*names)
    story.flag()
    story.tell(*names)
    return story


def undone(story: Story, *names: str) -> Story:
    story.delete_sync()
    story.flag("false")
    story.restore(*(names or ("m",)))
    story.sync_gone()
    return story


@pytest.mark.parametrize("names", [("m",), ("m", "n")])
def test_what_was_enabled_told_and_undone_breaks_nothing(names: tuple[str, ...]) -> None:
    story = enabled(*names)
    assert [*untrue_statuses(story.history(), GATEWAY)] == []
    stage = Stage("ns", STAGE.gateway, 1, dict.fromkeys((*names, "gateway"), 2))
    assert undone(story, *names).told(stage) == []
    assert rollouts(story.history()) == dict.fromkeys((*names, "gateway"), 2)


def test_a_user_that_edits_meanwhile_breaks_nothing() -> None:
    story = enabled()
    for change in (annotated("a", "1"), labelled("b", "2"), with_variable("LEVEL", "1"), scaled(2)):
        story.edit(m(), change)
    story.edit(m(), with_variable("LEVEL", "2"))
    story.edit(m(), with_argument("--max-model-len=8"))
    assert undone(story).told() == []
    assert rollouts(story.history())["m"] == 2, "a user's own rollouts are not ours"


def test_a_lost_edit_is_told() -> None:
    story = enabled()
    story.edit(m(), annotated("team", "search"))
    story.change(m(), lambda body: body["metadata"]["annotations"].pop("team"))
    assert any("user edit 1 of deployments ns/m is lost" in line for line in story.told())
    story.edit(m(), annotated("team", "search"))
    assert any("is lost" in line for line in story.told()), "coming back does not heal it"


def test_an_edit_that_is_lost_only_for_a_while_is_told() -> None:
    story = enabled()
    story.edit(m(), with_variable("LEVEL", "1"))
    story.change(m(), lambda body: container(body)["env"].pop())
    story.change(m(), with_variable("LEVEL", "1"))
    assert any("is lost" in line for line in story.told())


def test_an_inexact_undo_is_told() -> None:
    def leave_annotation(body: Object) -> None:
        body["metadata"]["annotations"]["kvsync.aibrix.ai/record"] = "{}"

    for spoil in (
        leave_annotation,
        lambda body: container(body).pop("args"),
        lambda body: body["spec"].update(replicas=3),
        labelled("left", "over"),
    ):
        for key in (m(), GATEWAY):
            story = undone(enabled())
            assert story.told() == []
            story.change(key, spoil)
            assert any("is not undone: /" in line and key[2] in line for line in story.told())


def test_a_users_edit_that_the_undo_takes_along_is_told() -> None:
    story = enabled()
    story.edit(m(), with_argument("--max-model-len=8"))
    undone(story)
    assert story.told() == []
    story.change(m(), lambda body: container(body).update(args=[]))
    assert any("is not undone" in line for line in story.told())


def test_the_controllers_own_annotation_is_not_asked_for() -> None:
    story = undone(enabled())
    story.change(m(), annotated("deployment.kubernetes.io/revision", "3"))
    assert story.told() == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: c["args"].append(CONFIG + " "), "2 event configurations"),
        (lambda c: c["args"].append("--enable-kv-cache-events"), "2 event configurations"),
        (lambda c: c.update(command=["sh", "-c", f"vllm {CONFIG}"]), "2 event configurations"),
        (lambda c: c["env"].extend([{"name": "A"}] * 2), "variable A 2 times"),
        (lambda c: c.update(ports=[{"containerPort": 5557}] * 2), "port 5557 2 times"),
    ],
)
def test_two_configurations_in_one_template_are_told(
    spoil: Callable[[Any], None], words: str
) -> None:
    story = enabled()
    assert story.told() == []
    story.change(m(), lambda body: spoil(container(body)))
    story.roll(m())
    assert any(words in line for line in story.told()), story.told()


def test_what_its_owner_had_twice_is_no_fault() -> None:
    story = Story()
    story.versions.clear()
    body = deployment(m())
    container(body)["env"] = [{"name": "A", "value": "1"}] * 2
    story._write(m(), body)
    story.change(m(), labelled("a", "1"))
    assert not any("times" in line for line in story.told())


def test_a_rollout_too_many_is_told() -> None:
    story = enabled()
    story.change(m(), with_variable("OURS", "1"))
    story.roll(m())
    assert story.told() == []
    stage = Stage("ns", STAGE.gateway, 1, {"m": 1})
    assert story.told(stage) == ["m was restarted 2 times, an undisturbed run does it 1 times"]


def test_more_models_than_allowed_at_once_are_told() -> None:
    story = Story("m", "n")
    story.create_sync("m", "n")
    story.configure("m", "n", rolled=False)
    assert any("m, n roll at once" in line for line in story.told())
    assert story.told(Stage("ns", STAGE.gateway, 2)) == []


def test_a_users_rollout_beside_ours_is_no_crowd() -> None:
    story = Story("m", "n")
    story.create_sync("m", "n")
    story.edit(m("n"), with_variable("LEVEL", "1"))
    story.configure("m", rolled=False)
    assert story.told() == []


@pytest.mark.parametrize("rolled", [True, False])
def test_a_flag_before_all_models_are_rolled_out_is_told(rolled: bool) -> None:
    story = Story("m", "n")
    story.create_sync("m", "n")
    story.configure("m")
    if not rolled:
        story.configure("n", rolled=False)
    story.flag()
    assert any("flag is on" in line and "n is not rolled out" in line for line in story.told())


def test_a_model_that_a_user_restarts_once_it_was_seen_does_not_take_the_flag_back() -> None:
    story = Story()
    story.create_sync("m")
    story.configure("m")
    story.edit(m(), with_variable("LEVEL", "1"))
    story.flag()
    story.tell("m")
    assert story.told() == []


def test_a_model_that_is_refused_is_not_waited_for() -> None:
    story = Story("m", "n")
    story.create_sync("m", "n")
    story.tell("m", models=[{"name": "n", "state": "Refused"}])
    story.configure("m")
    story.flag()
    story.tell("m", models=[{"name": "n", "state": "Refused"}, told("m")])
    assert story.told() == []


def told(name: str) -> Object:
    return {"name": name, "sources": {"total": 1, "verified": 1}}


def test_a_flag_behind_which_nobody_was_ever_verified_is_told() -> None:
    story = Story()
    story.create_sync("m")
    story.configure("m")
    story.flag()
    story.tell("m", verified=0)
    assert any("no status of kv ever said that m was verified" in line for line in story.told())
    story.tell("m")
    assert story.told() == []


def test_a_flag_that_is_still_on_when_a_model_is_taken_back_is_told() -> None:
    story = enabled()
    story.delete_sync()
    story.restore("m")
    assert any("the gateway's flag is still on" in line for line in story.told())


@pytest.mark.parametrize(("owners", "let_go"), [("ns/kv ns/other", False), ("ns/other", True)])
def test_a_flag_that_is_on_for_others_only_may_stay_on(owners: str, let_go: bool) -> None:
    story = enabled()
    other = sync_of("n")
    other["metadata"]["name"] = "other"
    story._write((SYNCS, "ns", "other"), other)
    story.delete_sync()
    story.change(GATEWAY, annotated("kvsync.aibrix.ai/owners", owners))
    story.restore("m")
    assert any("the gateway's flag is still on" in line for line in story.told()) is not let_go


def test_a_gateway_that_the_object_does_not_manage_may_have_its_flag() -> None:
    story = Story()
    story.create_sync("m")
    story.change(SYNC, lambda body: body["spec"].update(gateway={"manage": False}))
    story.edit(GATEWAY, with_variable(FLAG, "true"))
    story.configure("m")
    story.delete_sync()
    story.restore("m")
    story.sync_gone()
    assert story.told() == []


def not_rolled(story: Story) -> None:
    story.change(m(), with_variable("OURS", "1"))


def unconfigured(story: Story) -> None:
    story.restore("m")


def flag_off(story: Story) -> None:
    story.flag("false")


def lagging(story: Story) -> None:
    story.change(SYNC, lambda body: body["metadata"].update(generation=2))


def miscounted(story: Story) -> None:
    story.tell("m", sources={"total": 4})


def not_ready(story: Story) -> None:
    story.tell("m", conditions=[{"type": "Ready", "status": "False", "reason": "Idle"}])


def stuck(story: Story) -> None:
    story.delete_sync()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (not_rolled, "is Ready, and m is not rolled out"),
        (unconfigured, "is Ready, and m is not configured"),
        (flag_off, "the gateway's flag is off"),
        (flag_off, "says GatewayConfigured, and the flag is off"),
        (lagging, "speaks of generation 1, not of 2"),
        (miscounted, "counts 4 sources in all, there are 1"),
        (not_ready, "is not Ready (Idle"),
        (stuck, "it is deleted, and not gone"),
    ],
)
def test_an_untrue_status_is_told(spoil: Callable[[Story], None], words: str) -> None:
    story = enabled()
    spoil(story)
    found = [*untrue_statuses(story.history(), GATEWAY)]
    assert any(words in line for line in found), found


def test_an_object_that_is_not_to_be_ready_may_say_so() -> None:
    story = enabled()
    not_ready(story)
    assert [*untrue_statuses(story.history(), GATEWAY, ready=False)] == []


_times: Iterator[int] = iter(range(1, 10**6))


def asked(who: str, verb: str, resource: str, *, code: int = 200, early: int = 0) -> Request:
    """A request that took one second, or came so many earlier."""
    end = next(_times)
    name = "lease" if resource == "leases" else "m"
    return Request(
        verb=verb,
        group="",
        resource=resource,
        subresource="",
        namespace="ns",
        name=name,
        user="",
        user_agent=f"kvsync-operator/1 ({who})",
        code=code,
        audit_id="",
        uri="",
        received=f"{end - 1 - early:09}.5",
        answered=f"{end:09}",
    )


def test_only_the_holder_of_the_lease_writes() -> None:
    requests = [
        asked("a", "create", "leases"),
        asked("b", "get", "leases"),
        asked("a", "patch", "deployments"),
        asked("b", "update", "leases", code=409),
        asked("a", "patch", "deployments"),
        asked("b", "update", "leases"),
        asked("a", "patch", "deployments", early=2),
        asked("b", "patch", "deployments"),
    ]
    assert [*strange_writes(requests, ("lease", "ns"))] == []


def test_a_standby_that_writes_is_told() -> None:
    requests = [asked("a", "create", "leases"), asked("b", "patch", "deployments")]
    assert [*strange_writes(requests, ("lease", "ns"))] == [
        "b did patch deployments ns/m, and a holds the Lease"
    ]


def test_a_leader_that_lost_the_lease_and_writes_is_told() -> None:
    requests = [
        asked("a", "create", "leases"),
        asked("b", "update", "leases"),
        asked("a", "patch", "deployments"),
    ]
    assert len([*strange_writes(requests, ("lease", "ns"))]) == 1


def test_a_write_before_anybody_has_the_lease_is_told() -> None:
    assert len([*strange_writes([asked("a", "patch", "deployments")], ("lease", "ns"))]) == 1


def test_differences_name_the_place() -> None:
    assert [*differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]})] == ["/a/1/b is 3, was 2"]
    assert [*differences({"a": [1]}, {"a": []})] == ["/a is [], was [1]"]
    assert [*differences({"a": 1}, {"a": 1})] == []
