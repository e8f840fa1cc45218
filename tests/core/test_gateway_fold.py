"""One gateway, many objects: whoever computes it, it is the same; contradictions are everyone's."""

import copy
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.companions import companion, endpoint
from core.objects import TEMPLATES, Json, spec_of
from core.scenes import gateway_of
from kvsync.core.gateway import OWNERS_ANNOTATION, owners_of, plan_gateway, plan_release
from kvsync.core.gateway_fold import Fold, Member, fold, values_for
from kvsync.core.patch import apply
from kvsync.core.render import gateway_variables
from kvsync.model.spec import GatewaySpec
from kvsync.model.standing import GatewayWish, Standing
from kvsync.model.workload import Deployment

PLUGIN = "gateway-plugin"
ENDPOINT = "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT"
BLOCK_SIZE = "AIBRIX_PREFIX_CACHE_BLOCK_SIZE"
TEMPLATE = "AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE"


def member(standing: Standing) -> Member:
    assert standing.wish is not None
    return Member(standing.sync, standing.wish)


def folded(*standings: Standing, by: int = 0) -> Fold:
    """The fold as the pass of one of them makes it."""
    others = [s for index, s in enumerate(standings) if index != by]
    return fold(member(standings[by]), others)


def told(body: Json, *standings: Standing, by: int = 0) -> Json:
    """The gateway after the pass of one of them, which must not be refused."""
    made = folded(*standings, by=by)
    assert made.conflict == ""
    own = standings[by].sync
    gateway = Deployment(body)
    values = values_for(made.in_force({*owners_of(gateway), own}), gateway, PLUGIN)
    wanted = gateway_variables(TEMPLATES, **asdict(values))
    planned = plan_gateway(gateway, PLUGIN, wanted, own, 1_000, heard=made.marks)
    assert planned.refusal is None
    after: Json = copy.deepcopy(apply(body, planned.patch))
    return after


def env(body: Json) -> dict[str, str]:
    items = body["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in items}


A, B, C = (companion(f"{name}/kv", derived=f"http://{name}.{name}:8000") for name in "abc")


def with_spec(standing: Standing, **gateway: object) -> Standing:
    assert standing.wish is not None
    return replace(standing, wish=replace(standing.wish, spec=spec_of(gateway=gateway).gateway))


SPECS = st.sampled_from(
    [
        GatewaySpec(),
        GatewaySpec(tokenizer_endpoint="http://x:1"),
        GatewaySpec(tokenizer_endpoint="http://y:1"),
        GatewaySpec(tokenizer_engine="sglang"),
        GatewaySpec(also_configure=("kvcache-watcher",)),
        GatewaySpec(deployment="another", also_configure=("kvcache-watcher",)),
        GatewaySpec(container="other"),
        GatewaySpec(namespace="elsewhere"),
    ]
)
WISHES = st.builds(
    GatewayWish,
    spec=SPECS,
    asks=st.booleans(),
    derived_endpoint=st.sampled_from(["", "http://m.a:8000", "http://m.b:8000"]),
    block_sizes=st.frozensets(st.sampled_from([16, 32]), max_size=1),
    http_ports=st.frozensets(st.sampled_from([8000, 9000]), max_size=2),
    ready=st.booleans(),
)
STANDINGS = st.lists(WISHES, min_size=1, max_size=5).map(
    lambda wishes: [Standing(f"ns-{n}/kv", wish) for n, wish in enumerate(wishes)]
)


@settings(max_examples=150)
@given(standings=STANDINGS, data=st.data())
def test_the_order_of_the_others_does_not_matter(
    standings: list[Standing], data: st.DataObject
) -> None:
    own, *others = standings
    shuffled = data.draw(st.permutations(others))
    assert fold(member(own), others) == fold(member(own), shuffled)


@settings(max_examples=150)
@given(standings=STANDINGS)
def test_all_who_share_it_come_to_the_same(standings: list[Standing]) -> None:
    asking = [s for s in standings if s.wish and s.wish.asks]
    for standing in asking:
        found = fold(member(standing), [s for s in standings if s is not standing])
        for other in asking:
            if other.sync in found.marks:
                seen = fold(member(other), [s for s in standings if s is not other])
                assert seen == found


@settings(max_examples=100)
@given(standings=STANDINGS, marked=st.booleans())
def test_the_patch_is_the_same_but_for_ones_own_mark(
    standings: list[Standing], marked: bool
) -> None:
    ready = [
        replace(s, wish=replace(s.wish, spec=GatewaySpec(), asks=True, ready=True))
        for s in standings
        if s.wish
    ]
    if folded(*ready).conflict:
        return
    body = told(gateway_of(), ready[0]) if marked else gateway_of()
    afters = [told(body, *ready, by=number) for number in range(len(ready))]
    assert len({repr(after["spec"]) for after in afters}) == 1
    assert {after["metadata"]["annotations"]["kvsync.aibrix.ai/record"] for after in afters} == {
        afters[0]["metadata"]["annotations"]["kvsync.aibrix.ai/record"]
    }


@settings(max_examples=100)
@given(standings=STANDINGS, order=st.randoms(use_true_random=False))
def test_it_comes_to_rest_and_the_last_one_out_restores_it(
    standings: list[Standing], order: object
) -> None:
    ready = [
        replace(s, wish=replace(s.wish, spec=GatewaySpec(), asks=True, ready=True))
        for s in standings
        if s.wish
    ]
    if folded(*ready).conflict:
        return
    body = gateway_of(env=[{"name": "LOG", "value": "1"}])
    original = copy.deepcopy(body)
    for _ in range(2):
        for number in range(len(ready)):
            body = told(body, *ready, by=number)
    settled = copy.deepcopy(body)
    for number in range(len(ready)):
        assert told(body, *ready, by=number) == settled
    for standing in ready:
        body = copy.deepcopy(apply(body, plan_release(Deployment(body), standing.sync)))
    body["metadata"].pop("annotations", None)
    assert body == original


def test_a_second_one_with_the_same_engines_only_leaves_its_mark() -> None:
    first = told(gateway_of(), A, B)
    second = told(first, A, B, by=1)
    assert second["spec"] == first["spec"]
    assert second["metadata"]["annotations"][OWNERS_ANNOTATION] == "a/kv,b/kv"


def test_an_endpoint_that_is_named_wins_over_a_derived_one_and_then_stays() -> None:
    derived = told(gateway_of(), A)
    assert env(derived)[ENDPOINT] == "http://a.a:8000"
    named = with_spec(B, **endpoint("http://tokens:1"))
    both = told(derived, A, named, by=1)
    assert env(both)[ENDPOINT] == "http://tokens:1"
    assert env(told(both, A))[ENDPOINT] == "http://tokens:1", "no restart for a derived one"


def test_what_is_not_ready_waits_with_its_wish() -> None:
    assert B.wish is not None
    unready = replace(with_spec(B, **endpoint("http://tokens:1")))
    assert unready.wish is not None
    unready = replace(unready, wish=replace(unready.wish, ready=False))
    first = told(gateway_of(), A)
    assert told(first, A, unready) == first
    first["metadata"]["annotations"][OWNERS_ANNOTATION] = "a/kv,b/kv"
    assert env(told(first, A, unready))[ENDPOINT] == "http://tokens:1", "it was ready once"


def test_a_block_size_in_use_stays_while_no_engine_was_asked() -> None:
    first = told(gateway_of(), A)
    unasked = companion("a/kv", sizes=())
    assert told(first, unasked) == first


def test_of_several_http_ports_one_in_use_stays() -> None:
    nine = companion("a/kv", ports=(9000,))
    first = told(gateway_of(), nine)
    assert env(first)[TEMPLATE] == "http://%s:9000"
    assert env(told(first, nine, B))[TEMPLATE] == "http://%s:9000"
    assert TEMPLATE not in env(told(gateway_of(), nine, B)), "the gateway's default"
    both = told(first, nine, B, by=1)
    left = apply(both, plan_release(Deployment(both), "a/kv"))
    assert TEMPLATE not in env(told(left, B)), "nobody serves there any more"


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        (endpoint("http://x:1"), endpoint("http://y:1"), "http://x:1 (a/kv) and http://y:1 (b/kv)"),
        (
            {"remoteTokenizer": {"engine": "sglang"}},
            {"remoteTokenizer": {"engine": "tgi"}},
            "sglang (a/kv) and tgi (b/kv)",
        ),
        ({"container": "x"}, {"container": "y"}, "x (a/kv) and y (b/kv)"),
    ],
)
def test_two_that_want_different_things_are_a_conflict_that_names_both(
    one: Json, two: Json, words: str
) -> None:
    for by in (0, 1):
        made = folded(with_spec(A, **one), with_spec(B, **two), by=by)
        assert words in made.conflict


