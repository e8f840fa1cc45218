"""What the indexes of workloads and of claims find is what going through all of them would find."""

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.objects import deployment
from kvsync.adapters.kube.by_namespace import ByNamespace
from kvsync.model.decision import Kind
from kvsync.model.observed import KVEventSync
from kvsync.model.record import FIELD_MANAGER, OWNER_ANNOTATION
from kvsync.model.selector import LabelSelector, Operator, Requirement
from kvsync.model.spec import ModelSelection
from kvsync.model.workload import Deployment
from kvsync.shell.claims import Claims
from kvsync.shell.label_index import MAX_KEYS, LabelIndex
from kvsync.shell.roster import Roster
from kvsync.shell.traits import trait_of
from kvsync.shell.workload_index import WorkloadIndex

Json = dict[str, Any]
Key = tuple[str, str]

SPACES, NAMES, UIDS = ("a", "b"), ("m", "n", "o"), ("uid-1", "uid-2")
LABEL_KEYS, VALUES = ("team", "model", "tier"), ("x", "y", "z")
keys = st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES))
labels = st.dictionaries(st.sampled_from(LABEL_KEYS), st.sampled_from(VALUES), max_size=3)
values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True).map(tuple)
with_values = st.sampled_from([Operator.IN, Operator.NOT_IN])
without_values = st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])
requirements = st.builds(Requirement, st.sampled_from(LABEL_KEYS), with_values, values) | st.builds(
    Requirement, st.sampled_from(LABEL_KEYS), without_values
)
selectors = st.builds(
    lambda match, expressions: LabelSelector(tuple(sorted(match.items())), tuple(expressions)),
    labels,
    st.lists(requirements, max_size=2),
)
named = st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple)
selections = st.builds(ModelSelection, named, st.none() | selectors)


def workload(labels: dict[str, str], owner: str, held: bool) -> Json:
    body = deployment(name="m")
    body["metadata"]["labels"] = labels
    if owner:
        body["metadata"]["annotations"] = {OWNER_ANNOTATION: f"a/kv/{owner}"}
    if held:
        entry = {"manager": FIELD_MANAGER, "operation": "Update", "fieldsV1": {"f:spec": {}}}
        body["metadata"]["managedFields"] = [entry]
    return body


workloads = st.builds(workload, labels, st.sampled_from(["", *UIDS]), st.booleans())
edits = st.lists(st.tuples(keys, st.none() | workloads, st.booleans()), max_size=8)


def put(store: ByNamespace[Json], key: Key, body: Json | None) -> None:
    if body is not None:
        metadata = {**body["metadata"], "namespace": key[0], "name": key[1]}
        store.put(key, {**body, "metadata": metadata})
    elif key in store:
        store.drop(key)


def finder(store: Any) -> Callable[[str, str], Deployment | None]:
    return lambda *key: Deployment(store[key]) if key in store else None


def meant(store: Any, namespace: str, uid: str, models: ModelSelection) -> Iterator[str]:
    """By going through all of them."""
    for key, body in store.items():
        trait = trait_of(Deployment(body))
        if key[0] == namespace and (
            trait.owed or trait.owner_uid == uid or models.selects(key[1], trait.labels)
        ):
            yield key[1]


@given(edits, selections, st.sampled_from(UIDS), st.booleans())
def test_whom_an_object_means_is_as_if_all_were_gone_through(
    edits: list[tuple[Key, Json | None, bool]], models: ModelSelection, uid: str, tells: bool
) -> None:
    store: ByNamespace[Json] = ByNamespace()
    plain: dict[Key, Json] = {}
    kept: Any = store if tells else plain
    index = WorkloadIndex({Kind.DEPLOYMENT: (kept, finder(kept))})
    for key, body, forgotten in edits:
        put(store, key, body)
        plain.clear()
        plain.update(store)
        if forgotten:
            index.forget(key[0])
        for namespace in SPACES:
            found = index.meant(namespace, uid, models)
            expected = sorted(meant(store, namespace, uid, models))
            assert sorted(trait.name for trait in found) == expected
            assert all(
                trait == trait_of(Deployment(store[namespace, trait.name])) for trait in found
            )


