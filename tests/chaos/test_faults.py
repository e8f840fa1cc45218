"""Faults as data: the names of calls, which fault suits which, and what is run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.call_names import CallNames, Request, name_of, verb_of
from chaos.cases import (
    PHASES,
    UNDISTURBED,
    exhaustive,
    lined_up,
    listed_late,
    mixture,
    read_case,
    taken,
)
from chaos.faults import EVENT, Call, Fault, Injection, read_injection, suits

APPS = "/apis/apps/v1/namespaces/w1-7/deployments"
CALLS = [
    Call("start", "LIST", "pods", 1),
    Call("start", "WATCH", "pods", 1),
    Call("enable", EVENT, "pods", 1),
    Call("enable", "PATCH", "deployments/a", 1),
    Call("change", "PATCH", "deployments/a", 1),
    Call("undo", "PATCH", "kveventsyncs/kv", 1),
]


@pytest.mark.parametrize(
    ("method", "path", "query", "verb", "name"),
    [
        ("GET", APPS, {}, "LIST", "deployments"),
        ("GET", APPS, {"continue": "x"}, "CONTINUE", "deployments"),
        ("GET", APPS, {"watch": "true"}, "WATCH", "deployments"),
        ("PATCH", f"{APPS}/a", {}, "PATCH", "deployments/a"),
        ("GET", "/api/v1/namespaces/w1-7/pods/a-1-x/log", {}, "LOG", "pods/*/log"),
        ("GET", "/api/v1/pods", {}, "LIST", "pods"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/w1-7/events", {}, "CREATE", "events"),
        ("PATCH", "/apis/events.k8s.io/v1/namespaces/w1-7/events/x", {}, "PATCH", "events/*"),
        ("GET", "/apis/x/v1/namespaces/w1-7/leases/l", {}, "GET", "leases/l"),
        ("GET", "/apis/apps/v1", {}, "GET", "apis/apps/v1"),
        ("GET", "/version", {}, "GET", "version"),
        (
            "PATCH",
            "/apis/kvsync.aibrix.ai/v1alpha1/namespaces/n/kveventsyncs/kv/status",
            {},
            "PATCH",
            "kveventsyncs/kv/status",
        ),
    ],
)
def test_a_request_is_named_without_what_is_by_chance(
    method: str, path: str, query: dict[str, str], verb: str, name: str
) -> None:
    request = Request(method, path, query)
    assert (verb_of(request), name_of(request)) == (verb, name)


def test_calls_are_counted_by_phase_and_kind() -> None:
    names = CallNames("start")
    get = Request("GET", "/version")
    first, second = names.request(get), names.request(get)
    names.phase = "enable"
    assert [first.number, second.number, names.request(get).number] == [1, 2, 1]
    assert str(names.event("pods")) == "enable:EVENT:pods:1"


def test_a_read_is_never_a_conflict_and_a_write_can_be_lost() -> None:
    read, write = suits(CALLS[0]), suits(CALLS[3])
    assert not read & {Fault.CONFLICT, Fault.INVALID, Fault.LOST, Fault.DROPPED}
    assert write >= {Fault.CONFLICT, Fault.INVALID, Fault.LOST, Fault.RESET, Fault.STALL}


def test_only_what_was_asked_before_can_be_stale() -> None:
    assert Fault.STALE not in suits(Call("start", "LIST", "pods", 1))
    assert Fault.STALE in suits(Call("start", "LIST", "pods", 2))


def test_what_has_expired_is_a_page_or_a_watch() -> None:
    with_gone = {verb for verb in VERBS if Fault.GONE in suits(Call("start", verb, "pods", 1))}
    assert with_gone == {"CONTINUE", "WATCH", EVENT}


VERBS = ("GET", "LOG", "LIST", "CONTINUE", "WATCH", EVENT, "CREATE", "UPDATE", "PATCH", "DELETE")


def test_every_fault_suits_some_call() -> None:
    assert {f for verb in VERBS for f in suits(Call("start", verb, "x", 2))} == {*Fault}


@given(st.sampled_from(exhaustive(CALLS)))
def test_an_injection_is_read_back_from_its_name(injection: Injection) -> None:
    assert read_injection(str(injection)) == injection


@pytest.mark.parametrize("text", ["", "a=409", "start:LIST:pods:1", "start:NONE:pods:1=409"])
def test_what_is_no_injection_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="form"):
        read_injection(text)


def test_each_call_has_each_fault_exactly_once() -> None:
    wanted = {Injection(call, fault) for call in CALLS for fault in suits(call)}
    found = [each for case in lined_up(exhaustive(CALLS)) for each in case.injections]
    assert len(found) == len(wanted)
    assert {*found} == wanted


def test_a_run_has_one_fault_a_phase() -> None:
    for case in lined_up(exhaustive(CALLS)):
        phases = [each.call.phase for each in case.injections]
        assert phases == [phase for phase in PHASES if phase in phases]
        assert len({each.fault is Fault.STALL for each in case.injections if case.slow}) <= 2


def test_what_is_listed_late_has_a_stalled_write_before_it() -> None:
    for case in listed_late():
        stall, late = case.injections
        assert stall.fault is Fault.STALL
        assert late.call.verb == "LIST"
        assert read_case(case.name, []) == case
    assert {case.injections[1].call.phase for case in listed_late()} == {*PHASES[1:]}


def test_alike_calls_are_taken_a_few_times() -> None:
    events = [Call("enable", EVENT, "pods", n) for n in range(1, 30)]
    patches = [Call("enable", "PATCH", "deployments/a", n) for n in range(1, 5)]
    assert len(taken([*events, *events])) == 3
    assert len(taken(patches)) == 4


@given(st.integers(0, 10_000))
def test_a_mixture_follows_from_its_seed(seed: int) -> None:
    case = mixture(CALLS, seed)
    assert case == mixture(CALLS, seed)
    assert all(each.fault in suits(each.call) for each in case.injections)
    assert len({each.call for each in case.injections}) == len(case.injections) >= 3


def test_a_case_is_read_back_from_its_name() -> None:
    for case in (*lined_up(exhaustive(CALLS)), mixture(CALLS, 7), UNDISTURBED):
        assert read_case(case.name, CALLS) == case
