"""The world: what a pass sees, and whose pass a change is."""

from typing import Any

import pytest

from kvsync.core.desired import EVENTS_LABEL
from kvsync.core.gateway_access import parse_grant
from kvsync.core.pod_labels import MARK
from kvsync.model.decision import Kind
from kvsync.model.gateway_log import GatewayReading, Start
from kvsync.model.observed import KVEventSync
from kvsync.model.spec import KVEventSyncSpec
from kvsync.shell.settings import Settings
from kvsync.shell.world import Heard, Key, World
from model.storms import pod as storm_pod
from model.storms import storm

Json = dict[str, Any]


def deployment(name: str, namespace: str = "default", *, version: int = 1, **more: Any) -> Json:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", **more}
    metadata["resourceVersion"] = str(version)
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": []}}}}


def pod(name: str, replica_set: str, template_hash: str) -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "labels": {"pod-template-hash": template_hash},
            "ownerReferences": [{"kind": "ReplicaSet", "name": replica_set}],
        }
    }


def sync(name: str = "kv", namespace: str = "default", **spec: Any) -> Json:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    return {"metadata": metadata, "spec": {"models": {"names": ["m"]}, **spec}}


def world(*deployments: Json, settings: Settings | None = None) -> World:
    by_key = {(d["metadata"]["namespace"], d["metadata"]["name"]): d for d in deployments}
    return World(settings or Settings(), by_key, {})


def stormy(*storms: Json, deployments: tuple[Json, ...] = (), pods: tuple[Json, ...] = ()) -> World:
    """A world with these StormServices, and the pods of their RoleSets."""
    by_key = {(s["metadata"]["namespace"], s["metadata"]["name"]): s for s in storms}
    made = {("default", each["metadata"]["name"]): each for each in pods}
    known = {(d["metadata"]["namespace"], d["metadata"]["name"]): d for d in deployments}
    seen = World(Settings(), known, {}, by_key, made)
    for key, each in made.items():
        seen.pod_changed(key, each)
    return seen


def models_of(seen: World, body: Json) -> list[tuple[str, bool, str]]:
    """What is observed: name, whether selected, and the kind."""
    return [
        (m.name, m.selected, type(m.deployment).__name__ if m.deployment else "")
        for m in observe(seen, body).models
    ]


def observe(seen: World, body: Json, kinds: dict[Key, str] | None = None) -> Any:
    spec = KVEventSyncSpec.from_manifest(body["spec"])
    return seen.observe(KVEventSync(body), spec, Heard({}, {}, kinds or {}), now=0.0)


def test_our_own_write_is_seen_before_the_watch_tells_of_it() -> None:
    seen = world(deployment("m", version=5))
    seen.note_written("Deployment", deployment("m", version=7, annotations={"ours": "1"}))
    found = seen.deployment("default", "m")
    assert found is not None
    assert found.annotations == {"ours": "1"}


def test_a_newer_watch_wins_over_our_own_write_for_good() -> None:
    watched = deployment("m", version=9)
    seen = world(watched)
    seen.note_written("Deployment", deployment("m", version=7, annotations={"ours": "1"}))
    found = seen.deployment("default", "m")
    assert found is not None
    assert found.annotations == {}


def test_a_write_to_a_deployment_that_was_recreated_is_forgotten() -> None:
    seen = world(deployment("m", version=5))
    other = deployment("m", version=99)
    other["metadata"]["uid"] = "another"
    seen.note_written("Deployment", other)
    found = seen.deployment("default", "m")
    assert found is not None
    assert found.uid == "uid-m"


@pytest.mark.parametrize("kind", [Kind.SYNC, Kind.DEPLOYMENT, Kind.STORM_SERVICE, Kind.POD])
def test_nothing_is_kept_of_what_is_gone_before_our_write_is_answered(kind: Kind) -> None:
    seen = world()
    body = pod("m-abc-1", "m-abc", "abc") if kind is Kind.POD else deployment("m", version=7)
    seen.note_written(kind, body)
    assert (seen._written, seen._relabelled) == ({}, {})
    # A list from before that write is old all the same.
    assert seen.newest_object == (7 if kind is Kind.SYNC else 0)


