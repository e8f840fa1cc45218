"""The fence: a process that does not lead sends no write of any kind, and the Lease's own ones pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from kubernetes.aio.client import Configuration

from adapters.kube.conftest import Clock
from adapters.kube.fault_server import FaultServer, item, refuse, say
from kvsync.adapters.kube.access import Access, Loaded
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.lease import LeaseDoor
from kvsync.adapters.kube.resource import CONFIGMAPS
from kvsync.model.errors import Conflict, NotLeading

WRITES: dict[str, Callable[[Kube], Awaitable[object]]] = {
    "create": lambda kube: kube.create(CONFIGMAPS, "ns", item("a")),
    "replace": lambda kube: kube.replace(CONFIGMAPS, "ns", "a", item("a")),
    "merge_patch": lambda kube: kube.merge_patch(CONFIGMAPS, "ns", "a", {}),
    "json_patch": lambda kube: kube.json_patch(CONFIGMAPS, "ns", "a", []),
    "status": lambda kube: kube.json_patch(CONFIGMAPS, "ns", "a", [], "status"),
    "apply": lambda kube: kube.apply(CONFIGMAPS, "ns", "a", item("a")),
    "delete": lambda kube: kube.delete(CONFIGMAPS, "ns", "a"),
}


class Gate:
    """Leadership, to set."""

    def __init__(self) -> None:
        self.open = True

    def __call__(self) -> bool:
        return self.open


@asynccontextmanager
async def fenced(server: FaultServer, clock: Clock, gate: Gate) -> AsyncIterator[Kube]:
    loaded = Loaded(Configuration(host=server.url), "default")

    async def again() -> Loaded:
        return loaded

    access = Access(loaded, again)
    async with Kube(access, clock.timing, may_write=gate, instance="pod-0_ab12") as kube:
        yield kube


@pytest.mark.parametrize("write", WRITES)
async def test_no_write_is_sent_by_who_does_not_lead(write: str, clock: Clock) -> None:
    gate = Gate()
    async with FaultServer(say(item("a"))) as server, fenced(server, clock, gate) as kube:
        gate.open = False
        with pytest.raises(NotLeading, match="not sent"):
            await WRITES[write](kube)
        assert server.seen == []
        gate.open = True
        await WRITES[write](kube)
        assert len(server.seen) == 1


async def test_reads_pass(clock: Clock) -> None:
    gate = Gate()
    gate.open = False
    async with FaultServer(say(item("a"))) as server, fenced(server, clock, gate) as kube:
        assert (await kube.get(CONFIGMAPS, "ns", "a"))["metadata"]["name"] == "a"


async def test_a_write_that_the_server_had_wait_is_not_sent_again_later(clock: Clock) -> None:
    gate = Gate()
    busy = refuse(429, "TooManyRequests", Retry_After="7")

    async def lose(seconds: float) -> None:
        gate.open = False

    clock.sleep = lose  # type: ignore[method-assign]
    async with FaultServer(busy, say(item("a"))) as server, fenced(server, clock, gate) as kube:
        with pytest.raises(NotLeading):
            await kube.create(CONFIGMAPS, "ns", item("a"))
        assert len(server.seen) == 1


async def test_each_request_names_the_process_and_the_field_manager_stays(clock: Clock) -> None:
    async with FaultServer(say(item("a"))) as server, fenced(server, clock, Gate()) as kube:
        await kube.create(CONFIGMAPS, "ns", item("a"))
        (seen,) = server.seen
    assert seen.headers["User-Agent"].startswith("kvsync-operator/")
    assert seen.headers["User-Agent"].endswith(" (pod-0_ab12)")
    assert seen.query["fieldManager"] == "kvsync-operator"


async def test_the_lease_is_read_made_and_written_whole(clock: Clock) -> None:
    lease = {**item("l"), "spec": {"holderIdentity": "me"}}
    answers = (
        refuse(404, "NotFound"),
        say(lease, 201),
        say(lease),
        say(lease),
        refuse(409, "Conflict"),
    )
    async with FaultServer(*answers) as server, fenced(server, clock, Gate()) as kube:
        door = LeaseDoor(kube, "ops", "l")
        assert await door.read() is None
        await door.create({"holderIdentity": "me"})
        assert await door.read() == lease
        assert await door.replace(lease) == lease
        with pytest.raises(Conflict):
            await door.replace(lease)
        asked = [(each.method, each.path.partition("?")[0]) for each in server.seen]
    leases = "/apis/coordination.k8s.io/v1/namespaces/ops/leases"
    assert asked == [
        ("GET", f"{leases}/l"),
        ("POST", leases),
        ("GET", f"{leases}/l"),
        ("PUT", f"{leases}/l"),
        ("PUT", f"{leases}/l"),
    ]
