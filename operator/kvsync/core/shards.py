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
    return str(entry_in(sync).get("name") or "")


def serving(sync: KVEventSync, shard: Shard) -> Serving:
    """What an object is to the operator of this shard."""
    server = server_of(sync)
    if not shard.selects(sync):
        return Serving.LEAVING if server == shard.name else Serving.FOREIGN
    if server == shard.name or not (server or shard.is_part):
        return Serving.OURS
    return Serving.HELD if server else Serving.FREE


def is_given_up(sight: Sight, terms: Terms, now: float) -> bool:
    """Whether nobody leads by a Lease any more, seen since ``sight.since`` on a clock of our own.

    As a standby judges (``core.leadership``), but one that is not there counts only after a while.
    """
    lease = sight.lease
    if lease is not None and not lease.holder:
        return True
    asked = 0.0 if lease is None else min(lease.duration, LONGEST)
    return now - sight.since >= max(terms.duration, asked)


def taken(sync: KVEventSync, shard: Shard) -> dict[str, Any]:
    """The status by which an operator takes an object; what it was to the others stays."""
    if shard.is_part:
        return {**sync.status, FIELD: {**entry_in(sync), "name": shard.name}}
    return {key: value for key, value in sync.status.items() if key != FIELD}


def let_go(sync: KVEventSync) -> dict[str, Any]:
    """The status by which an operator lets go of an object."""
    entry = {key: value for key, value in entry_in(sync).items() if key != "name"}
    return {**sync.status, FIELD: entry}


def entry_of(standing: Standing, shard: Shard) -> dict[str, Any]:
    """What the status says of an object for the passes over others."""
    said: dict[str, Any] = {"name": shard.name}
    if standing.in_flight:
        said["inFlight"] = sorted(standing.in_flight)[:MOST_IN_FLIGHT]
    if standing.waiting:
        said["waiting"] = True
    if standing.last_change:
        said["lastChange"] = standing.last_change
    if standing.wish is not None:
        said["wish"] = _told(standing.wish)
    return said


def standing_of(
    sync: KVEventSync, spec: KVEventSyncSpec | None, age: float, *, permitted: bool
) -> Standing:
    """What an object that another operator serves is to the others, by what that one said.

    ``spec`` is None where it cannot be read. ``age``: the seconds for which that one has said the same,
    by a clock of our own. ``permitted``: whether the object may have its gateway changed by our own settings:
    nobody else's word counts for that.
    """
    entry = entry_in(sync)
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
    wish of a gateway. Which pods do not answer is no wish, and changes with every pod that starts."""
    told: Json = entry.get("wish") or {}
    wish = json.dumps({k: v for k, v in told.items() if k != "unanswering"}, sort_keys=True)
    return frozenset({*(f"model {name}" for name in entry.get("inFlight") or ()), f"wish {wish}"})


def entry_in(sync: KVEventSync) -> Json:
    """What its server says of an object; empty where nobody said anything."""
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