def test_what_did_not_change_is_derived_once() -> None:
    store: ByNamespace[Json] = ByNamespace()
    put(store, ("a", "m"), workload({}, "", held=False))
    index = WorkloadIndex({Kind.DEPLOYMENT: (store, finder(store))})
    before = index.trait("a", Kind.DEPLOYMENT, "m")
    store.put(("a", "m"), store["a", "m"])
    assert index.trait("a", Kind.DEPLOYMENT, "m") is before


def test_what_was_written_counts_before_the_watch_tells() -> None:
    store: ByNamespace[Json] = ByNamespace()
    put(store, ("a", "m"), workload({}, "", held=False))
    written: dict[Key, Json] = {}
    index = WorkloadIndex(
        {Kind.DEPLOYMENT: (store, lambda *key: finder(written)(*key) or finder(store)(*key))}
    )
    models = ModelSelection(selector=LabelSelector((("team", "x"),)))
    assert not index.meant("a", "", models)
    written["a", "m"] = workload({"team": "x"}, "", held=False)
    index.note(Kind.DEPLOYMENT, ("a", "m"))
    assert [trait.name for trait in index.meant("a", "", models)] == ["m"]


def test_a_thing_that_is_not_asked_for_is_not_looked_at() -> None:
    index: LabelIndex[int] = LabelIndex()
    for number in range(100):
        index.put(number, {"team": "x", "model": str(number)})
    one = LabelSelector((("team", "x"),), (Requirement("model", Operator.IN, ("7", "8")),))
    assert list(index.candidates(one)) == [7, 8]


def test_ever_new_keys_of_labels_do_not_make_it_grow() -> None:
    index: LabelIndex[int] = LabelIndex()
    index.put(1, {"k0": "x"})
    for number in range(3 * MAX_KEYS):
        selector = LabelSelector(((f"k{number}", "x"),))
        assert list(index.candidates(selector)) == ([1] if number == 0 else [])
        assert len(index._by) <= MAX_KEYS


def sync(key: Key, models: Json, *, created: str = "", paused: bool = False) -> Json:
    metadata = {"namespace": key[0], "name": key[1], "uid": f"uid-{key}"}
    metadata["creationTimestamp"] = created
    return {"metadata": metadata, "spec": {"models": models, "paused": paused}}


def written(selector: LabelSelector) -> Json:
    """As in a manifest."""
    expressions = [
        {"key": each.key, "operator": each.operator.value}
        | ({"values": list(each.values)} if each.values else {})
        for each in selector.match_expressions
    ]
    return {"matchLabels": dict(selector.match_labels), "matchExpressions": expressions}


written_models = st.fixed_dictionaries({}, optional={"names": named.map(list)}) | st.builds(
    lambda names, selector: {"names": list(names), "selector": written(selector)}, named, selectors
)
changes = st.lists(
    st.tuples(keys, st.none() | written_models, st.sampled_from("123"), st.booleans()), max_size=8
)


@given(changes, st.sampled_from(NAMES), labels)
def test_who_claims_a_model_is_as_if_all_were_gone_through(
    changes: list[tuple[Key, Json | None, str, bool]], name: str, labels: dict[str, str]
) -> None:
    roster = Roster()
    claims = Claims(roster, lambda key: KVEventSync(roster[key]) if key in roster else None)
    body = deployment(name=name)
    body["metadata"] |= {"namespace": "a", "labels": labels}
    trait = trait_of(Deployment(body))
    me = KVEventSync(sync(("a", "me"), {"names": [name]}))
    for key, models, created, paused in changes:
        roster.pop(key, None)
        if models is not None:
            roster[key] = sync(key, models, created=created, paused=paused)
        expected = [
            (each.created, each.name)
            for each in map(KVEventSync, roster.values())
            if each.namespace == "a" and (spec := claims.spec(each)) is not None
            if not spec.paused and spec.models.selects(name, labels)
        ]
        assert [rival.seniority for rival in claims.rivals(me, trait)] == sorted(expected)
