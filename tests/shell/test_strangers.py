"""A name that is no workload is looked up once in a while, and only its kind is remembered."""

import asyncio
from typing import Any

from kvsync.adapters.kube.resource import Resource
from kvsync.model.errors import Forbidden, NotFound
from kvsync.shell.strangers import AGAIN, KINDS, Strangers

KEY = ("default", "kv")


class Cluster:
    """Objects by plural and name; reading one kind is forbidden."""

    def __init__(self, **objects: str) -> None:
        self.objects = objects
        self.reads: list[str] = []

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        self.reads.append(f"{resource.plural} {namespace}/{name}")
        await asyncio.sleep(0)
        if resource.plural == "podsets":
            raise Forbidden("no")
        if self.objects.get(resource.plural) == name:
            return {}
        raise NotFound("no")


class Told:
    """A clock to set, and who was told of news."""

    def __init__(self, cluster: Cluster) -> None:
        self.now = 0.0
        self.keys: list[tuple[str, str]] = []
        self.strangers = Strangers(cluster, self.keys.append, lambda: self.now)

    async def ask(self, *names: str) -> None:
        self.strangers.ask(KEY, names)
        for _ in range(20 * len(KINDS)):
            await asyncio.sleep(0)


async def test_the_kind_is_told_once_to_who_asked() -> None:
    cluster = Cluster(rayclusterfleets="a", statefulsets="b")
    told = Told(cluster)
    await told.ask("a", "b", "c")
    await told.ask("a", "b", "c")
    found = {name: kind for (_, name), kind in told.strangers.kinds.items()}
    assert found == {"a": "RayClusterFleet", "b": "StatefulSet"}
    assert told.keys == [KEY, KEY]
    assert len(cluster.reads) == 1 + 2 * len(KINDS), "each name once; the first kind ends a look"


async def test_it_is_looked_up_again_after_a_while_and_told_when_it_went() -> None:
    cluster = Cluster(statefulsets="a")
    told = Told(cluster)
    await told.ask("a")
    del cluster.objects["statefulsets"]
    told.now = AGAIN
    await told.ask("a")
    assert told.strangers.kinds == {("default", "a"): ""}
    assert told.keys == [KEY, KEY]


async def test_a_name_that_became_a_workload_is_forgotten() -> None:
    told = Told(Cluster(statefulsets="a"))
    await told.ask("a")
    told.strangers.forget(("default", "a"))
    assert told.strangers.kinds == {}
    await told.strangers.close()
