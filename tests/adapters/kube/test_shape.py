"""Only the fields that are named are made; nothing that an API server may say is lost or refused by it."""

import json
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.kube.answer import parse
from kvsync.adapters.kube.shape import WHOLE, Shape
from kvsync.model.errors import ServerError


class _Status(TypedDict, total=False):
    phase: Any


class _Thing(TypedDict, total=False):
    metadata: dict[str, Any]
    status: _Status | None


THINGS = Shape(_Thing)
THING = {
    "metadata": {"name": "a", "labels": {"x": "y"}},
    "spec": {"much": [1, 2, 3]},
    "status": {"phase": "Running", "hostIP": "10.0.0.1"},
}
KEPT = {"metadata": {"name": "a", "labels": {"x": "y"}}, "status": {"phase": "Running"}}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def test_of_a_page_the_named_fields_are_read() -> None:
    page = {"kind": "ThingList", "metadata": {"continue": "x"}, "items": [THING, {"metadata": {}}]}
    assert THINGS.page(text(page), "LIST") == {
        "metadata": {"continue": "x"},
        "items": [KEPT, {"metadata": {}}],
    }
    assert WHOLE.page(text(page), "LIST")["items"] == page["items"]


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_of_an_event_the_named_fields_are_read(kind: str) -> None:
    said = THINGS.event(text({"type": kind, "object": THING}), "WATCH")
    assert said == {"type": kind, "object": KEPT}


@pytest.mark.parametrize("kind", ["BOOKMARK", "ERROR", "NEW"])
def test_other_events_are_whole(kind: str) -> None:
    event = {"type": kind, "object": {"code": 410, "metadata": {"resourceVersion": "7"}}}
    assert THINGS.event(text(event), "WATCH") == event


@pytest.mark.parametrize("items", [[THING, {"metadata": "none"}], [7], None])
def test_what_does_not_fit_is_read_whole(items: Any) -> None:
    page = {"metadata": {}, "items": items}
    assert THINGS.page(text(page), "LIST") == page


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": [{', b"\xff", b"7"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    for read in (THINGS.page, THINGS.event, WHOLE.page):
        with pytest.raises(ServerError):
            read(body, "LIST things")


@given(values)
def test_whatever_is_json_is_read_as_before_or_refused_as_before(value: Any) -> None:
    body = text(value)
    try:
        whole = parse(body, "LIST")
    except ServerError:
        with pytest.raises(ServerError):
            WHOLE.page(body, "LIST")
        return
    kept = {key: whole[key] for key in ("metadata", "items") if key in whole}
    assert WHOLE.page(body, "LIST") in (kept, whole)
