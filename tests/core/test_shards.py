"""Whose an object is, and what operators tell each other through its status."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objects import TEMPLATES, Json, spec_of
from core.scenes import gateway_of
from kvsync.core.gateway import owners_of, plan_gateway
from kvsync.core.gateway_fold import Member, fold, values_for
from kvsync.core.leadership import Sight, Terms
from kvsync.core.patch import apply
from kvsync.core.render import gateway_variables
from kvsync.core.shards import (
    Serving,
    claims_of,
    entry_of,
    is_given_up,
    let_go,
    serving,
    standing_of,
    taken,
)
from kvsync.model.lease import Lease
from kvsync.model.observed import KVEventSync
from kvsync.model.selector_text import parse_selector
from kvsync.model.shard import Shard
from kvsync.model.spec import GatewaySpec, KVEventSyncSpec
from kvsync.model.standing import GatewayWish, Standing
from kvsync.model.workload import Deployment

A = Shard("ops/kvsync-a", parse_selector("shard=a"))
B = Shard("ops/kvsync-b", parse_selector("shard=b"))


def sync(
    label: str = "a", status: Mapping[str, Any] | None = None, name: str = "kv"
) -> KVEventSync:
    metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "labels": {"shard": label}}
    return KVEventSync({"metadata": metadata, "status": dict(status or {})})


def of(shard: Shard, label: str, server: str) -> Serving:
    return serving(sync(label, {"shard": {"name": server}} if server else None), shard)


def test_an_object_is_served_by_one_who_took_it_and_selects_it() -> None:
    assert of(A, "a", A.name) is Serving.OURS
    assert of(A, "a", "") is Serving.FREE
    assert of(A, "a", B.name) is Serving.HELD
    assert of(A, "b", A.name) is Serving.LEAVING
    assert of(A, "b", B.name) is Serving.FOREIGN
    assert of(A, "b", "") is Serving.FOREIGN


def test_an_operator_without_a_selector_serves_what_nobody_else_holds() -> None:
    for alone in (Shard(), Shard("ops/kvsync")):
        assert of(alone, "b", "") is Serving.OURS
        assert of(alone, "b", B.name) is Serving.HELD
    # It had a selector once, and the same Lease.
    assert of(Shard(B.name), "b", B.name) is Serving.OURS


@given(
    st.sampled_from(("a", "b", "c")),
    st.sampled_from(("", A.name, B.name, "ops/elsewhere")),
)
def test_two_shards_never_serve_the_same(label: str, server: str) -> None:
    found = [of(shard, label, server) for shard in (A, B, Shard("ops/kvsync"))]
    assert found.count(Serving.OURS) <= 1


def test_what_an_object_was_to_the_others_stays_when_it_changes_hands() -> None:
    standing = Standing("team/kv", in_flight=("m",), waiting=True, last_change=7)
    served = sync(status={"modelsTotal": 1, "shard": entry_of(standing, A)})
    free = sync("b", let_go(served))
    assert serving(free, A) is Serving.FOREIGN
    assert serving(free, B) is Serving.FREE
    assert standing_of(free, None, 0.0, permitted=True) == standing
    ours = sync("b", taken(free, B))
    assert serving(ours, B) is Serving.OURS
    assert standing_of(ours, None, 0.0, permitted=True) == standing
    assert taken(served, Shard()) == {"modelsTotal": 1}


SPEC = spec_of()
WISHES = st.builds(
    GatewayWish,
    spec=st.just(SPEC.gateway),
    asks=st.booleans(),
    derived_endpoint=st.sampled_from(["", "http://m.a:8000", "http://m.b:8000"]),
    block_sizes=st.frozensets(st.sampled_from([16, 32])),
    http_ports=st.frozensets(st.sampled_from([8000, 9000])),
    usual_port=st.sampled_from([8000, 30000]),
    ready=st.booleans(),
    unanswering=st.lists(st.sampled_from(["a/p", "b/q"]), unique=True).map(
        lambda p: tuple(sorted(p))
    ),
)
STANDINGS = st.builds(
    Standing,
    sync=st.just("team/kv"),
    wish=st.none() | WISHES,
    in_flight=st.lists(st.sampled_from("mno"), unique=True).map(lambda n: tuple(sorted(n))),
    waiting=st.booleans(),
    last_change=st.integers(0, 10),
)


def told(
    standing: Standing, spec: KVEventSyncSpec = SPEC, *, permitted: bool = True, age: float = 0.0
) -> Standing:
    """A standing as another operator reads it."""
    status = {"shard": entry_of(standing, A)}
    return standing_of(sync(status=status), spec, age, permitted=permitted)


@given(STANDINGS)
def test_what_one_finds_is_what_the_other_reads(standing: Standing) -> None:
    assert told(standing) == standing


@given(STANDINGS, STANDINGS)
def test_what_is_told_changes_with_what_is_found_and_with_nothing_else(
    one: Standing, other: Standing
) -> None:
    before = entry_of(one, A)
    after = entry_of(other, A)
    assert (before == after) is (one == other)


@given(WISHES, WISHES)
def test_two_shards_fold_the_same_gateway(one: GatewayWish, other: GatewayWish) -> None:
    one, other = replace(one, asks=True), replace(other, asks=True)
    standings = [Standing("team/a", one), Standing("team/b", other)]
    read = [replace(told(each), sync=each.sync) for each in standings]
    assert fold(Member("team/a", one), [read[1]]) == fold(Member("team/b", other), [read[0]])


def test_who_may_change_a_gateway_is_not_for_another_shard_to_say() -> None:
    wish = GatewayWish(SPEC.gateway, asks=True, ready=True)
    found = told(Standing("team/kv", wish), permitted=False).wish
    assert found is not None
    assert not found.asks
    unmanaged = spec_of(gateway={"manage": False})
    found = told(Standing("team/kv", wish), unmanaged).wish
    assert found is not None
    assert not found.asks


def test_places_and_turns_of_an_operator_that_says_nothing_any_more_come_free() -> None:
    standing = Standing("team/kv", in_flight=("m",), waiting=True)
    assert told(standing, age=299) == standing
    assert told(standing, age=301) == replace(standing, waiting=False)
    assert told(standing, age=1801) == Standing("team/kv")


def test_new_places_and_wishes_must_be_known_before_they_count_and_less_need_not() -> None:
    wish = GatewayWish(GatewaySpec(), ready=True)
    entry = entry_of(Standing("team/kv", wish, in_flight=("m", "n")), A)
    less = entry_of(Standing("team/kv", wish, in_flight=("m",)), A)
    other = entry_of(Standing("team/kv", replace(wish, ready=False)), A)
    assert claims_of(less) <= claims_of(entry)
    assert not claims_of(entry) <= claims_of(less)
    assert not claims_of(other) <= claims_of(entry)
    starting = entry_of(
        Standing("team/kv", replace(wish, unanswering=("a/p",)), in_flight=("m",)), A
    )
    assert claims_of(starting) <= claims_of(entry)


@pytest.mark.parametrize(
    ("lease", "gone_after"),
    [
        (None, 10.0),
        (Lease("", "2026"), 0.0),
        (Lease("host_1", "2026", duration=10.0), 10.0),
        (Lease("host_1", "2026", duration=30.0), 30.0),
        (Lease("host_1", "2026", duration=9999.0), 60.0),
    ],
)
def test_a_shard_is_given_up_when_its_lease_was_not_renewed_by_our_own_clock(
    lease: Lease | None, gone_after: float
) -> None:
    sight, terms = Sight(lease, 5.0, first=True), Terms(10.0)
    if gone_after:
        assert not is_given_up(sight, terms, 5.0 + gone_after - 0.1)
    assert is_given_up(sight, terms, 5.0 + gone_after)


def gateway_after(body: Json, own: Standing, others: Sequence[Standing]) -> Json:
    """The gateway after the pass of one object, which knows the others as they were told."""
    assert own.wish is not None
    member, gateway = Member(own.sync, own.wish), Deployment(body)
    made = fold(member, others)
    if made.conflict or not own.wish.ready:
        return body
    values = values_for(made.in_force({*owners_of(gateway), own.sync}), gateway, "gateway-plugin")
    wanted = gateway_variables(TEMPLATES, **asdict(values))
    planned = plan_gateway(gateway, "gateway-plugin", wanted, own.sync, 1_000, heard=made.marks)
    after: Json = copy.deepcopy(apply(body, planned.patch))
    return after


def template(body: Json) -> Json:
    found: Json = body["spec"]["template"]
    return found


@given(
    st.lists(st.tuples(st.booleans(), WISHES, st.booleans()), max_size=6),
    st.tuples(WISHES, WISHES),
)
def test_two_shards_with_late_words_of_each_other_come_to_one_gateway_and_rest(
    turns: list[tuple[bool, GatewayWish, bool]], ends: tuple[GatewayWish, GatewayWish]
) -> None:
    names = ("team/a", "team/b")
    now = {
        name: Standing(name, replace(wish, asks=True, ready=True))
        for name, wish in zip(names, ends, strict=True)
    }
    said: dict[str, Standing] = {}
    body = gateway_of()
    for first, wish, speaks in turns:
        own, other = names if first else names[::-1]
        standing = Standing(own, replace(wish, asks=True))
        if speaks:
            said[own] = replace(told(standing), sync=own)
        body = gateway_after(body, standing, [said[other]] if other in said else [])
    # Each has said what it wants, and hears the other one before it acts.
    said = {name: replace(told(standing), sync=name) for name, standing in now.items()}
    for own, other in (names, names[::-1]):
        body = gateway_after(body, now[own], [said[other]])
    rested = template(body)
    for own, other in (names, names[::-1], names):
        body = gateway_after(body, now[own], [said[other]])
        assert template(body) == rested
