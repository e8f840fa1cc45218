"""Requests through the gateway: which pod they reach and how the tokens are made."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bed.gateway.hand_fed import (
    ALL_FOUR,
    ENGINE_BLOCK,
    HttpEngine,
    Publisher,
    Running,
    Source,
    address,
    pod,
    running,
    stored,
    tokens_of,
)
from testbed.gateway.pods import MODEL_LABEL
from testbed.gateway.releases import NEW_NAMES

PROMPT = "abcdefghijkl"
PLAIN = {MODEL_LABEL: "m"}
PREFIX_CACHE = {"routing-strategy": "prefix-cache"}


@pytest.fixture
async def engines() -> AsyncIterator[list[HttpEngine]]:
    both = [HttpEngine(name, address()) for name in ("a", "b")]
    for one in both:
        await one.start()
    yield both
    for one in both:
        await one.stop()


def template(engines: list[HttpEngine], **changes: str) -> dict[str, str]:
    """The environment with a tokenizer address that names the first engine's port."""
    port = engines[0].port
    return ALL_FOUR | {"AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE": f"http://%s:{port}"} | changes


def blocks(count: int) -> Callable[[dict[str, Any]], bool]:
    return lambda state: bool(state["index"] == count)


async def ask(
    gateway: Running,
    prompt: str = PROMPT,
    headers: dict[str, str] | None = None,
    path: str = "/v1/completions",
    **body: Any,
) -> tuple[int, str | None, str | None, dict[str, Any]]:
    await gateway.until(gateway.gateway.serving.is_set)
    url = f"http://127.0.0.1:{gateway.gateway.bound['http']}{path}"
    content = (
        {"messages": [{"role": "user", "content": prompt}]}
        if "chat" in path
        else {"prompt": prompt}
    )
    sent = {"model": "m", **content, **body}
    chosen = PREFIX_CACHE if headers is None else headers
    async with gateway.session.post(url, json=sent, headers=chosen) as answer:
        marks = answer.headers
        return (
            answer.status,
            marks.get("target-pod"),
            marks.get("x-prefix-match-percent"),
            await answer.json(),
        )


def two_pods(engines: list[HttpEngine], labels: dict[str, str]) -> Source:
    return Source(*(pod(one.name, one.ip, labels, one.port) for one in engines))


