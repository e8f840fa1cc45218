"""The gateways, and what they need: their Redis and their tokenizer, asked from here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from kvsync.adapters.engine_http.tokenizer import TokenizerHTTP
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import DEPLOYMENTS
from kvsync.adapters.reach import reach
from kvsync.cli.examination.reading_part import read_part
from kvsync.core.consumption.settings import ENDPOINT
from kvsync.core.doctor.facts import GatewayFacts, ReachFacts, Unread
from kvsync.core.environment import effective_value
from kvsync.core.gateway_access import GatewayGrant
from kvsync.core.gateway_fold import shown
from kvsync.model.fields import Fields, SpecError
from kvsync.model.observed import KVEventSync
from kvsync.model.spec import GatewaySpec
from kvsync.model.tokenizer import TokenizerAnswer, TokenizerQuestion
from kvsync.model.workload import Container, Deployment

MOST = 20
"""Gateways that are looked at."""

CONTAINER = GatewaySpec().container
"""The gateway's container in AIBrix's own manifests, and the CRD's default."""

_PATIENCE = 5.0
_USER = re.compile(r"//[^/?#]*@")
"""A name and a password in a URL: nobody's to read."""
_REDIS_PORT = "6379"

Place = tuple[str, str]


async def gateway_facts(
    kube: Kube, grants: Iterable[GatewayGrant], syncs: Sequence[KVEventSync]
) -> tuple[GatewayFacts, ...]:
    """The gateways that settings name in full, and those that objects name."""
    named: dict[Place, list[str]] = {}
    containers: dict[Place, str] = {}
    for grant in grants:
        if grant.named_in_full:
            named.setdefault((grant.gateway_namespace, grant.gateway), [])
    for sync in syncs:
        spec = _spec(sync)
        if spec is None or not spec.manage:
            continue
        for place in reversed(spec.consumers):
            named.setdefault(place, []).append(f"{sync.namespace}/{sync.name}")
            containers[place] = spec.container
    tokenizers = TokenizerHTTP()
    try:
        return tuple(
            await asyncio.gather(
                *(
                    _one(kube, tokenizers, place, containers.get(place, CONTAINER), objects)
                    for place, objects in list(named.items())[:MOST]
                )
            )
        )
    finally:
        await tokenizers.close()


def _spec(sync: KVEventSync) -> GatewaySpec | None:
    """What an object says of its gateway; None where that cannot be read, and so names none."""
    with suppress(SpecError):
        return GatewaySpec.from_fields(Fields(sync.body.get("spec") or {}, "spec").child("gateway"))
    return None


async def _one(
    kube: Kube, tokenizers: TokenizerHTTP, place: Place, container: str, objects: Sequence[str]
) -> GatewayFacts:
    namespace, name = place
    title = f"Deployment {namespace}/{name}"
    read = await read_part(_deployment(kube, place), title, _PATIENCE)
    facts = GatewayFacts(namespace, name, container, read, tuple(objects))
    found = None if isinstance(read, Unread) else read.container(container)
    if found is None:
        return facts
    redis, tokenizer = await asyncio.gather(_redis(found, namespace), _tokenizer(tokenizers, found))
    return replace(facts, redis=redis, tokenizer=tokenizer)


async def _deployment(kube: Kube, place: Place) -> Deployment | Unread:
    """By a list, as the operator's own rights allow it."""
    found = await kube.list(DEPLOYMENTS, place[0], field_selector=f"metadata.name={place[1]}")
    if not found:
        return Unread(f"there is no Deployment {place[0]}/{place[1]}.", missing=True)
    return Deployment(found[0])


async def _redis(container: Container, namespace: str) -> ReachFacts | None:
    """The Redis that its variables name (AIBrix ``pkg/utils``, REDIS_HOST and REDIS_PORT)."""
    host = effective_value(container, "REDIS_HOST")
    port = effective_value(container, "REDIS_PORT") or _REDIS_PORT
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    # A Service's short name is one of the gateway's own namespace.
    full = host if "." in host or ":" in host else f"{host}.{namespace}.svc"
    return ReachFacts(f"Redis {full}:{port}"[:200], await reach(full, int(port)))


async def _tokenizer(
    tokenizers: TokenizerHTTP, container: Container
) -> tuple[str, TokenizerAnswer] | None:
    url = effective_value(container, ENDPOINT)
    if not url:
        return None
    base, mark, query = url.partition("?")
    question = TokenizerQuestion(f"{base.rstrip('/')}/tokenize{mark}{query}")
    return shown(_USER.sub("//", url)), await tokenizers.tokenize(question)
