"""A status is written as a whole, and not over another operator's."""

from typing import Any, cast

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.events import EventRecorder
from kvsync.adapters.kube.resource import Resource
from kvsync.adapters.metrics import Metrics
from kvsync.model.observed import KVEventSync
from kvsync.shell.settings import Settings
from kvsync.shell.world import World
from kvsync.shell.writer import ClusterWriter

Operations = list[dict[str, Any]]


class Server:
    """Takes every patch, and remembers what it was asked to do."""

    def __init__(self) -> None:
        self.asked: Operations = []

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        operations: Operations,
        subresource: str,
    ) -> dict[str, Any]:
        assert subresource == "status"
        self.asked = operations
        return {"metadata": {"namespace": namespace, "name": name, "uid": "u"}}


async def asked(status: dict[str, Any], *, unchanged: bool = False) -> Operations:
    server = Server()
    world = World(Settings(), {}, {})
    writer = ClusterWriter(cast("Kube", server), cast("EventRecorder", None), world, Metrics())
    metadata = {"namespace": "n", "name": "kv", "uid": "u", "resourceVersion": "7"}
    sync = KVEventSync({"metadata": metadata, "status": status})
    await writer.write_status(sync, {"modelsTotal": 1}, unchanged=unchanged)
    return server.asked


UID = {"op": "test", "path": "/metadata/uid", "value": "u"}
WRITES = {"op": "add", "path": "/status", "value": {"modelsTotal": 1}}
SERVER = {"op": "test", "path": "/status/shard/name", "value": "ops/a"}
VERSION = {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}


async def test_a_status_is_of_the_very_object_and_of_the_operator_that_serves_it() -> None:
    assert await asked({}) == [UID, WRITES]
    assert await asked({"shard": {"name": "ops/a"}}) == [UID, SERVER, WRITES]


async def test_an_object_is_taken_and_let_go_of_only_as_it_was_seen() -> None:
    free = {"shard": {"lastChange": 7}}
    assert await asked(free, unchanged=True) == [UID, VERSION, WRITES]
    held = {"shard": {"name": "ops/a"}}
    assert await asked(held, unchanged=True) == [UID, SERVER, VERSION, WRITES]
