"""Whose a KVEventSync is where several operators share them, and what each lets the others know.

An object's ``status.shard`` names the operator that serves it, and holds what its last pass left for
passes over other objects (`Standing`), which one operator alone keeps in memory.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any

from kvsync.core.actions import mark_of
from kvsync.core.leadership import LONGEST, Sight, Terms
from kvsync.core.turns import COMMON_PATIENCE
from kvsync.model.observed import KVEventSync
from kvsync.model.shard import Shard
from kvsync.model.spec import GatewaySpec, KVEventSyncSpec
from kvsync.model.standing import GatewayWish, Standing

Json = Mapping[str, Any]

FIELD = "shard"
"""The field of the status."""

MOST_IN_FLIGHT = 1000
"""Models of one object that are told of; ``--max-rolling`` is at most as much."""

MOST_OF_A_URL = 512
"""As the schema has it; one that is longer names no Service, whose name has at most 63 characters."""

TURN_PATIENCE = 300.0
"""Seconds for which an object that waits keeps its place in the queue without a word from its operator:
that of one that is gone must not keep everybody else from going on."""


class Serving(enum.Enum):
    """What an object is to one operator."""

    OURS = "ours"
    FREE = "free"
    """Ours to take."""
    HELD = "held"
    """Ours by its labels, and not let go yet by who served it."""
    LEAVING = "leaving"
    """Served by this one, and not selected any more."""
    FOREIGN = "foreign"


def server_of(sync: KVEventSync) -> str:
    """The shard that serves an object; empty where none does, or an operator without shards."""
    return str((sync.status.get(FIELD) or {}).get("name") or "")


def serving(sync: KVEventSync, shard: Shard | None) -> Serving:
    """What an object is to the operator of this shard; None: to one that serves all there are."""
    server = server_of(sync)
    if shard is None:
        return Serving.HELD if server else Serving.OURS
    if shard.selects(sync):
        if server == shard.name:
            return Serving.OURS
        return Serving.HELD if server else Serving.FREE
    return Serving.LEAVING if server == shard.name else Serving.FOREIGN


def is_given_up(sight: Sight, terms: Terms, now: float) -> bool:
    """Whether nobody leads by a Lease any more, seen since ``sight.since`` on a clock of our own.

    As a standby judges (``core.leadership``), but one that is not there counts only after a while.
    """
    lease = sight.lease
    if lease is not None and not lease.holder:
        return True
    asked = 0.0 if lease is None else min(lease.duration, LONGEST)
    return now - sight.since >= max(terms.duration, asked)


def taken(sync: KVEventSync, shard: Shard | None) -> dict[str, Any]:
    """The status by which an operator takes an object; what it was to the others stays."""
    if shard is not None:
        return {**sync.status, FIELD: {**_entry(sync), "name": shard.name}}
    return {key: value for key, value in sync.status.items() if key != FIELD}


def let_go(sync: KVEventSync) -> dict[str, Any]:
    """The status by which an operator lets go of an object."""
    entry = {key: value for key, value in _entry(sync).items() if key != "name"}
    return {**sync.status, FIELD: entry}


def entry_of(sync: KVEventSync, standing: Standing, shard: Shard, now: float) -> dict[str, Any]:
    """What the status says of an object for the passes over others; the same as long as nothing is new."""
    said: dict[str, Any] = {"name": shard.name}
    if standing.in_flight:
        said["inFlight"] = sorted(standing.in_flight)[:MOST_IN_FLIGHT]
    if standing.waiting:
        said["waiting"] = True
    if standing.last_change:
        said["lastChange"] = standing.last_change
    if standing.wish is not None:
        said["wish"] = _told(standing.wish)
    before = dict(_entry(sync))
    at = before.pop("publishedAt", None)
    same = before == said and at is not None
    return {**said, "publishedAt": at if same else int(now)}


def standing_of(
    sync: KVEventSync, spec: KVEventSyncSpec | None, now: float, *, permitted: bool
) -> Standing:
    """What an object that another operator serves is to the others, by what that one said.

    ``spec`` is None where it cannot be read. ``permitted``: whether it may have its gateway changed by
    our own settings: nobody else's word counts for that.
    """
    entry = _entry(sync)
    age = now - _whole(entry.get("publishedAt"))
    wish: Json | None = entry.get("wish")
    return Standing(
        mark_of(sync),
        wish=_wish(wish, sync, spec.gateway, permitted=permitted) if wish and spec else None,
        in_flight=tuple(entry.get("inFlight") or ()) if age < COMMON_PATIENCE else (),
        waiting=bool(entry.get("waiting")) and age < TURN_PATIENCE,
        last_change=_whole(entry.get("lastChange")),
    )


def claims_of(entry: Json) -> frozenset[str]:
    """What of an entry the others must know of before it is acted on: places that are taken, and the
    wish of a gateway."""
    wish = json.dumps(entry.get("wish"), sort_keys=True)
    return frozenset({*(f"model {name}" for name in entry.get("inFlight") or ()), f"wish {wish}"})


def _entry(sync: KVEventSync) -> Json:
    found = sync.status.get(FIELD)
    return found if isinstance(found, Mapping) else {}


def _told(wish: GatewayWish) -> dict[str, Any]:
    """All that does not stand in the object itself."""
    said: dict[str, Any] = {
        "asks": wish.asks,
        "ready": wish.ready,
        "derivedEndpoint": wish.derived_endpoint[:MOST_OF_A_URL],
        "blockSizes": sorted(wish.block_sizes),
        "httpPorts": sorted(wish.http_ports),
        "usualPort": wish.usual_port,
        "unanswering": list(wish.unanswering),
    }
    return {key: value for key, value in said.items() if value not in ("", [])}


def _wish(said: Json, sync: KVEventSync, gateway: GatewaySpec, *, permitted: bool) -> GatewayWish:
    return GatewayWish(
        spec=gateway,
        asks=bool(said.get("asks")) and gateway.manage and permitted,
        derived_endpoint=str(said.get("derivedEndpoint") or ""),
        block_sizes=frozenset(said.get("blockSizes") or ()),
        http_ports=frozenset(said.get("httpPorts") or ()),
        usual_port=_whole(said.get("usualPort")),
        ready=bool(said.get("ready")),
        retry=sync.retry,
        unanswering=tuple(said.get("unanswering") or ()),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