def test_two_block_sizes_are_a_conflict() -> None:
    made = folded(A, companion("b/kv", sizes=(32,)))
    assert "16 (a/kv) and 32 (b/kv)" in made.conflict


def test_a_conflict_of_many_stays_short() -> None:
    crowd = [
        companion(f"team-{number:03}/kv", **endpoint(f"http://e{number % 40:02}:1/{'p' * 400}"))
        for number in range(300)
    ]
    assert len(folded(*crowd).conflict) < 1_500
    assert "more" in folded(*crowd).conflict


def test_a_conflict_tells_no_query_of_an_endpoint() -> None:
    one, two = endpoint("http://x:1/?key=secret"), endpoint("http://y:1")
    assert "secret" not in folded(with_spec(A, **one), with_spec(B, **two)).conflict


def test_the_default_of_the_engine_is_nobodys_wish() -> None:
    made = folded(A, with_spec(B, remoteTokenizer={"engine": "sglang"}))
    assert made.conflict == ""
    values = values_for(made.members, Deployment(gateway_of()), PLUGIN)
    assert values.tokenizer_engine == "sglang"


def test_who_may_not_have_it_changed_has_no_say() -> None:
    stranger = companion("evil/kv", asks=False, sizes=(32,), **endpoint("http://evil:1"))
    made = folded(with_spec(A, **endpoint("http://x:1")), stranger)
    assert (made.conflict, set(made.marks)) == ("", {"a/kv"})


def test_another_gateway_is_another_matter_unless_a_deployment_is_shared() -> None:
    far = companion("c/kv", sizes=(32,), deployment="another")
    assert folded(A, far).conflict == ""
    near = companion("c/kv", sizes=(32,), deployment="another", alsoConfigure=["watcher"])
    middle = companion("b/kv", alsoConfigure=["watcher"])
    for by in range(3):
        assert "16 (a/kv, b/kv) and 32 (c/kv)" in folded(A, middle, near, by=by).conflict
