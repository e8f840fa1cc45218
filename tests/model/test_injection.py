"""Entries of status.injections: written as the schema takes them, and read whatever stands there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kvsync.model.injection import (
    INJECTED_LABEL,
    MAX_INJECTIONS,
    InjectedRelay,
    Injection,
    Rewrite,
    Variable,
    read_injections,
)
from kvsync.model.record import Place
from model.schema import STATUS, closed

TOKEN = "0123456789abcdef"
SCHEMA = Draft202012Validator(closed(STATUS["properties"]["injections"]))

PLAIN = Injection(
    workload="my-model",
    container="vllm",
    token=TOKEN,
    since=1732650000,
    args=('--kv-events-config={"a":1}',),
    ports=(("kv-events", 5557), ("kv-replay-2", 5558)),
    labels={"model.aibrix.ai/name": "m", INJECTED_LABEL: TOKEN},
)
REWRITTEN = Injection(
    "a.b", "c", TOKEN, 0, rewrite=Rewrite(Place.COMMAND, ("sh", "-c", "x"), ("sh", "-c", "x y"))
)
ABSENT = Injection("a", "c", TOKEN, 1, env=Variable("VLLM_ARGS", "x"))
THERE = Injection("a", "c", TOKEN, 1, env=Variable("VLLM_ARGS", "x", ""))
RELAYED = Injection(
    "a",
    "c",
    TOKEN,
    1,
    relay=InjectedRelay(
        "initContainers",
        {
            "name": "kvsync-relay",
            "image": "registry.example/kvsync:1",
            "args": ["relay"],
            "ports": [{"name": "kv-relay", "containerPort": 5656, "protocol": "TCP"}],
            "restartPolicy": "Always",
        },
        {"name": "kvsync-relay", "emptyDir": {"medium": "Memory", "sizeLimit": "10Mi"}},
    ),
)
ALL = [PLAIN, REWRITTEN, ABSENT, THERE, RELAYED]


@pytest.mark.parametrize("injection", ALL, ids=lambda each: each.workload)
def test_what_is_written_is_taken_by_the_schema_and_read_back(injection: Injection) -> None:
    entry = injection.entry()
    SCHEMA.validate([entry])
    assert injection.fits
    assert read_injections([entry]) == (injection,)


def test_a_variable_that_was_empty_is_not_one_that_was_absent() -> None:
    assert "before" not in ABSENT.entry()["env"]
    assert THERE.entry()["env"]["before"] == ""


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "x",
        {},
        {"workload": "a"},
        {**PLAIN.entry(), "since": "soon"},
        {**PLAIN.entry(), "since": -1},
        {**PLAIN.entry(), "since": True},
        {**PLAIN.entry(), "args": "text"},
        {**PLAIN.entry(), "args": [1]},
        {**PLAIN.entry(), "ports": [{"name": "a"}]},
        {**PLAIN.entry(), "ports": 5},
        {**PLAIN.entry(), "labels": ["a"]},
        {**PLAIN.entry(), "env": {"name": "a"}},
        {**PLAIN.entry(), "rewrite": {"field": "image", "before": [], "after": []}},
        {**PLAIN.entry(), "relay": {"field": "containers"}},
    ],
)
def test_an_entry_that_cannot_be_read_is_left_out_alone(broken: object) -> None:
    assert read_injections([broken, THERE.entry()]) == (THERE,)


@pytest.mark.parametrize("status", [None, "text", 5, {"a": 1}])
def test_what_is_no_list_holds_none(status: object) -> None:
    assert read_injections(status) == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["workload", "container", "token", "since", "args", "env", "ports"]
                ),
                inner,
            )
        ),
    )
)
def test_no_status_raises(status: Any) -> None:
    for injection in read_injections([status]):
        assert read_injections([injection.entry()]) == (injection,)


def test_more_than_the_schema_holds_is_not_read() -> None:
    assert len(read_injections([PLAIN.entry()] * (MAX_INJECTIONS + 1))) == MAX_INJECTIONS


@pytest.mark.parametrize(
    "injection",
    [
        Injection("a", "c", TOKEN, 1, args=("x" * 8193,)),
        Injection("a", "c", TOKEN, 1, args=("x",) * 17),
        Injection("a", "c", TOKEN, 1, rewrite=Rewrite(Place.ARGS, (), ("x",) * 513)),
        Injection("a", "c", TOKEN, 1, rewrite=Rewrite(Place.ARGS, ("x" * 65537,), ())),
        Injection("a", "c", TOKEN, 1, env=Variable("A", "x" * 65537)),
        Injection("a", "c", TOKEN, 1, labels={str(number): "x" for number in range(5)}),
    ],
)
def test_what_the_schema_would_refuse_does_not_fit(injection: Injection) -> None:
    assert not injection.fits
    assert not SCHEMA.is_valid([injection.entry()])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workload", "-a"),
        ("workload", "A"),
        ("container", "a.b"),
        ("token", "0123"),
        ("ports", [{"name": "http", "containerPort": 5557}]),
        ("ports", [{"name": "kv-events", "containerPort": 0}]),
        ("labels", {"model.aibrix.ai/name": "a b"}),
        ("env", {"name": "A B", "value": "x"}),
        ("rewrite", {"field": "image", "before": [], "after": []}),
    ],
)
def test_the_schema_holds_back_what_would_make_a_pod_invalid(name: str, value: object) -> None:
    assert not SCHEMA.is_valid([{**PLAIN.entry(), name: value}])
