"""What a gateway knows of each kind of engine, at first and after it was restarted; and how it starts."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from testbed.hits.manifests import KINDS, Kind, Relay, Wish
from testbed.hits.place import (
    INITIALISED,
    WITHIN,
    Gateway,
    Hits,
    Place,
    Sent,
    fill,
    held_by,
    prompts,
)
from testbed.waiting import wait_for

BLOCKS = 8
"""Blocks that each prompt fills."""
LOADING = 6
FAILED = "Failed to initialize KV event sync"
FOREVER = 3600.0
SETTLED = 3.0
"""Seconds after which a gateway without relays has taken what it ever will."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One kind of engine, one way: at first, after the gateway's restart, and the ranks above 0 alone."""

    kind: Kind
    first: Hits
    first_further: Hits
    again: Hits
    further: Hits
    whole_after: float = 0.0


def measure(place: Place, count: int, say: Say, relay: Relay) -> list[Row]:
    """All kinds beside each other, each prompted so often, before one gateway."""
    way, relayed = relay.value, relay is not Relay.NONE
    names = {kind: f"{kind.name}-{way}" for kind in KINDS}
    for kind, name in names.items():
        place.put_up(kind, name, Wish(relay))
    sent = {}
    for kind, name in names.items():
        say(f"{name}: {count} prompts of {BLOCKS} blocks straight to the engine")
        sent[kind] = _send(place, kind, name, count)
    held = {kind: held_by(sent[kind]) for kind in KINDS}
    gateway = place.gateway
    first = {kind: _hits(gateway, sent[kind], held[kind], wait=relayed) for kind in KINDS}
    further = {kind: _further(gateway, sent[kind]) for kind in KINDS}
    say(f"{way}: the gateway is restarted")
    gateway.restart()
    whole = _whole(gateway, sent, held) if relayed else _settle(gateway)
    rows = [
        Row(
            kind,
            first[kind],
            further[kind],
            gateway.hits(sent[kind], held[kind]),
            _further(gateway, sent[kind]),
            whole.get(kind, 0.0),
        )
        for kind in KINDS
    ]
    place.take_down(*names.values())
    return rows


def _send(place: Place, kind: Kind, name: str, count: int) -> list[Sent]:
    engines = place.engines(name)
    for engine in engines:
        place.heard(engine, kind.ranks)
    return fill(engines, prompts(count, BLOCKS, seed=KINDS.index(kind)), kind.ranks)


def _hits(gateway: Gateway, sent: Sequence[Sent], held: int, *, wait: bool) -> Hits:
    if wait:
        gateway.until_whole(sent, held)
    return gateway.hits(sent, held)


def _further(gateway: Gateway, sent: Sequence[Sent]) -> Hits:
    """Of what ranks above 0 hold."""
    of_them = [one for one in sent if one.rank]
    return gateway.hits(of_them, held_by(of_them))


def _whole(
    gateway: Gateway, sent: dict[Kind, list[Sent]], held: dict[Kind, int]
) -> dict[Kind, float]:
    with ThreadPoolExecutor(len(sent)) as all_at_once:
        waiting = {
            kind: all_at_once.submit(gateway.until_whole, sent[kind], held[kind]) for kind in sent
        }
        return {kind: found.result() for kind, found in waiting.items()}


def _settle(gateway: Gateway) -> dict[Kind, float]:
    gateway.wait_ready()
    time.sleep(SETTLED)
    return {}


def load(place: Place, say: Say, relay: Relay) -> str:
    """What becomes of a gateway that starts beside engines that load for ever."""
    name = f"loading-{relay.value}"
    place.put_up(KINDS[1], name, Wish(relay, replicas=LOADING, load=FOREVER))
    wait_for(lambda: len(place.loading(name)) == LOADING, WITHIN, what=f"{LOADING} loading pods")
    if (
        relay is not Relay.NONE
    ):  # which takes less than a second, on a machine that does nothing else
        wait_for(lambda: place.relays_answer(name), WITHIN, what="the relays")
    say(f"{name}: {LOADING} engines load; the gateway is restarted")
    place.gateway.restart()
    found = wait_for(lambda: _outcome(place.gateway), WITHIN, what="the gateway's start", pause=0.2)
    place.take_down(name)
    return found


def _outcome(gateway: Gateway) -> str:
    """What the gateway's start came to; nothing while it goes on."""
    killed = gateway.killed_after()
    if killed is not None:
        return f"killed by its own liveness probe after {killed:.0f} s of waiting for them, again and again"
    for words, says in ((INITIALISED, "initialised"), (FAILED, "gives up")):
        seconds = gateway.seconds_to(words)
        if seconds is not None:
            return f"{says} after {seconds:.1f} s"
    return ""