def test_nothing_is_kept_of_pods_that_outlive_their_deployment_and_go() -> None:
    seen = world(deployment("m"))
    key = ("default", "m-abc-1")
    seen.pod_changed(key, pod("m-abc-1", "m-abc", "abc"))
    seen.workload_gone("default", "m")
    seen.pod_changed(key, pod("m-abc-1", "m-abc", "abc"))
    seen.pod_changed(key, None)
    assert (seen._pods_of, seen._maker_of) == ({}, {})


def test_resource_versions_are_compared_as_numbers() -> None:
    seen = world(deployment("m", version=9))
    seen.note_written("Deployment", deployment("m", version=10, annotations={"ours": "1"}))
    found = seen.deployment("default", "m")
    assert found is not None
    assert found.annotations == {"ours": "1"}


def test_pods_are_found_by_the_replica_set_that_made_them() -> None:
    pods: dict[tuple[str, str], Json] = {}
    seen = World(Settings(), {}, pods)
    for name, owner, digest in (("m-1-a", "m-1", "1"), ("m-x-2-b", "m-x-2", "2")):
        pods["default", name] = pod(name, owner, digest)
        seen.pod_changed(("default", name), pods["default", name])
    assert [p.name for p in seen.pods("default", "m")] == ["m-1-a"]
    assert [p.name for p in seen.pods("default", "m-x")] == ["m-x-2-b"]
    del pods["default", "m-1-a"]
    assert seen.pod_changed(("default", "m-1-a"), None) == "m"
    assert seen.pods("default", "m") == ()


def test_a_pod_that_only_claims_the_name_belongs_to_nobody() -> None:
    stranger = pod("m-1-a", "m-1", "2")
    assert World(Settings(), {}, {}).pod_changed(("default", "m-1-a"), stranger) == ""


def test_a_change_concerns_objects_of_its_namespace_and_those_whose_gateway_it_is() -> None:
    seen = world()
    gateway = {"namespace": "aibrix-system", "deployment": "gw"}
    seen.syncs["a", "one"] = sync("one", "a", gateway=gateway)
    seen.syncs["b", "two"] = sync("two", "b", gateway=gateway)
    seen.syncs["c", "three"] = sync("three", "c", gateway={**gateway, "deployment": "other"})
    assert list(seen.concerned("a", "m")) == [("a", "one")]
    assert list(seen.concerned("aibrix-system", "gw")) == [("a", "one"), ("b", "two")]


def test_a_deployment_that_is_no_longer_selected_but_marked_is_still_observed() -> None:
    marked = deployment("old", annotations={"kvsync.aibrix.ai/owner": "default/kv/uid-kv"})
    foreign = deployment("not-ours", annotations={"kvsync.aibrix.ai/owner": "default/kv/other"})
    observed = observe(world(marked, foreign, deployment("m")), sync())
    assert [(m.name, m.selected) for m in observed.models] == [("m", True), ("old", False)]


def test_a_named_model_without_deployment_is_observed_as_missing() -> None:
    observed = observe(world(), sync())
    assert [(m.name, m.deployment) for m in observed.models] == [("m", None)]


def test_a_named_storm_service_is_a_model_with_the_pods_of_its_role_sets() -> None:
    pods = (storm_pod("m-b", "m", "decode"), storm_pod("m-a", "m", "prefill"))
    other = storm_pod("n-a", "n", "decode")
    seen = stormy(storm(name="m"), storm(name="n"), pods=(*pods, other))
    (model,) = observe(seen, sync()).models
    assert (model.name, model.selected) == ("stormservice/m", True)
    assert model.deployment.title == "StormService m"
    assert [pod.name for pod in model.pods] == ["m-a", "m-b"]


def test_a_storm_service_is_selected_by_its_own_labels() -> None:
    selector: Json = {"models": {"selector": {"matchLabels": {"kv": "wanted"}}}}
    wanted = storm(name="a", labels={"kv": "wanted"})
    seen = stormy(wanted, storm(name="b"), storm(name="c", labels={"kv": "no"}))
    assert models_of(seen, sync(**selector)) == [("stormservice/a", True, "StormService")]


def test_a_deployment_and_a_storm_service_of_one_name_are_both_meant() -> None:
    seen = stormy(storm(name="m"), deployments=(deployment("m"),))
    assert models_of(seen, sync()) == [
        ("m", True, "Deployment"),
        ("stormservice/m", True, "StormService"),
    ]


