"""Whom a change concerns: whoever would see another world by it is looked at, and not everybody."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.kube.by_namespace import ByNamespace
from kvsync.core.pod_labels import MARK
from kvsync.model.observed import KVEventSync
from kvsync.model.record import FIELD_MANAGER, OWNER_ANNOTATION
from kvsync.model.spec import KVEventSyncSpec
from kvsync.shell.settings import Settings
from kvsync.shell.world import Heard, World

Json = dict[str, Any]
Key = tuple[str, str]

MODELS, PODS, OBJECTS, TEAMS = ("m", "n", "o"), ("p", "q"), ("k1", "k2", "k3"), ("x", "y")
SPECS: tuple[Json, ...] = (
    {"names": ["m"]},
    {"names": ["n", "o"]},
    {"selector": {"matchLabels": {"team": "x"}}},
    {"selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
    {"selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}]}},
    {"names": ["m"], "selector": {"matchLabels": {"team": "y"}}},
)


def workload(name: str, team: str, owner: str, held: bool) -> Json:
    metadata: Json = {"name": name, "namespace": "a", "uid": f"uid-{name}", "resourceVersion": "1"}
    if team:
        metadata["labels"] = {"team": team}
    if owner:
        metadata["annotations"] = {OWNER_ANNOTATION: f"a/kv/{owner}"}
    if held:
        entry = {"manager": FIELD_MANAGER, "operation": "Update", "fieldsV1": {"f:spec": {}}}
        metadata["managedFields"] = [entry]
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": []}}}}


def pod(name: str, model: str, mark: str) -> Json:
    labels = {"pod-template-hash": "1", **({MARK: mark} if mark else {})}
    metadata: Json = {"name": name, "namespace": "a", "uid": f"uid-{name}", "labels": labels}
    metadata["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"{model}-1"}]
    return {"metadata": metadata}


def sync(name: str, models: Json, current: list[str]) -> Json:
    metadata = {"name": name, "namespace": "a", "uid": f"uid-{name}", "generation": 1}
    return {
        "metadata": metadata,
        "spec": {"models": models},
        "status": {"wave": {"current": current}},
    }


class Cluster:
    """A world of one namespace, and who was told that something changed."""

    def __init__(self, specs: list[Json], current: list[str]) -> None:
        self.deployments: ByNamespace[Json] = ByNamespace()
        self.pods: ByNamespace[Json] = ByNamespace()
        self.world = World(Settings(), self.deployments, self.pods)
        for name, models in zip(OBJECTS, specs, strict=True):
            self.world.note_object(("a", name), sync(name, models, current))
        self.woken: set[Key] = {("a", name) for name in OBJECTS}
        self.seen: dict[Key, Any] = {}

    def look(self, key: Key) -> Any:
        seen = self.world.sync(key)
        assert seen is not None
        spec = KVEventSyncSpec.from_manifest(seen.body["spec"])
        observed = self.world.observe(KVEventSync(seen.body), spec, Heard({}, {}, {}), 0.0)
        return observed.models, observed.strays, observed.revoked

    def change_workload(self, name: str, body: Json | None) -> None:
        put(self.deployments, ("a", name), body)
        if body is None:
            self.world.workload_gone("a", name)
        self.woken |= set(self.world.concerned("a", name))

    def change_pod(self, name: str, body: Json | None) -> None:
        put(self.pods, ("a", name), body)
        before = self.world.maker_of(("a", name))
        for model in {before, self.world.pod_changed(("a", name), body)} - {""}:
            self.woken |= set(self.world.concerned("a", model))


def put(store: ByNamespace[Json], key: Key, body: Json | None) -> None:
    if body is not None:
        store.put(key, body)
    elif key in store:
        store.drop(key)


uids = st.sampled_from(["", *(f"uid-{name}" for name in OBJECTS)])
teams = st.sampled_from(["", *TEAMS])
of_workloads = st.sampled_from(MODELS).flatmap(
    lambda name: st.tuples(
        st.just("workload"),
        st.just(name),
        st.none() | st.builds(workload, st.just(name), teams, uids, st.booleans()),
    )
)
of_pods = st.sampled_from(PODS).flatmap(
    lambda name: st.tuples(
        st.just("pod"),
        st.just(name),
        st.none() | st.builds(pod, st.just(name), st.sampled_from(MODELS), uids),
    )
)
passes = st.tuples(st.just("pass"), st.sampled_from(OBJECTS), st.none())


@given(
    st.lists(st.sampled_from(SPECS), min_size=3, max_size=3),
    st.lists(st.sampled_from(MODELS), max_size=1),
    st.lists(of_workloads | of_pods | passes, max_size=15),
)
def test_who_was_not_told_sees_what_it_saw(
    specs: list[Json], current: list[str], steps: list[tuple[str, str, Json | None]]
) -> None:
    cluster = Cluster(specs, current)
    for what, name, body in steps:
        match what:
            case "workload":
                cluster.change_workload(name, body)
            case "pod":
                cluster.change_pod(name, body)
            case _:
                cluster.seen["a", name] = cluster.look(("a", name))
                cluster.woken.discard(("a", name))
        for key, seen in cluster.seen.items():
            assert key in cluster.woken or cluster.look(key) == seen


def test_a_pod_of_one_object_is_no_news_to_another() -> None:
    cluster = Cluster([{"names": ["m"]}, {"names": ["n"]}, {"names": ["o"]}], [])
    for name in OBJECTS:
        cluster.look(("a", name))
    cluster.woken.clear()
    cluster.change_workload("m", workload("m", "", "", held=False))
    cluster.change_pod("p", pod("p", "m", ""))
    assert cluster.woken == {("a", "k1")}


def test_a_pod_that_changes_hands_concerns_both() -> None:
    cluster = Cluster([{"names": ["m"]}, {"names": ["n"]}, {"names": ["o"]}], [])
    cluster.change_pod("p", pod("p", "m", ""))
    for name in OBJECTS:
        cluster.look(("a", name))
    cluster.woken.clear()
    cluster.change_pod("p", pod("p", "n", ""))
    assert cluster.woken == {("a", "k1"), ("a", "k2")}
