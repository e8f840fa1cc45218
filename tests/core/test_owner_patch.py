"""The patch for an owner's tool: exact by another library, small, and without lists written as a whole."""

import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import Json
from core.test_patch import OBJECTS, same
from kvsync.core.owner_patch import as_text, owner_patch

ARGS = "/spec/template/spec/containers/0/args"


def workload(template: Any) -> Json:
    return {"spec": {"template": template}}


def with_args(*args: str) -> Json:
    return workload({"spec": {"containers": [{"name": "vllm", "args": list(args)}]}})


def with_init(*names: str) -> Json:
    return workload({"spec": {"initContainers": [{"name": name} for name in names]}})


@given(old=OBJECTS, new=OBJECTS)
def test_another_library_comes_to_the_same_template(old: Json, new: Json) -> None:
    kept = copy.deepcopy(old)
    operations = owner_patch(workload(old), workload(new))
    assert same(jsonpatch.apply_patch(workload(old), list(operations)), workload(new))
    assert same(old, kept)
    assert json.loads(as_text(operations)) == list(operations)


@given(value=OBJECTS, items=st.lists(OBJECTS, max_size=3))
def test_what_is_equal_is_not_changed(value: Json, items: list[Json]) -> None:
    body = workload({"a": value, "b": items})
    assert owner_patch(body, copy.deepcopy(body)) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (with_args("a"), with_args("a", "b"), [{"op": "add", "path": f"{ARGS}/-", "value": "b"}]),
        (
            with_args("a", "z"),
            with_args("a", "b", "z"),
            [{"op": "add", "path": f"{ARGS}/1", "value": "b"}],
        ),
        (
            with_args("a", "old", "z"),
            with_args("a", "new", "z"),
            [{"op": "replace", "path": f"{ARGS}/1", "value": "new"}],
        ),
        (
            with_args("a", "b", "c"),
            with_args("a"),
            [
                {"op": "remove", "path": f"{ARGS}/2"},
                {"op": "remove", "path": f"{ARGS}/1"},
            ],
        ),
        (
            with_init("load"),
            with_init("relay", "load"),
            [
                {
                    "op": "add",
                    "path": "/spec/template/spec/initContainers/0",
                    "value": {"name": "relay"},
                }
            ],
        ),
        (
            workload({"metadata": {"labels": {"app": "m"}}}),
            workload({"metadata": {"labels": {"app": "m", "a/b": "x"}}}),
            [{"op": "add", "path": "/spec/template/metadata/labels/a~1b", "value": "x"}],
        ),
        (
            workload({"spec": {}}),
            workload({"spec": {}, "metadata": {"labels": {"a": "x"}}}),
            [{"op": "add", "path": "/spec/template/metadata", "value": {"labels": {"a": "x"}}}],
        ),
        (
            workload({"a": True}),
            workload({"a": 1}),
            [{"op": "replace", "path": "/spec/template/a", "value": 1}],
        ),
        (
            workload({"a": [{"b": True}]}),
            workload({"a": [{"b": 1}]}),
            [{"op": "replace", "path": "/spec/template/a/0/b", "value": 1}],
        ),
    ],
)
def test_only_what_differs_is_named(before: Json, after: Json, expected: list[Json]) -> None:
    assert list(owner_patch(before, after)) == expected


def test_what_is_beside_the_template_is_no_part_of_it() -> None:
    before = {"metadata": {"name": "m"}, "spec": {"replicas": 1, "template": {}}}
    after = {"metadata": {"name": "n"}, "spec": {"replicas": 2, "template": {}}}
    assert owner_patch(before, after) == ()
