"""The gateway's subscriptions against publishers on loopback, pods fed by hand."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bed.gateway.hand_fed import ALL_FOUR, ENABLED, Publisher, Source, address, pod, running, stored
from testbed.gateway.pods import KV_EVENTS_LABEL, MODEL_LABEL
from testbed.gateway.releases import NEW_NAMES
from testbed.gateway.timings import Timings

MAP_EVENT = {"type": "AllBlocksCleared"}
SUBSCRIBED = "Subscribed to KV events for pod"


def batches_beyond(seen: int) -> Callable[[dict[str, Any]], bool]:
    return lambda state: bool(state["subscriptions"]["default/a"]["batches"] > seen)


@pytest.fixture
async def publisher() -> AsyncIterator[Callable[..., Publisher]]:
    opened: list[Publisher] = []

    def open_one(ip: str, *, answers: bool = True) -> Publisher:
        opened.append(Publisher(ip, answers=answers))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


async def test_array_events_are_decoded(publisher: Callable[..., Publisher]) -> None:
    engine = publisher(ip := address())
    async with running(Source(pod("a", ip)), "v0.7.0") as gateway:
        await gateway.until(gateway.gateway.serving.is_set)
        await gateway.until_state(lambda state: state["initialised"])
        await gateway.publish_until_seen(engine, stored(1, range(4)))
        state = await gateway.until_state(lambda state: state["index"] == 1)
        seen = state["subscriptions"]["default/a"]
        assert (seen["errors"], seen["replays_answered"], seen["ip"]) == (0, 1, ip)
        lines = [line.partition("] ")[2] for line in gateway.log.splitlines()]
    assert engine.requests == [[b"", bytes(8)]]
    assert lines[:7] == [
        "Initializing KV event synchronization",
        f"Successfully connected to vLLM pod default/a at {ip}",
        "Successfully requested replay from seq 0 for default/a (response: 0 bytes)",
        "ZMQ client started for pod default/a",
        f"Subscribed to KV events for pod default/a (model: m, IP: {ip})",
        "KV event manager started successfully",
        "KV event synchronization initialized successfully",
    ]


async def test_map_events_are_an_error_again_and_again(publisher: Callable[..., Publisher]) -> None:
    engine = publisher(ip := address())
    async with running(Source(pod("a", ip))) as gateway:
        await gateway.until_logged(SUBSCRIBED)
        for times in (1, 2):
            while gateway.log.count("Event consumption error for default/a") < times:
                await engine.publish(MAP_EVENT)
                await asyncio.sleep(0.02)
        await gateway.until_logged("Attempting to reconnect to default/a after 0.05s", 2)
        await gateway.until_logged("Successfully connected to vLLM pod default/a", 3)
        state = await gateway.state()
    assert state["subscriptions"]["default/a"]["batches"] == 0
    assert "event 0: expected msgpack array, got map[string]interface {}" in gateway.log


async def test_after_an_error_the_next_good_batch_is_taken(
    publisher: Callable[..., Publisher],
) -> None:
    engine = publisher(ip := address())
    async with running(Source(pod("a", ip))) as gateway:
        await gateway.until_logged(SUBSCRIBED)
        await gateway.publish_until_seen(engine, MAP_EVENT, "errors")
        await gateway.publish_until_seen(engine, stored(1, range(4)))
        state = await gateway.until_state(lambda state: state["index"] == 1)
    assert state["subscriptions"]["default/a"]["errors"] >= 1


@pytest.mark.parametrize("tag", ["v0.4.1", "v0.5.0"])
async def test_older_releases_decode_nothing(tag: str, publisher: Callable[..., Publisher]) -> None:
    engine = publisher(ip := address())
    async with running(Source(pod("a", ip)), tag) as gateway:
        await gateway.until_logged(SUBSCRIBED)
        await gateway.publish_until_seen(engine, stored(1, range(4)), "errors")
        exposed = await gateway.metrics()
    assert "msgpack : invalid code 93 decoding map" in gateway.log
    assert ("aibrix_kvcache_zmq_errors_total" in exposed) is (tag == "v0.4.1")
    assert engine.requests[0] == [bytes(8)]


async def test_label_changes_on_a_live_pod_are_honoured_both_ways(
    publisher: Callable[..., Publisher],
) -> None:
    engine = publisher(ip := address())
    source = Source(pod("a", ip, {MODEL_LABEL: "m"}))
    async with running(source) as gateway:
        await gateway.until(gateway.gateway.serving.is_set)
        assert SUBSCRIBED not in gateway.log
        source.change(pod("a", ip))
        await gateway.until_logged(SUBSCRIBED)
        await gateway.publish_until_seen(engine, stored(1, range(4)))
        source.change(pod("a", ip, ENABLED | {KV_EVENTS_LABEL: "false"}))
        await gateway.until_logged("Unsubscribed from KV events for pod default/a")
        state = await gateway.state()
    assert state["subscriptions"] == {}
    assert state["index"] == 1


async def test_a_new_model_name_on_a_live_pod_changes_nothing(
    publisher: Callable[..., Publisher],
) -> None:
    publisher(ip := address())
    source = Source(pod("a", ip))
    async with running(source) as gateway:
        await gateway.until_logged(SUBSCRIBED)
        source.change(pod("a", ip, ENABLED | {MODEL_LABEL: "other"}))
        source.change(pod("b", ip, {MODEL_LABEL: "m"}))
        await gateway.until_state(lambda state: state["pods"] == 2)
    assert gateway.log.count(SUBSCRIBED) == 1
    assert "other" not in gateway.log
    assert "Unsubscribed" not in gateway.log


async def test_a_deleted_pod_is_forgotten(publisher: Callable[..., Publisher]) -> None:
    engine = publisher(ip := address())
    source = Source(gone := pod("a", ip))
    async with running(source) as gateway:
        await gateway.until_logged(SUBSCRIBED)
        await gateway.publish_until_seen(engine, stored(1, range(4)))
        source.delete(gone)
        await gateway.until_logged("Unsubscribed from KV events for pod default/a")
        await gateway.until_state(lambda state: (state["index"], state["pods"]) == (0, 0))


async def test_another_pod_of_the_same_name_is_subscribed_to_anew(
    publisher: Callable[..., Publisher],
) -> None:
    publisher(first := address())
    publisher(second := address())
    source = Source(pod("a", first))
    async with running(source) as gateway:
        await gateway.until_logged(f"IP: {first}")
        source.change(dataclasses.replace(pod("a", second), uid="another"))
        await gateway.until_logged(f"(model: m, IP: {second})")
    assert gateway.log.count("Unsubscribed from KV events for pod default/a") == 1


async def test_a_silent_engine_stalls_all_pod_news(publisher: Callable[..., Publisher]) -> None:
    publisher(silent := address(), answers=False)
    publisher(good := address())
    source = Source()
    async with running(source) as gateway:
        await gateway.until(gateway.gateway.serving.is_set)
        started = asyncio.get_running_loop().time()
        source.change(pod("silent", silent))
        source.change(pod("good", good))
        await gateway.until_logged("Subscribed to KV events for pod default/good")
        took = asyncio.get_running_loop().time() - started
    assert took >= 0.3
    assert (
        "Failed to request initial replay for default/silent: "
        "failed to receive replay response: resource temporarily unavailable"
    ) in gateway.log
    assert gateway.log.index("default/silent (model") < gateway.log.index("default/good at")


async def test_silent_engines_at_start_leave_the_gateway_without_sync() -> None:
    pods = [pod(f"p{number}", address()) for number in range(4)]
    source = Source(*pods)
    timings = Timings(replay=0.1, reconnect=0.05, initialise=0.25)
    async with running(source, timings=timings) as gateway:
        assert "http" not in gateway.gateway.bound
        await gateway.until(gateway.gateway.serving.is_set)
        assert (
            "Failed to initialize KV event sync: failed to start KV event sync: "
            "failed to process existing pods: context deadline exceeded"
        ) in gateway.log
        source.change(pod("late", address()))
        state = await gateway.until_state(lambda state: state["pods"] == 5)
        exposed = await gateway.metrics()
    assert state["subscriptions"] == {}
    assert not state["initialised"]
    assert "context deadline exceeded" in state["reason"]
    assert "default/late" not in gateway.log
    assert 'indexer_status{indexer_type="sync",model="_init_"} 1.0' in exposed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({NEW_NAMES.sync: "false"}, ""),
        ({NEW_NAMES.remote_tokenizer: ""}, "KV event sync requires remote tokenizer"),
        ({NEW_NAMES.tokenizer_type: "character"}, "Failed to initialize KV event sync"),
        ({NEW_NAMES.endpoint: ""}, "Failed to initialize KV event sync"),
    ],
)
async def test_a_misconfigured_gateway_serves_and_subscribes_to_nothing(
    change: dict[str, str], words: str
) -> None:
    async with running(Source(pod("a", address())), env=ALL_FOUR | change) as gateway:
        await gateway.until(gateway.gateway.serving.is_set)
        state = await gateway.state()
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.bound["grpc"])
        writer.close()
    assert (state["serving"], state["initialised"], state["subscriptions"]) == (True, False, {})
    assert words in gateway.log
    assert ("KV event" in gateway.log) is bool(words)


async def test_clearing_purges_after_v0_7_0_only(publisher: Callable[..., Publisher]) -> None:
    left = {}
    for tag in ("v0.7.0", "main"):
        engine = publisher(ip := address())
        async with running(Source(pod("a", ip)), tag) as gateway:
            await gateway.until_logged(SUBSCRIBED)
            await gateway.publish_until_seen(engine, stored(1, range(4)))
            before = (await gateway.state())["subscriptions"]["default/a"]["batches"]
            await engine.publish(["AllBlocksCleared"])
            state = await gateway.until_state(batches_beyond(before))
            left[tag] = state["index"]
    assert left == {"v0.7.0": 1, "main": 0}


async def test_unequal_hashes_and_blocks_are_an_error_that_keeps_the_connection(
    publisher: Callable[..., Publisher],
) -> None:
    engine = publisher(ip := address())
    async with running(Source(pod("a", ip))) as gateway:
        await gateway.until_logged(SUBSCRIBED)
        await gateway.publish_until_seen(engine, ["BlockStored", [1, 2], None, [1, 2], 2])
        state = await gateway.state()
    assert state["subscriptions"]["default/a"]["errors"] == 0
    assert "Failed to handle event from default/a: block hashes and tokens" in gateway.log


async def test_the_end_closes_the_clients_without_saying_unsubscribed(
    publisher: Callable[..., Publisher],
) -> None:
    publisher(ip := address())
    async with running(Source(pod("a", ip)), "v0.4.1") as gateway:
        await gateway.until_logged(SUBSCRIBED)
    assert "ZMQ client stopped for pod default/a" in gateway.log
    assert "Stopping KV event manager" in gateway.log
    assert "Unsubscribed" not in gateway.log


async def test_a_gap_is_warned_of_and_a_restart_resumes_without_a_line(
    publisher: Callable[..., Publisher],
) -> None:
    engine = publisher(ip := address())
    async with running(Source(pod("a", ip))) as gateway:
        await gateway.until_logged(SUBSCRIBED)
        await engine.joined()
        for sequence in (0, 5, 0):
            engine.sequence = sequence
            await engine.publish(["AllBlocksCleared"])
        state = await gateway.until_state(
            lambda state: state["subscriptions"]["default/a"]["batches"] == 3
        )
    assert "Missed 4 events for default/a (last=0, current=5)" in gateway.log
    assert gateway.log.count("Missed") == 1
    assert state["subscriptions"]["default/a"]["last_sequence"] == 0
