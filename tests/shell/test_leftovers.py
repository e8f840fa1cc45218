"""Gateways that nobody needs any more are found by their marks and given back, once."""

import copy
from collections.abc import Sequence

from core.objects import Json
from core.scenes import MARK, applied, gateway_of, gateway_turned_on
from kvsync.core.gateway import OWNERS_ANNOTATION
from kvsync.model.decision import Action
from kvsync.model.errors import Conflict
from kvsync.shell.leftovers import Leftovers
from kvsync.shell.settings import Settings
from kvsync.shell.world import World

KEY = ("aibrix-system", "aibrix-gateway-plugins")
MANAGER = {"manager": "kvsync-operator", "operation": "Update", "fieldsV1": {"f:spec": {}}}


class Cluster:
    """One gateway in a world, and the writes on it."""

    def __init__(self, gateway: Json, *, namespaces: tuple[str, ...] = ()) -> None:
        self.store = {KEY: gateway}
        self.world = World(Settings(namespaces=namespaces), self.store, {})
        self.writes: list[str] = []
        self.told: list[str] = []
        self.refuses = False
        self.leftovers = Leftovers(self.world, self)

    async def patch(self, action: Action) -> None:
        if self.refuses:
            raise Conflict("no")
        self.writes.append(action.reason)
        body = applied(self.store[KEY], action)
        body["metadata"]["resourceVersion"] = str(len(self.writes) + 1)
        self.store[KEY] = body
        self.world.note_written(action.kind, body)

    def announce_alone(self, action: Action) -> None:
        self.told.append(action.reason)


def configured(*marks: str, managers: Sequence[Json] = ()) -> Json:
    body = copy.deepcopy(gateway_turned_on())
    body["metadata"]["annotations"][OWNERS_ANNOTATION] = ",".join(marks)
    body["metadata"]["managedFields"] = list(managers)
    return body


async def test_the_last_mark_of_an_object_that_is_gone_restores_the_gateway() -> None:
    cluster = Cluster(configured(MARK, "team/gone", managers=[MANAGER]))
    assert await cluster.leftovers.sweep()
    assert cluster.writes == ["GatewayRestored", "FieldsReleased"]
    assert cluster.told == ["GatewayRestored"]
    assert cluster.store[KEY]["spec"] == gateway_of()["spec"]
    assert await cluster.leftovers.sweep()
    assert len(cluster.writes) == 2, "nothing is left"


async def test_where_others_live_only_the_mark_goes() -> None:
    cluster = Cluster(configured(MARK, "team/gone"))
    cluster.world.note_listed({"metadata": {"namespace": "default", "name": "sync", "uid": "u"}})
    before = cluster.store[KEY]["spec"]
    assert await cluster.leftovers.sweep()
    assert cluster.store[KEY]["spec"] == before
    assert cluster.store[KEY]["metadata"]["annotations"][OWNERS_ANNOTATION] == MARK


async def test_objects_that_this_operator_does_not_serve_are_not_known_to_be_gone() -> None:
    cluster = Cluster(configured(MARK, "team/away"), namespaces=("default",))
    assert await cluster.leftovers.sweep()
    assert cluster.store[KEY]["metadata"]["annotations"][OWNERS_ANNOTATION] == "team/away"


async def test_a_gateway_that_it_may_not_change_is_left() -> None:
    cluster = Cluster(configured(MARK))
    elsewhere = ("elsewhere", "gateway")
    body = copy.deepcopy(cluster.store.pop(KEY))
    body["metadata"] |= {"namespace": elsewhere[0], "name": elsewhere[1]}
    cluster.store[elsewhere] = body
    assert await cluster.leftovers.sweep()
    assert cluster.writes == []


async def test_a_write_that_is_refused_is_tried_again() -> None:
    cluster = Cluster(configured(MARK))
    cluster.refuses = True
    assert not await cluster.leftovers.sweep()
    cluster.refuses = False
    assert await cluster.leftovers.sweep()
    assert cluster.store[KEY]["spec"] == gateway_of()["spec"]


async def test_a_record_that_cannot_be_read_is_left_to_a_person() -> None:
    body = configured(MARK)
    body["metadata"]["annotations"]["kvsync.aibrix.ai/record"] = "{}"
    cluster = Cluster(body)
    assert await cluster.leftovers.sweep()
    assert cluster.writes == []
