"""What `Kube` sends, repeats and refuses to follow, against a server that misbehaves."""

from __future__ import annotations

import json
import socket

import pytest
from kubernetes.aio.client import Configuration

from adapters.kube.conftest import Clock, Connect
from adapters.kube.fault_server import Answer, FaultServer, item, page, refuse, say, say_text
from kvsync.adapters.kube.access import Access, Loaded
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import CONFIGMAPS, STORMSERVICES
from kvsync.model.errors import (
    ConnectionLost,
    Gone,
    Invalid,
    ServerError,
    TooManyRequests,
    Unauthorized,
)

MIB = 1024 * 1024


async def test_a_read_is_repeated_with_growing_pauses(connect: Connect, clock: Clock) -> None:
    down = refuse(503, "ServiceUnavailable")
    async with FaultServer(down, down, say(item("a"))) as server:
        kube = await connect(server.url)
        assert (await kube.get(CONFIGMAPS, "ns", "a"))["metadata"]["name"] == "a"
    assert clock.pauses == [0.2, 0.4]


async def test_a_read_is_not_repeated_for_ever(connect: Connect, clock: Clock) -> None:
    async with FaultServer(*[refuse(503, "ServiceUnavailable", "down")] * 9) as server:
        kube = await connect(server.url)
        with pytest.raises(ServerError, match="down"):
            await kube.get(CONFIGMAPS, "ns", "a")
        assert len(server.seen) == 4


async def test_a_write_is_sent_once(connect: Connect) -> None:
    async with FaultServer(refuse(503, "ServiceUnavailable"), say(item("a"))) as server:
        kube = await connect(server.url)
        with pytest.raises(ServerError):
            await kube.merge_patch(CONFIGMAPS, "ns", "a", {"data": {}})
        assert len(server.seen) == 1


async def test_a_busy_server_is_given_the_time_it_asks_for(connect: Connect, clock: Clock) -> None:
    busy = refuse(429, "TooManyRequests", Retry_After="7")
    async with FaultServer(busy, say(item("a"))) as server:
        kube = await connect(server.url)
        await kube.create(CONFIGMAPS, "ns", item("a"))
        assert server.seen[0].body == server.seen[1].body
    assert clock.pauses == [7.0]


async def test_a_pause_too_long_is_left_to_the_caller(connect: Connect) -> None:
    async with FaultServer(refuse(429, "TooManyRequests", Retry_After="900")) as server:
        kube = await connect(server.url)
        with pytest.raises(TooManyRequests) as caught:
            await kube.get(CONFIGMAPS, "ns", "a")
    assert caught.value.retry_after == 900


async def test_every_write_says_who_writes(connect: Connect) -> None:
    async with FaultServer(*[say(item("a"))] * 5) as server:
        kube = await connect(server.url)
        await kube.create(CONFIGMAPS, "ns", item("a"))
        await kube.json_patch(CONFIGMAPS, "ns", "a", [{"op": "test", "path": "/x", "value": 1}])
        await kube.merge_patch(CONFIGMAPS, "ns", "a", {"status": {}}, "status", dry_run=True)
        await kube.apply(CONFIGMAPS, "ns", "a", {"data": {}}, force=True)
        await kube.delete(CONFIGMAPS, "ns", "a", uid="u")
        created, patched, merged, applied, deleted = server.seen
    assert all(s.headers["User-Agent"].startswith("kvsync-operator/") for s in server.seen)
    assert all(s.query["fieldManager"] == "kvsync-operator" for s in server.seen[:4])
    assert (created.method, patched.headers["Content-Type"]) == (
        "POST",
        "application/json-patch+json",
    )
    assert merged.path.startswith("/api/v1/namespaces/ns/configmaps/a/status?")
    assert merged.query["dryRun"] == "All"
    assert applied.headers["Content-Type"] == "application/apply-patch+yaml"
    assert applied.query["force"] == "true"
    assert json.loads(deleted.body)["preconditions"] == {"uid": "u"}


async def test_an_eviction_is_asked_once_of_one_very_pod(connect: Connect) -> None:
    busy = refuse(429, "TooManyRequests", "the budget", Retry_After="1")
    async with FaultServer(busy, say(item("a"))) as server:
        kube = await connect(server.url)
        with pytest.raises(TooManyRequests, match="the budget"):
            await kube.evict("ns", "a", uid="u")
        assert len(server.seen) == 1
        await kube.evict("ns", "a", uid="u")
        asked = server.seen[1]
    assert (asked.method, asked.path.partition("?")[0]) == (
        "POST",
        "/api/v1/namespaces/ns/pods/a/eviction",
    )
    body = json.loads(asked.body)
    assert (body["apiVersion"], body["kind"]) == ("policy/v1", "Eviction")
    assert body["deleteOptions"] == {"preconditions": {"uid": "u"}}