async def test_a_prompt_that_an_engine_reported_comes_back_to_it(engines: list[HttpEngine]) -> None:
    source = Source(*(pod(one.name, one.ip, port=one.port) for one in engines))
    publishers = [Publisher(one.ip) for one in engines]
    async with running(source, "v0.7.0", template(engines)) as gateway:
        await gateway.until_logged("initialized successfully")
        await publishers[1].joined()
        parent = None
        for number in range(len(PROMPT) // ENGINE_BLOCK):
            block = range(97 + 4 * number, 101 + 4 * number)
            await publishers[1].publish(stored(number + 1, block, parent))
            parent = number + 1
            await gateway.until_state(blocks(number + 1))
        answer = await ask(gateway)
        exposed = await gateway.metrics()
    for one in publishers:
        await one.close()
    assert answer[:3] == (200, "b", "100")
    assert answer[3]["served_by"] == "b"
    assert engines[0].tokenized + engines[1].tokenized == 1
    assert (
        "aibrix_prefix_cache_routing_selection_total"
        '{model="m",selection="prefix_match",using_kv_sync="true"} 1.0'
    ) in exposed


async def test_the_index_can_be_asked_without_routing(engines: list[HttpEngine]) -> None:
    engine = engines[0]
    publisher = Publisher(engine.ip)
    source = Source(pod(engine.name, engine.ip, port=engine.port))
    async with running(source, "v0.7.0", template(engines)) as gateway:
        await gateway.until_logged("initialized successfully")
        await publisher.joined()
        await publisher.publish(stored(1, range(97, 101)))
        await gateway.until_state(blocks(1))
        url = f"http://127.0.0.1:{gateway.gateway.bound['http']}/debug/match"
        for _ in range(2):
            async with gateway.session.post(url, json={"model": "m", "prompt": PROMPT}) as answer:
                assert await answer.json() == {"blocks": 3, "pods": {"default/a": 1}}
        async with gateway.session.post(url, json={"model": "no", "prompt": PROMPT}) as answer:
            assert answer.status == 400
        exposed = await gateway.metrics()
    await publisher.close()
    assert "selection_total{" not in exposed


@pytest.mark.parametrize(("tag", "expected"), [("v0.6.0", "0"), ("v0.7.0", "100")])
async def test_up_to_v0_6_0_events_never_reach_the_router(
    tag: str, expected: str, engines: list[HttpEngine]
) -> None:
    engine = engines[0]
    publisher = Publisher(engine.ip)
    source = Source(pod(engine.name, engine.ip, port=engine.port))
    async with running(source, tag, template(engines)) as gateway:
        await gateway.until_logged("initialized successfully")
        await publisher.joined()
        await publisher.publish(stored(1, range(97, 101)))
        await gateway.until_state(lambda state: state["index"] == 1)
        answer = await ask(gateway, "abcd")
    await publisher.close()
    assert answer[2] == expected


async def test_without_sync_the_router_still_remembers_what_it_sent(
    engines: list[HttpEngine],
) -> None:
    env = ALL_FOUR | {NEW_NAMES.sync: "false", NEW_NAMES.remote_tokenizer: "false"}
    long = "x" * 40
    async with running(two_pods(engines, PLAIN), env=env) as gateway:
        first = await ask(gateway, long)
        second = await ask(gateway, long)
        exposed = await gateway.metrics()
    assert first[2] == "0"
    assert second[1:3] == (first[1], "100")
    assert engines[0].tokenized == 0
    assert 'using_kv_sync="false"} 1.0' in exposed
    assert 'using_kv_sync="true"' not in exposed


async def test_misses_take_turns(engines: list[HttpEngine]) -> None:
    async with running(two_pods(engines, PLAIN), env={}) as gateway:
        reached = [(await ask(gateway, headers={}))[1] for _ in range(4)]
    assert sorted(map(str, reached)) == ["a", "a", "b", "b"]


async def test_chat_is_tokenized_by_the_engine_too(engines: list[HttpEngine]) -> None:
    async with running(two_pods(engines, PLAIN), env=template(engines)) as gateway:
        answer = await ask(gateway, path="/v1/chat/completions")
        again = await ask(gateway, path="/v1/chat/completions")
    assert answer[0] == 200
    assert again[1:3] == (answer[1], "100")


async def test_when_no_engine_tokenizes_characters_are_used_and_counted(
    engines: list[HttpEngine],
) -> None:
    env = template(engines, AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE="http://%s:1")
    async with running(two_pods(engines, PLAIN), env=env) as gateway:
        answer = await ask(gateway)
        exposed = await gateway.metrics()
    assert answer[0] == 200
    assert "aibrix_tokenizer_pool_creation_failures_total 1.0" in exposed


async def test_pods_that_are_not_ready_are_passed_over(engines: list[HttpEngine]) -> None:
    a, b = (pod(one.name, one.ip, PLAIN, one.port) for one in engines)
    source = Source(dataclasses.replace(a, ready=False), b)
    async with running(source, env={}) as gateway:
        reached = {(await ask(gateway, headers={}))[1] for _ in range(3)}
        source.change(dataclasses.replace(b, ready=False))
        source.delete(a)
        await gateway.until_state(lambda state: state["pods"] == 1)
        refused = await ask(gateway, headers={})
    assert reached == {"b"}
    assert refused[0] == 503


async def test_requests_that_reach_nobody_say_why(engines: list[HttpEngine]) -> None:
    closed = pod("c", engines[0].ip, PLAIN, 1)
    async with running(Source(closed), env={}) as gateway:
        unknown = await ask(gateway, model="other")
        nameless = await ask(gateway, model=None)
        unreachable = await ask(gateway)
    assert (unknown[0], nameless[0], unreachable[0]) == (400, 400, 502)
    assert "model other does not exist" in unknown[3]["error"]["message"]
    assert unreachable[1] == "c"


def test_tokens_are_four_bytes_each() -> None:
    assert tokens_of("ab") == b"\x00\x00\x00a\x00\x00\x00b"
