"""The record survives its annotation exactly, or is refused as a whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.model.record import (
    Delivery,
    ListChange,
    Owner,
    Place,
    Record,
    RecordError,
    Rejection,
    RelayChange,
    Rewrite,
    Taken,
    TextChange,
    ValueChange,
    Variable,
    dump_record,
    dump_rejection,
    load_record,
    load_rejection,
    parse_owner,
)
from kvsync.model.relay import RelayForm

TEXT = st.text(max_size=6)
WORDS = st.lists(TEXT, max_size=3).map(tuple)
PORT = st.fixed_dictionaries({"name": TEXT, "containerPort": st.integers(1, 65535)})
ITEM = st.dictionaries(TEXT, TEXT, max_size=2)
RECORDS = st.builds(
    Record,
    container=TEXT,
    at=st.integers(0, 2**40),
    words=st.none()
    | st.builds(
        ListChange,
        before=st.none() | WORDS,
        after=WORDS,
        added=WORDS,
        replaced=WORDS,
        place=st.sampled_from([Place.ARGS, Place.COMMAND]),
    ),
    text=st.none()
    | st.builds(
        TextChange,
        place=st.sampled_from(Place),
        added=TEXT,
        replaced=TEXT,
        variable=TEXT,
        absent=st.booleans(),
        bare=st.booleans(),
    ),
    ports=st.lists(PORT, max_size=2).map(tuple),
    ports_absent=st.booleans(),
    labels=st.dictionaries(TEXT, st.builds(ValueChange, st.none() | TEXT, TEXT), max_size=2),
    labels_absent=st.booleans(),
    metadata_absent=st.booleans(),
    template_annotations_absent=st.booleans(),
    injection=st.none()
    | st.builds(
        Delivery,
        token=TEXT,
        edit=st.none()
        | st.builds(Variable, name=TEXT, value=TEXT, before=st.none() | TEXT)
        | st.builds(
            Rewrite, place=st.sampled_from([Place.ARGS, Place.COMMAND]), before=WORDS, after=WORDS
        ),
    ),
    env=st.dictionaries(TEXT, st.builds(ValueChange, st.none() | ITEM, ITEM), max_size=2),
    env_absent=st.booleans(),
    annotations_absent=st.booleans(),
    relay=st.none()
    | st.builds(
        RelayChange,
        form=st.sampled_from(RelayForm),
        body=ITEM,
        volume=ITEM,
        wish=TEXT,
        containers_absent=st.booleans(),
        volumes_absent=st.booleans(),
        layout_of=TEXT,
    ),
    taken_from=st.lists(st.builds(Taken, TEXT, TEXT, TEXT, TEXT), max_size=2).map(tuple),
)


@given(RECORDS)
def test_what_is_dumped_is_loaded(record: Record) -> None:
    assert load_record(dump_record(record)) == record


@given(record=RECORDS, place=st.integers(0), character=st.characters(codec="ascii"))
def test_an_edited_record_is_refused(record: Record, place: int, character: str) -> None:
    text = dump_record(record)
    at = place % len(text)
    edited = text[:at] + character + text[at + 1 :]
    try:
        loaded = load_record(edited)
    except RecordError:
        return
    # Only white space, or another way to write the same character, may pass.
    assert loaded == record


def test_a_record_of_before_still_loads() -> None:
    """As released first: without a word of whose the fields were."""
    old = (
        '{"args":{"added":["--x"],"after":["a","--x"],"before":["a"]},"at":7,"container":"vllm",'
        '"sum":"353fa6b321fc00c3","v":1}'
    )
    record = Record("vllm", 7, words=ListChange(("a",), ("a", "--x"), ("--x",)))
    assert dump_record(record) == old
    assert load_record(old) == record


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "7",
        '"x"',
        '{"sum": "x"}',
        "{",
        '{"v": 1, "container": "c", "at": 1}',
    ],
)
def test_what_no_record_is(text: str) -> None:
    with pytest.raises(RecordError):
        load_record(text)


def test_a_record_of_another_format_is_refused() -> None:
    payload = json.loads(dump_record(Record("c", 1)))
    with pytest.raises(RecordError, match="another version"):
        load_record(json.dumps({**payload, "v": 2}))


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, False),
        ({"words": ListChange(None, ("a",), ("a",))}, True),
        ({"text": TextChange(Place.ENV, "a", variable="A")}, True),
        ({"ports": ({"containerPort": 1},)}, True),
        ({"labels": {"a": ValueChange(None, "b")}}, True),
        ({"env": {"a": ValueChange(None, {"name": "a"})}}, True),
    ],
)
def test_whether_anything_was_changed(fields: dict[str, Any], changes: bool) -> None:
    assert Record("c", 1, **fields).changes_template is changes


def test_owners() -> None:
    assert parse_owner(str(Owner("ns", "name", "uid"))) == Owner("ns", "name", "uid")
    for text in ("", "ns/name", "ns/name/", "a/b/c/d", "//"):
        assert parse_owner(text) is None


@given(st.builds(Rejection, TEXT, TEXT, TEXT))
def test_a_rejection_is_kept(rejection: Rejection) -> None:
    assert load_rejection(dump_rejection(rejection)) == rejection


@pytest.mark.parametrize("text", [None, "", "x", "[]", "{}", '{"reason": "r"}', "7"])
def test_an_unreadable_rejection_counts_as_none(text: str | None) -> None:
    assert load_rejection(text) is None