def test_a_storm_service_of_another_namespace_is_no_model() -> None:
    seen = stormy(storm(name="m") | {"metadata": {"name": "m", "namespace": "b", "uid": "u"}})
    assert models_of(seen, sync()) == [("m", True, "")]


def test_a_storm_service_is_observed_until_it_is_free_of_us() -> None:
    owned = storm(name="a", annotations={"kvsync.aibrix.ai/owner": "default/kv/uid-kv"})
    held = storm(
        name="b",
        managedFields=[
            {"manager": "kvsync-operator", "operation": "Update", "fieldsV1": {"f:spec": {}}}
        ],
    )
    seen = stormy(owned, held, storm(name="c"), deployments=(deployment("m"),))
    assert models_of(seen, sync()) == [
        ("m", True, "Deployment"),
        ("stormservice/a", False, "StormService"),
        ("stormservice/b", False, "StormService"),
    ]


def test_our_own_write_of_a_storm_service_is_seen_at_once_and_forgotten_with_it() -> None:
    seen = stormy(storm(name="m", resourceVersion="5"), deployments=(deployment("m", version=5),))
    seen.note_written("StormService", storm(name="m", resourceVersion="7", annotations={"a": "b"}))
    found = seen.workload("default", "stormservice/m")
    assert found is not None
    assert found.annotations == {"a": "b"}
    kept = seen.workload("default", "m")
    assert kept is not None
    assert kept.annotations == {}, "a Deployment of that name is another object"
    seen.workload_gone("default", "stormservice/m")
    found = seen.workload("default", "stormservice/m")
    assert found is not None
    assert found.annotations == {}


def test_a_pod_belongs_to_what_made_it_whatever_its_labels_say() -> None:
    """It is in both watches, and stays in one when its label goes."""
    both = pod("m-1-a", "m-1", "1")
    both["metadata"]["labels"]["storm-service-name"] = "s"
    key = ("default", "m-1-a")
    stormy_pods = {key: both}
    seen = World(Settings(), {}, {key: both}, {}, stormy_pods)
    assert seen.pod_changed(key, both) == seen.pod_changed(key, both) == "m"
    assert [p.name for p in seen.pods("default", "m")] == ["m-1-a"]
    del stormy_pods[key]
    assert seen.pod_changed(key, None) == "m"
    assert [p.name for p in seen.pods("default", "m")] == ["m-1-a"]


def test_a_pod_whose_labels_name_another_maker_leaves_the_first() -> None:
    seen = stormy(pods=(storm_pod("a", "m", "decode"),))
    moved = storm_pod("a", "n", "decode")
    assert seen.pod_changed(("default", "a"), moved) == "stormservice/n"
    assert seen.pods("default", "stormservice/m") == ()


def test_a_storm_service_is_no_gateway() -> None:
    seen = stormy()
    seen.syncs["a", "one"] = sync("one", "a", gateway={"namespace": "b", "deployment": "gw"})
    assert list(seen.concerned("b", "stormservice/gw")) == []
    assert list(seen.concerned("a", "stormservice/gw")) == [("a", "one")]


def test_a_name_of_another_kind_is_told_while_there_is_no_workload_of_it() -> None:
    kinds = {("default", "m"): "StatefulSet", ("other", "m"): "PodSet"}
    (model,) = observe(world(), sync(), kinds).models
    assert (model.deployment, model.other_kind) == (None, "StatefulSet")
    (model,) = observe(world(deployment("m")), sync(), kinds).models
    assert (model.deployment.name, model.other_kind) == ("m", "")


def test_who_lives_is_who_was_listed_or_told_of_and_is_not_gone() -> None:
    seen = world()
    seen.note_listed(sync("a"))
    seen.note_listed(sync("b", "other"))
    seen.syncs["default", "c"] = sync("c")
    assert observe(seen, sync()).living == {"uid-a", "uid-c"}
    seen.sync_gone(("default", "a"))
    seen.sync_gone(("default", "c"))
    assert observe(seen, sync()).living == set()


def labelled_pod(uid: str = "uid-kv") -> Json:
    found = pod("m-abc-1", "m-abc", "abc")
    found["metadata"]["labels"] |= {MARK: uid, EVENTS_LABEL: "true"}
    return found


