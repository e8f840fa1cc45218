"""The world: what a pass sees, and whose pass a change is."""

from typing import Any

from kvsync.model.observed import KVEventSync
from kvsync.model.spec import KVEventSyncSpec
from kvsync.shell.settings import Settings
from kvsync.shell.world import World

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


def observe(seen: World, body: Json) -> Any:
    spec = KVEventSyncSpec.from_manifest(body["spec"])
    return seen.observe(KVEventSync(body), spec, {}, {}, now=0.0)


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
    seen.syncs = {
        ("a", "one"): sync("one", "a", gateway=gateway),
        ("b", "two"): sync("two", "b", gateway=gateway),
        ("c", "three"): sync("three", "c", gateway={**gateway, "deployment": "other"}),
    }
    assert list(seen.concerned("a", "m")) == [("a", "one")]
    assert list(seen.concerned("aibrix-system", "gw")) == [("a", "one"), ("b", "two")]


def test_a_gateway_outside_the_settings_is_not_even_shown() -> None:
    gateway = {"namespace": "elsewhere", "deployment": "gw"}
    seen = world(deployment("gw", "elsewhere"), settings=Settings(gateways=("a/b",)))
    observed = observe(seen, sync(gateway=gateway))
    assert not observed.gateway.permitted
    assert observed.gateway.deployment is None


def test_a_gateway_pattern_may_match_any_part() -> None:
    settings = Settings(gateways=("aibrix-*/*-gateway-plugins",))
    assert settings.permits_gateway("aibrix-prod", "x-gateway-plugins")
    assert not settings.permits_gateway("kube-system", "x-gateway-plugins")


def test_a_deployment_that_is_no_longer_selected_but_marked_is_still_observed() -> None:
    marked = deployment("old", annotations={"kvsync.aibrix.ai/owner": "default/kv/uid-kv"})
    foreign = deployment("not-ours", annotations={"kvsync.aibrix.ai/owner": "default/kv/other"})
    observed = observe(world(marked, foreign, deployment("m")), sync())
    assert [(m.name, m.selected) for m in observed.models] == [("m", True), ("old", False)]


def test_a_named_model_without_deployment_is_observed_as_missing() -> None:
    observed = observe(world(), sync())
    assert [(m.name, m.deployment) for m in observed.models] == [("m", None)]


def test_a_gateway_that_carries_the_mark_but_is_no_longer_named_is_a_stray() -> None:
    marked = deployment(
        "old", "aibrix-system", annotations={"kvsync.aibrix.ai/owners": "default/kv"}
    )
    seen = world(marked, settings=Settings(gateways=("aibrix-system/*",)))
    observed = observe(seen, sync(gateway={"deployment": "new"}))
    assert [stray.name for stray in observed.strays] == ["old"]


def test_gateways_of_other_namespaces_are_watched_with_the_served_ones() -> None:
    assert Settings().watched is None
    settings = Settings(namespaces=("team",), gateways=("aibrix-system/gw",))
    assert settings.watched == ("aibrix-system", "team")
