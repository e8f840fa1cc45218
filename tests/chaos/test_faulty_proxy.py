"""The proxy carries out each fault, before or after the server heard of the call."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from chaos.faults import EVENT, Call, Fault, Injection
from chaos.faulty_proxy import FaultyProxy

PODS = "/api/v1/namespaces/n/pods"
EVENTS = [{"type": "ADDED", "object": {"n": n}} for n in range(3)]
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError)


class Server:
    """Answers with a number that grows, and a watch with three events."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.heard.append(request.path_qs)
        if request.query.get("watch") != "true":
            return web.json_response({"count": len(self.heard)})
        response = web.StreamResponse()
        await response.prepare(request)
        for event in EVENTS:
            await response.write(json.dumps(event).encode() + b"\n")
        await response.write_eof()
        return response


class Door:
    """A client in front of the proxy in front of the server."""

    def __init__(self, server: Server, proxy: FaultyProxy, session: aiohttp.ClientSession) -> None:
        self.server, self.proxy = server, proxy
        self._session = session

    async def ask(self, method: str = "GET", path: str = PODS) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{self.proxy.port}{path}"
        async with self._session.request(method, url) as answer:
            return answer.status, await answer.read()

    def inject(self, verb: str, fault: Fault, path: str = "pods", number: int = 1) -> None:
        self.proxy.plan([Injection(Call("", verb, path, number), fault)])


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = {"clusters": [{"cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}]}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    proxy = FaultyProxy(tmp_path / "config")
    proxy.plan([])
    await proxy.start()
    async with aiohttp.ClientSession() as session:
        yield Door(server, proxy, session)
    await proxy.close()
    await runner.cleanup()


async def test_without_a_fault_all_is_passed_on_and_named(door: Door) -> None:
    assert await door.ask() == (200, b'{"count": 1}')
    assert door.proxy.calls == [Call("", "LIST", "pods", 1)]
    assert door.proxy.met == []


@pytest.mark.parametrize(
    "fault", [Fault.CONFLICT, Fault.INVALID, Fault.TOO_MANY, Fault.INTERNAL, Fault.UNAVAILABLE]
)
async def test_a_refusal_is_answered_in_the_servers_place_and_once(
    door: Door, fault: Fault
) -> None:
    door.inject("PATCH", fault, "pods/*")
    status, body = await door.ask("PATCH", f"{PODS}/x")
    assert (status, json.loads(body)["code"]) == (int(fault.value), int(fault.value))
    assert door.server.heard == []
    assert (await door.ask("PATCH", f"{PODS}/x"))[0] == 200
    assert len(door.proxy.met) == 1


async def test_too_many_says_when_to_come_again(door: Door) -> None:
    door.inject("LIST", Fault.TOO_MANY)
    url = f"http://127.0.0.1:{door.proxy.port}{PODS}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.headers["Retry-After"] == "1"


async def test_a_reset_comes_before_the_server_hears_and_a_loss_after(door: Door) -> None:
    for fault, heard in ((Fault.RESET, 0), (Fault.LOST, 1)):
        door.server.heard.clear()
        door.inject("CREATE", fault)
        with pytest.raises(LOST):
            await door.ask("POST")
        assert len(door.server.heard) == heard


async def test_a_truncated_answer_is_half_of_it(door: Door) -> None:
    door.inject("LIST", Fault.TRUNCATED)
    assert await door.ask() == (200, b'{"coun')


async def test_a_stalled_answer_never_comes_though_the_server_did_it(door: Door) -> None:
    door.inject("CREATE", Fault.STALL)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await door.ask("POST")
    assert len(door.server.heard) == 1


async def test_a_stale_answer_is_an_earlier_one(door: Door) -> None:
    door.inject("LIST", Fault.STALE, number=2)
    assert [await door.ask() for _ in range(3)] == [
        (200, b'{"count": 1}'),
        (200, b'{"count": 1}'),
        (200, b'{"count": 3}'),
    ]


@pytest.mark.parametrize(
    ("fault", "numbers"),
    [(Fault.TWICE, [0, 1, 1, 2]), (Fault.DROPPED, [0, 2]), (Fault.STALE, [0, 1, 2])],
)
async def test_an_event_comes_twice_or_never(door: Door, fault: Fault, numbers: list[int]) -> None:
    door.inject(EVENT, fault, number=2)
    _, body = await door.ask(path=f"{PODS}?watch=true")
    assert [json.loads(line)["object"]["n"] for line in body.splitlines()] == numbers


async def test_a_watch_ends_with_an_error_or_in_the_middle_of_an_event(door: Door) -> None:
    door.inject(EVENT, Fault.GONE, number=2)
    _, body = await door.ask(path=f"{PODS}?watch=true")
    first, last = map(json.loads, body.splitlines())
    assert (first["type"], last["type"], last["object"]["code"]) == ("ADDED", "ERROR", 410)
    door.inject(EVENT, Fault.TRUNCATED, number=2)
    _, body = await door.ask(path=f"{PODS}?watch=true")
    first_line, half = body.split(b"\n")
    assert json.loads(first_line) == EVENTS[0]
    assert json.dumps(EVENTS[1]).encode().startswith(half)


async def test_pages_are_small_whatever_was_asked_for(door: Door) -> None:
    await door.ask(path=f"{PODS}?limit=500&labelSelector=a")
    await door.ask()
    assert door.server.heard == [f"{PODS}?limit=2&labelSelector=a", PODS]
