"""JSON Patch: the difference is exact, guarded, and means to other libraries what it means to us."""

import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.patch import PatchConflictError, apply, difference, expect, pointer

SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "~1/~0", "true"])
)
KEYS = st.sampled_from(["a", "b", "a/b", "m~n", "", "0", "model.aibrix.ai/name"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@given(old=OBJECTS, new=OBJECTS)
def test_the_difference_applied_gives_the_new_value(old: Any, new: Any) -> None:
    kept = copy.deepcopy(old)
    assert same(apply(old, difference(old, new)), new)
    assert same(old, kept), "apply changed what it was given"


@given(value=OBJECTS)
def test_equal_values_have_no_difference(value: Any) -> None:
    assert difference(value, copy.deepcopy(value)) == []


@given(old=OBJECTS, new=OBJECTS)
def test_another_library_applies_it_alike(old: Any, new: Any) -> None:
    # jsonpatch knows no test of an absent path against null (the API server's library does).
    operations = difference(old, new)
    plain = [o for o in operations if not (o["op"] == "test" and o["value"] is None)]
    assert same(jsonpatch.apply_patch(copy.deepcopy(old), plain), new)


@given(old=OBJECTS, new=OBJECTS, other=OBJECTS)
def test_it_never_applies_over_an_edit_of_what_it_touches(old: Any, new: Any, other: Any) -> None:
    for operation in difference(old, new):
        if operation["op"] == "test" or same(_at(old, operation), _at(other, operation)):
            continue
        with pytest.raises(PatchConflictError):
            apply(other, difference(old, new))
        return


def _at(document: Any, operation: dict[str, Any]) -> Any:
    """What stands at an operation's path, null where nothing does: what a ``test`` compares with."""
    for part in operation["path"].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(key)] if key.isdigit() and int(key) < len(document) else None
        else:
            document = document.get(key) if isinstance(document, dict) else None
    return document


def test_true_is_not_one() -> None:
    assert apply({"a": [1]}, difference({"a": [1]}, {"a": [True]}))["a"][0] is True


def test_a_list_of_another_length_is_replaced_as_a_whole() -> None:
    assert difference({"args": ["a"]}, {"args": ["a", "b"]}) == [
        expect("/args", ["a"]),
        {"op": "replace", "path": "/args", "value": ["a", "b"]},
    ]


def test_a_list_of_the_same_length_is_patched_in_its_items() -> None:
    old, new = {"c": [{"n": "x"}, {"n": "y"}]}, {"c": [{"n": "x"}, {"n": "z"}]}
    assert [operation["path"] for operation in difference(old, new)] == ["/c/1/n", "/c/1/n"]


def test_what_both_sides_share_is_not_looked_through() -> None:
    class Untouchable(dict[str, Any]):
        def items(self) -> Any:
            raise AssertionError("looked through")

    old = {"kept": Untouchable(a=1), "word": "a"}
    new = apply(old, [{"op": "replace", "path": "/word", "value": "b"}])
    assert [operation["path"] for operation in difference(old, new)] == ["/word", "/word"]
    with pytest.raises(AssertionError):  # an equal one that is another is
        difference(old, {**old, "kept": Untouchable(a=1)})


def test_a_null_that_goes_is_removed() -> None:
    assert [operation["op"] for operation in difference({"a": None}, {})] == ["test", "remove"]


def test_an_addition_is_guarded_by_the_absence_of_the_key() -> None:
    operations = difference({}, {"a/b": 1})
    assert operations == [expect("/a~1b", None), {"op": "add", "path": "/a~1b", "value": 1}]
    with pytest.raises(PatchConflictError, match="changed"):
        apply({"a/b": 2}, operations)


def test_an_addition_needs_the_place_that_it_was_made_for() -> None:
    operations = difference({"metadata": {}}, {"metadata": {"labels": {}}})
    with pytest.raises(PatchConflictError):
        apply({}, operations)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "add", "path": "/none/below", "value": 1},
        {"op": "replace", "path": "/list/5", "value": 1},
        {"op": "replace", "path": "/list/x", "value": 1},
        {"op": "test", "path": "/word/below", "value": 1},
    ],
)
def test_a_missing_path_is_a_conflict(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchConflictError):
        apply({"list": [1], "word": "w"}, [operation])


def test_pointers_escape_what_has_a_meaning_in_them() -> None:
    assert pointer("metadata", "annotations", "a/b~c", 0) == "/metadata/annotations/a~1b~0c/0"