def with_pod(body: Json) -> World:
    key = ("default", body["metadata"]["name"])
    seen = World(Settings(), {("default", "m"): deployment("m")}, {key: body})
    seen.pod_changed(key, body)
    return seen


def test_labels_that_we_wrote_are_seen_before_the_watch_tells() -> None:
    plain, written = pod("m-abc-1", "m-abc", "abc"), labelled_pod()
    seen = with_pod(plain)
    seen.note_written(Kind.POD, written)
    assert seen.pods("default", "m")[0].labels[EVENTS_LABEL] == "true"
    seen.pod_changed(("default", "m-abc-1"), plain)
    assert EVENTS_LABEL not in seen.pods("default", "m")[0].labels, "the watch knows better"


def test_labels_of_a_pod_that_is_gone_are_not_those_of_the_next() -> None:
    written, plain = labelled_pod(), pod("m-abc-1", "m-abc", "abc")
    written["metadata"]["uid"] = "uid-of-the-one-before"
    seen = with_pod(plain)
    seen.note_written(Kind.POD, written)
    assert EVENTS_LABEL not in seen.pods("default", "m")[0].labels


def test_a_model_whose_pods_we_labelled_is_looked_at_until_they_are_free() -> None:
    body = sync(models={"names": ["other"]})
    seen = with_pod(labelled_pod())
    assert [m.name for m in observe(seen, body).models] == ["m", "other"]
    seen.pod_changed(("default", "m-abc-1"), labelled_pod("uid-of-another"))
    assert [m.name for m in observe(seen, body).models] == ["other"]


def test_a_gateway_is_seen_with_its_pods_and_what_the_named_container_logs() -> None:
    gateway = deployment("g", "aibrix")
    pods = {("aibrix", name): pod(name, "g-1", "1") for name in ("g-1-a", "g-1-b")}
    for each in pods.values():
        each["metadata"]["namespace"] = "aibrix"
    body = sync(gateway={"namespace": "aibrix", "deployment": "g", "container": "plugin"})
    said = GatewayReading(start=Start.INITIALIZED)
    logs = {("uid-g-1-a", "plugin"): said, ("uid-g-1-b", "envoy"): GatewayReading()}
    for gateways, names, readings in (
        (("aibrix/*=*",), ["g-1-a", "g-1-b"], {"uid-g-1-a": said}),
        (("aibrix/another=*",), [], {}),
    ):
        settings = Settings(gateways=tuple(map(parse_grant, gateways)))
        seen = World(settings, {("aibrix", "g"): gateway}, pods)
        for key, each in pods.items():
            seen.pod_changed(key, each)
        spec = KVEventSyncSpec.from_manifest(body["spec"])
        found = seen.observe(KVEventSync(body), spec, Heard({}, {}, {}, logs=logs), now=0.0).gateway
        assert found.permitted == bool(names)
        assert [each.name for each in found.pods] == names
        assert found.readings == readings


GATEWAY = ("aibrix-system", "aibrix-gateway-plugins")
WATCHER = ("aibrix-system", "kvcache-watcher")
BESIDE = {"namespace": GATEWAY[0], "deployment": GATEWAY[1], "alsoConfigure": [WATCHER[1]]}
OWNERS = "kvsync.aibrix.ai/owners"


OPEN = parse_grant("*/*=*")


def reader(key: Key, *marks: str, **more: Any) -> Json:
    return deployment(key[1], key[0], annotations={OWNERS: ",".join(marks)}, **more)


def test_what_is_configured_beside_the_gateway_is_seen_and_concerns_the_object() -> None:
    seen = world(reader(GATEWAY), reader(WATCHER), settings=Settings(gateways=(OPEN,)))
    seen.syncs["default", "kv"] = body = sync(gateway=BESIDE)
    (also,) = observe(seen, body).gateway.also
    assert (also.name, also.permitted, also.deployment.name) == (WATCHER[1], True, WATCHER[1])
    assert list(seen.concerned(*WATCHER)) == [("default", "kv")]
    assert list(seen.concerned("elsewhere", WATCHER[1])) == []


