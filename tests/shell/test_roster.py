"""The objects that something concerns are found by an index that is never behind the objects themselves."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.kube.by_namespace import within
from kvsync.shell.roster import Roster

SPACES, NAMES = ("a", "b", "gw"), ("x", "y", "z")
keys = st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES))
gateways = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "namespace": st.sampled_from(SPACES),
        "deployment": st.sampled_from(NAMES),
        "alsoConfigure": st.none() | st.lists(st.sampled_from(NAMES), max_size=2),
    },
)
bodies = st.none() | gateways.map(lambda gateway: {"gateway": gateway})
changes = st.lists(st.tuples(st.sampled_from(["set", "pop", "del", "update"]), keys, bodies))


def change(objects: Roster, how: str, key: tuple[str, str], spec: Any) -> None:
    match how:
        case "set":
            objects[key] = {"spec": spec}
        case "update":
            objects.update({key: {"spec": spec}})
        case "pop":
            objects.pop(key, None)
        case _ if key in objects:
            del objects[key]


def naming(roster: Roster, namespace: str, name: str) -> set[tuple[str, str]]:
    """By going through all of them."""
    found = set()
    for key, body in roster.items():
        gateway = (body.get("spec") or {}).get("gateway") or {}
        named = {gateway.get("deployment"), *(gateway.get("alsoConfigure") or ())}
        if gateway.get("namespace") == namespace and name in named:
            found.add(key)
    return found


@given(changes)
def test_who_names_a_gateway_is_as_if_all_were_gone_through(
    changes: list[tuple[str, tuple[str, str], Any]],
) -> None:
    roster = Roster()
    for each in changes:
        change(roster, *each)
        for namespace in SPACES:
            for name in NAMES:
                assert set(roster.naming(namespace, name)) == naming(roster, namespace, name)


@given(changes, st.integers(0, 3))
def test_the_objects_of_a_namespace_are_as_if_all_were_gone_through(
    changes: list[tuple[str, tuple[str, str], Any]], asked_from: int
) -> None:
    objects = Roster()
    for number, each in enumerate(changes):
        change(objects, *each)
        for namespace in SPACES if number >= asked_from else ():
            expected = [key for key in objects if key[0] == namespace]
            assert sorted(within(objects, namespace)) == sorted(expected)
            assert sorted(within(dict(objects), namespace)) == sorted(expected)
