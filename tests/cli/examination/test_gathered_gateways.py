"""Which gateways are looked at, and what is asked of the services that their variables name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kvsync.cli.examination.gateways import gateway_facts
from kvsync.core.doctor.facts import GatewayFacts, Unread
from kvsync.core.gateway_access import GatewayGrant
from kvsync.model.observed import KVEventSync

OWN = GatewayGrant("aibrix-system", "gw")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Something that accepts connections."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def sync(name: str, **gateway: Any) -> KVEventSync:
    spec = {"namespace": "aibrix-system", "deployment": "gw", "container": "c", **gateway}
    return KVEventSync({"metadata": {"namespace": "t", "name": name}, "spec": {"gateway": spec}})


class Deployments:
    """A list of Deployments by their name; every one with these variables."""

    def __init__(self, *names: str, **variables: str) -> None:
        self._names = names
        self._env = [{"name": key, "value": value} for key, value in variables.items()]

    async def list(self, _resource: Any, namespace: str, *, field_selector: str) -> Any:
        name = field_selector.removeprefix("metadata.name=")
        if name not in self._names:
            return []
        pod = {"containers": [{"name": "c", "env": self._env}]}
        spec = {"template": {"spec": pod}}
        return [{"metadata": {"namespace": namespace, "name": name}, "spec": spec}]


async def found(
    deployments: Deployments, *syncs: KVEventSync, grants: tuple[GatewayGrant, ...] = (OWN,)
) -> dict[str, GatewayFacts]:
    facts = await gateway_facts(deployments, grants, syncs)  # type: ignore[arg-type]
    return {each.title: each for each in facts}


async def test_those_of_the_settings_and_those_that_objects_name() -> None:
    facts = await found(
        Deployments("gw"),
        sync("a", alsoConfigure=["watcher"]),
        sync("b"),
        sync("c", deployment="other", manage=False),
        grants=(OWN, GatewayGrant("prod-*", "gw")),
    )
    assert facts.keys() == {"aibrix-system/gw", "aibrix-system/watcher"}
    assert facts["aibrix-system/gw"].named == ("t/a", "t/b")
    assert facts["aibrix-system/gw"].redis is None, "its variables name none"
    missing = facts["aibrix-system/watcher"].deployment
    assert isinstance(missing, Unread)
    assert missing.missing


@pytest.mark.parametrize(
    "broken",
    [{"alsoConfigure": 7}, {"alsoConfigure": [None]}, {"namespace": "A"}, {"deployment": "a b"}],
    ids=str,
)
async def test_of_an_object_that_cannot_be_read_none_is_taken(broken: dict[str, Any]) -> None:
    facts = await found(Deployments("gw"), sync("a", **broken), sync("b"))
    assert {title: each.named for title, each in facts.items()} == {"aibrix-system/gw": ("t/b",)}


async def test_where_it_names_nothing_the_usual_one_is_meant() -> None:
    least = KVEventSync({"metadata": {"namespace": "t", "name": "a"}, "spec": {}})
    facts = await found(Deployments(), least, grants=())
    assert facts.keys() == {"aibrix-system/aibrix-gateway-plugins"}


async def test_its_redis_is_connected_to(port: int) -> None:
    there = Deployments("gw", REDIS_HOST="127.0.0.1", REDIS_PORT=str(port))
    redis = (await found(there, sync("a")))["aibrix-system/gw"].redis
    assert redis is not None
    assert (redis.address, redis.problem) == (f"Redis 127.0.0.1:{port}", "")
    gone = Deployments("gw", REDIS_HOST="127.0.0.1", REDIS_PORT="1")
    redis = (await found(gone, sync("a")))["aibrix-system/gw"].redis
    assert redis is not None
    assert redis.problem == "Connection refused"


@pytest.mark.parametrize("value", ["0", "70000", "x", "tcp://10.0.0.1:6379"])
async def test_a_port_that_is_none_is_not_asked(value: str) -> None:
    odd = Deployments("gw", REDIS_HOST="127.0.0.1", REDIS_PORT=value)
    assert (await found(odd, sync("a")))["aibrix-system/gw"].redis is None


async def test_a_tokenizer_is_asked_and_shown_without_what_is_secret() -> None:
    name = "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT"
    told = Deployments("gw", **{name: "http://me:secret@127.0.0.1:1?key=secret"})
    tokenizer = (await found(told, sync("a")))["aibrix-system/gw"].tokenizer
    assert tokenizer is not None
    url, answer = tokenizer
    assert url == "http://127.0.0.1:1…"
    assert not answer.works
    assert answer.problem