def test_what_is_configured_beside_the_gateway_needs_leave_of_its_own() -> None:
    settings = Settings(gateways=(parse_grant("*/aibrix-*=*"),))
    seen = world(reader(GATEWAY), reader(WATCHER), settings=settings)
    found = observe(seen, sync(gateway=BESIDE)).gateway
    assert found.permitted
    (also,) = found.also
    assert (also.permitted, also.deployment) == (False, None)
    assert "do not name Deployment aibrix-system/kvcache-watcher" in also.denial


def test_what_it_does_not_name_any_more_is_a_stray() -> None:
    settings = Settings(gateways=(OPEN,))
    readers = (reader(GATEWAY, "default/kv"), reader(WATCHER, "default/kv"))
    seen = world(*readers, settings=settings)
    beside = observe(seen, sync(gateway=BESIDE))
    alone = observe(seen, sync(gateway={**BESIDE, "alsoConfigure": []}))
    assert [each.name for each in beside.strays] == []
    assert [each.name for each in alone.strays] == [WATCHER[1]]


def test_marks_of_objects_that_do_not_exist_are_known_to_be_gone() -> None:
    marks = ("default/kv", "default/listed", "default/gone", "far/gone")
    body = sync(gateway=BESIDE)
    for namespaces, gone in (
        ((), {"default/gone", "far/gone"}),
        (("default",), {"default/gone"}),
    ):
        settings = Settings(namespaces=namespaces, gateways=(OPEN,))
        seen = world(reader(GATEWAY, *marks), reader(WATCHER), settings=settings)
        seen.syncs["default", "kv"] = body
        seen.note_listed(sync("listed"))
        assert observe(seen, body).gateway.gone == gone
        assert {each.name for each in seen.marked()} == {GATEWAY[1]}


def claimant(name: str, created: str, **spec: Any) -> Json:
    body = sync(name, **spec)
    body["metadata"] |= {"creationTimestamp": created, "generation": 1}
    return body


def rivals_of(seen: World, body: Json) -> list[str]:
    (found,) = observe(seen, body).models
    return [rival.owner.name for rival in found.rivals]


def test_who_else_selects_a_model_is_known_the_oldest_first() -> None:
    seen = world(deployment("m", labels={"app": "m"}))
    selector = {"selector": {"matchLabels": {"app": "m"}}}
    others = [
        claimant("young", "2026-01-03T00:00:00Z"),
        claimant("by-label", "2026-01-01T00:00:00Z", models=selector),
        claimant("paused", "2026-01-01T00:00:00Z", paused=True),
        claimant("elsewhere", "2026-01-01T00:00:00Z", models={"names": ["n"]}),
        claimant("broken", "2026-01-01T00:00:00Z", models={}),
    ]
    leaving = claimant("leaving", "2026-01-01T00:00:00Z")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-04T00:00:00Z"
    mine = claimant("kv", "2026-01-02T00:00:00Z")
    for body in (*others, leaving, mine):
        seen.note_object(("default", body["metadata"]["name"]), body)
    assert rivals_of(seen, mine) == ["by-label", "young"]


def test_a_changed_spec_is_read_anew() -> None:
    seen = world(deployment("m"))
    mine, other = claimant("kv", ""), claimant("other", "")
    for body in (mine, other):
        seen.note_object(("default", body["metadata"]["name"]), body)
    assert rivals_of(seen, mine) == ["other"]
    changed = claimant("other", "", models={"names": ["n"]})
    seen.note_object(("default", "other"), changed)
    assert rivals_of(seen, mine) == []
    seen.note_object(("default", "other"), other)
    seen.sync_gone(("default", "other"))
    assert rivals_of(seen, mine) == []


def test_only_news_of_a_claim_concerns_the_others() -> None:
    seen, key = world(), ("default", "kv")
    body = claimant("kv", "")
    assert seen.note_object(key, body)
    assert not seen.note_object(key, {**body, "status": {"modelsTotal": 1}})
    for field, value in (("generation", 2), ("deletionTimestamp", "x"), ("finalizers", ["f"])):
        assert seen.note_object(key, {**body, "metadata": {**body["metadata"], field: value}})


def test_what_the_status_says_is_being_taken_back_stays_in_view() -> None:
    seen = world(deployment("m"), deployment("left"), deployment("other"))
    body = {**sync(), "status": {"wave": {"current": ["left"]}}}
    assert models_of(seen, body) == [("left", False, "Deployment"), ("m", True, "Deployment")]