async def test_an_expired_page_token_is_answered_with_one_page(connect: Connect) -> None:
    expired = refuse(410, "Expired")
    async with FaultServer(page(9, "a", token="t"), expired, page(11, "a", "b")) as server:
        kube = await connect(server.url)
        found = await kube.list(CONFIGMAPS, "ns", label_selector="x=y")
        first, second, last = server.seen
    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    assert (first.query["limit"], second.query["continue"]) == ("500", "t")
    assert "limit" not in last.query
    assert last.query["labelSelector"] == "x=y"


async def test_gone_twice_is_told(connect: Connect) -> None:
    async with FaultServer(refuse(410, "Expired"), refuse(410, "Expired")) as server:
        kube = await connect(server.url)
        with pytest.raises(Gone):
            await kube.list(CONFIGMAPS)


async def test_a_redirect_is_not_followed_with_our_token(connect: Connect) -> None:
    away = say_text("", 302, Location="/elsewhere")
    async with FaultServer(away, say(item("a"))) as server:
        kube = await connect(server.url)
        with pytest.raises(Exception, match="302"):
            await kube.get(CONFIGMAPS, "ns", "a")
        assert len(server.seen) == 1


async def test_a_login_page_is_no_answer(connect: Connect) -> None:
    async with FaultServer(*[say_text("<html>sign in</html>")] * 4) as server:
        kube = await connect(server.url)
        with pytest.raises(ServerError, match="login page"):
            await kube.get(CONFIGMAPS, "ns", "a")


async def test_a_log_is_bounded_whatever_the_server_sends(connect: Connect) -> None:
    async with FaultServer(say_text("x" * 2 * MIB)) as server:
        kube = await connect(server.url)
        text = await kube.pod_log("ns", "p", "c", limit_bytes=1000)
        assert len(text) == 1000
        assert server.seen[0].query == {"container": "c", "tailLines": "50", "limitBytes": "1000"}


async def test_nobody_listens(connect: Connect, clock: Clock) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        kube = await connect(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1"):
            await kube.get_path("/version")
    assert len(clock.pauses) == 3


async def test_a_name_cannot_leave_its_path(connect: Connect) -> None:
    async with FaultServer(say(item("a"))) as server:
        kube = await connect(server.url)
        await kube.get(CONFIGMAPS, "ns", "../pods")
        with pytest.raises(Invalid):
            await kube.get(CONFIGMAPS, "ns", "..")
        assert [s.path for s in server.seen] == ["/api/v1/namespaces/ns/configmaps/..%2Fpods"]


async def test_nan_is_refused_here(connect: Connect) -> None:
    kube = await connect("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="JSON"):
        await kube.create(CONFIGMAPS, "ns", {"metadata": {"name": "a"}, "x": float("nan")})


async def test_a_refused_token_is_renewed_once(clock: Clock) -> None:
    loads = 0

    async def load() -> Loaded:
        nonlocal loads
        loads += 1
        configuration = Configuration(host=server.url, api_key={"BearerToken": f"Bearer t{loads}"})
        return Loaded(configuration, "default")

    no = refuse(401, "Unauthorized")
    async with FaultServer(no, say(item("a")), no, no) as server:
        access = Access(await load(), load, clock)
        async with Kube(access, clock.timing) as kube:
            clock.now += 10
            await kube.create(CONFIGMAPS, "ns", item("a"))
            assert [s.headers["Authorization"] for s in server.seen] == ["Bearer t1", "Bearer t2"]
            with pytest.raises(Unauthorized):  # just renewed: a broken plugin is not run in a loop
                await kube.create(CONFIGMAPS, "ns", item("a"))
            assert (loads, len(server.seen)) == (2, 3)


@pytest.mark.parametrize(
    ("answer", "served"),
    [
        (say({"resources": [{"name": "stormservices"}, {"name": "rolesets"}]}), True),
        (say({"resources": [{"name": "rolesets"}]}), False),
        (say({}), False),
        (say_text("404 page not found", 404), False),
    ],
)
async def test_whether_a_kind_is_served(connect: Connect, answer: Answer, served: bool) -> None:
    async with FaultServer(answer) as server:
        assert await (await connect(server.url)).serves(STORMSERVICES) is served
        assert server.seen[0].path == "/apis/orchestration.aibrix.ai/v1alpha1"
