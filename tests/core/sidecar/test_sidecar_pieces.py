"""Lists with and without the sidecar; a StormService's roles; who may hold such a list as one thing."""

import copy
from typing import Any

import pytest

from core.objects import OWNER, Json, ask, container, deployment, planned, reason_of, spec_of
from kvsync.core.ownership import Field, holders, written_fields
from kvsync.core.patch import apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.planned import Outcome
from kvsync.model.record import OWNER_ANNOTATION
from kvsync.model.relay import RelayForm, RelayMeans
from kvsync.model.storm import StormService
from kvsync.model.workload import Deployment
from model.storms import role, router, storm

ALWAYS = spec_of(events={"relay": {"mode": "Always"}})
PLAIN = RelayMeans("own:1", RelayForm.PLAIN)


def relayed(body: Json, **more: Any) -> Json:
    made = planned(body, ALWAYS, **more)
    assert made.outcome is Outcome.CHANGE, made.refusal
    after: Json = copy.deepcopy(apply(body, made.patch))
    return after


def spec(body: Json) -> Json:
    found: Json = body["spec"]["template"]["spec"]
    return found


def test_it_comes_first_among_the_init_containers_and_last_among_the_others() -> None:
    download = {"name": "download", "image": "busybox"}
    body = deployment(container(), container("proxy", "envoy"), initContainers=[download])
    native = spec(relayed(body))
    assert [each["name"] for each in native["initContainers"]] == ["kvsync-relay", "download"]
    assert native["initContainers"][0]["restartPolicy"] == "Always"
    plain = spec(relayed(body, relays=PLAIN))
    assert [each["name"] for each in plain["containers"]] == ["vllm", "proxy", "kvsync-relay"]
    assert "restartPolicy" not in plain["containers"][2]
    assert plain["initContainers"] == [download]


def test_it_asks_for_no_rights_and_keeps_no_pod_from_service() -> None:
    (sidecar,) = spec(relayed(deployment()))["initContainers"]
    security = sidecar["securityContext"]
    assert (security["runAsNonRoot"], security["readOnlyRootFilesystem"]) == (True, True)
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not sidecar.keys() & {"readinessProbe", "startupProbe", "command", "env"}
    assert sidecar["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": 5656}


def test_an_owner_who_moved_it_or_uses_its_volume_loses_nothing() -> None:
    body = relayed(deployment())
    (moved,) = spec(body).pop("initContainers")
    spec(body)["containers"].insert(0, moved)
    mount = {"name": "kvsync-relay", "mountPath": "/x"}
    spec(body)["containers"][1]["volumeMounts"] = [mount]
    after = spec(apply(body, plan_undo(Deployment(body))))
    assert [each["name"] for each in after["containers"]] == ["vllm"]
    assert [each["name"] for each in after["volumes"]] == ["kvsync-relay"]


def test_a_relay_that_was_placed_by_hand_is_not_taken_for_ours() -> None:
    own = {"name": "kvsync-relay", "image": "x", "args": ["relay"], "restartPolicy": "Always"}
    body = deployment(initContainers=[own])
    body["metadata"]["annotations"] = {OWNER_ANNOTATION: str(OWNER)}
    assert spec(apply(body, plan_undo(Deployment(body))))["initContainers"] == [own]


@pytest.mark.parametrize(
    "more",
    [
        {"initContainers": [{"name": "kvsync-relay", "image": "x"}]},
        {"volumes": [{"name": "kvsync-relay", "emptyDir": {}}]},
    ],
)
def test_a_name_that_is_taken_is_refused(more: Json) -> None:
    made = planned(deployment(**more), ALWAYS)
    assert reason_of(made) == "RelayNameTaken"
    assert planned(deployment(**more)).outcome is Outcome.CHANGE


def test_each_engine_of_a_storm_service_has_its_own() -> None:
    body = storm(role("prefill", replicas=2), role("decode"), router())
    made = plan(StormService(body), ask(ALWAYS))
    after = apply(body, made.patch)
    found = {
        each["name"]: [c["name"] for c in spec({"spec": each}).get("initContainers", [])]
        for each in after["spec"]["template"]["spec"]["roles"]
    }
    assert found == {"prefill": ["kvsync-relay"], "decode": ["kvsync-relay"], "router": []}
    assert plan(StormService(after), ask(ALWAYS, at=2_000)).outcome is Outcome.UNCHANGED
    assert apply(after, plan_undo(StormService(after))) == body
    assert apply(after, made.undo) == body


def test_what_is_written_is_told() -> None:
    body = deployment()
    live, target = Deployment(body), Deployment(relayed(body))
    titles = [field.title for field in written_fields(live, target)]
    assert titles[:3] == [
        "args of container vllm",
        "container kvsync-relay",
        "volume kvsync-relay",
    ]
    assert [f.title for f in written_fields(target, live)][:3] == titles[:3]
    plain = Deployment(relayed(body, relays=PLAIN))
    assert "container kvsync-relay" in [f.title for f in written_fields(live, plain)]


@pytest.mark.parametrize(("held", "expected"), [({}, True), ({'k:{"name":"x"}': {}}, False)])
def test_only_a_list_that_is_held_as_one_thing_takes_ours_away(held: Json, expected: bool) -> None:
    path = ("f:spec", "f:template", "f:spec", "f:initContainers")
    field = Field("container kvsync-relay", path, item=True)
    fields = {"f:spec": {"f:template": {"f:spec": {"f:initContainers": held}}}}
    entry = {"manager": "helm", "operation": "Apply", "fieldsV1": fields}
    ours = deployment()
    ours["metadata"]["managedFields"] = [entry]
    assert holders(Deployment(ours), field) == (), "Kubernetes merges the lists of its own kinds"
    roles = {'k:{"name":"prefill"}': {"f:template": fields["f:spec"]["f:template"]}}
    nested = {"f:spec": {"f:template": {"f:spec": {"f:roles": roles}}}}
    body = storm(role("prefill"))
    body["metadata"]["managedFields"] = [{**entry, "fieldsV1": nested}]
    (prefill,) = StormService(body).roles
    assert bool(holders(prefill, field)) is expected
