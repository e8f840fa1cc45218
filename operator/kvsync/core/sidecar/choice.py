"""Whether an engine gets a relay: what the object asks for, what speaks for it, what stands in the way.

``Auto`` looks at what stays the same while pods come and go: the owner's template, the object, the
releases of engine and gateway. Two things do not: an engine of unknown release is known by its events,
which nobody sees any more once a relay translates them, and by what it answers, which nobody hears while
it restarts. So a relay that was needed for an engine's layout stays while that engine is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvsync.core.desired import is_heard
from kvsync.core.engines import ENGINES
from kvsync.core.planned import Ask
from kvsync.core.ports import EnginePod, ports_in_use
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT, release_of
from kvsync.core.sidecar.pieces import name_taken
from kvsync.model.finding import Note, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.relay import MAX_RANKS, RELAY_CONTAINER, RelayPorts
from kvsync.model.spec import Dialect, EventsSpec, RelayMode

ANY_ENGINE = "*"
"""Stands for the engine of a relay whose record is lost."""

_STRIDE = 200
_LAST = 65535 - 2 * _STRIDE


@dataclass(frozen=True, slots=True)
class Choice:
    """What comes of it. ``ports`` None: no relay; ``why``: what it is needed for, clauses of a sentence.

    ``layout_of`` is the engine where the layout of its events is among the reasons, else empty.
    """

    ports: RelayPorts | None = None
    why: tuple[str, ...] = ()
    layout_of: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why an engine cannot have a relay: a clause, and what to do about it."""

    reason: ModelReason
    what: str
    remedy: str


def choose_relay(
    pod: EnginePod, settled: EventsSpec, ask: Ask, role: str, needed_for: str
) -> Choice | Refusal:
    """Whether an engine gets a relay.

    Args:
        pod: the workload without our changes, and its engine.
        settled: the event settings with the ports that it would use without a relay.
        ask: the object, and what is known of cluster and gateway.
        role: the role of a StormService, empty for a Deployment.
        needed_for: ``layout_of`` of the relay that it has now; empty without one.
    """
    mode = ask.spec.events.relay.mode
    if mode is RelayMode.OFF:
        return Choice()
    key = _engine_key(pod, ask)
    layout = _unread_layout(pod, ask, role, stands=needed_for in (key, ANY_ENGINE))
    why = tuple(_reasons(pod, settled, layout))
    if mode is RelayMode.AUTO and not why:
        return Choice()
    obstacle = next(_obstacles(pod), None)
    if obstacle is not None:
        return _impossible(pod, obstacle, mode)
    refusal = name_taken(pod.base)
    if refusal is not None:
        return refusal
    because = why or ("spec.events.relay.mode is Always",)
    return Choice(_free_ports(pod), because, key if layout else "", (_told(pod, because),))


def _engine_key(pod: EnginePod, ask: Ask) -> str:
    """What an engine's layout depends on."""
    return f"{pod.container.image} {ask.spec.engine.version}".strip()


def _unread_layout(pod: EnginePod, ask: Ask, role: str, *, stands: bool) -> str:
    """How the engine writes events, as a clause, where the gateway is known not to read that."""
    if stands:
        return "the gateway does not read the layout of its events"
    release = release_of(pod.engine)
    layout = ask.seen_layouts.get(role) or (release.layout if release is not None else None)
    if layout is None or ask.gateway_reads is None or layout in ask.gateway_reads:
        return ""
    return f"the gateway does not read events written as {layout}s"


def _reasons(pod: EnginePod, settled: EventsSpec, layout: str) -> Iterator[str]:
    if layout:
        yield layout
    if pod.ranks > 1:
        yield f"the gateway hears one of {pod.ranks} data-parallel ranks only"
    elif not is_heard(settled):
        yield f"the gateway looks on {GATEWAY_PORT} and {GATEWAY_REPLAY_PORT} only"


def _obstacles(pod: EnginePod) -> Iterator[_Obstacle]:
    engine, words = ENGINES[pod.engine.type], pod.engine.words
    if pod.engine.dialect is Dialect.FLAGS:
        yield _Obstacle(
            ModelReason.RELAY_UNSUPPORTED,
            "an engine that takes the flags dialect cannot be told where to publish",
            "Use an engine that takes --kv-events-config.",
        )
    if pod.on_the_node:
        yield _Obstacle(
            ModelReason.PORT_IN_USE,
            "its pods share their node's network (hostNetwork), where two relays would meet",
            "Take hostNetwork off.",
        )
    hidden = engine.hidden_ranks(words)
    if hidden:
        yield _Obstacle(
            ModelReason.RELAY_UNSUPPORTED,
            f"how many data-parallel ranks it runs is not shown by the manifest ({hidden[:100]})",
            "Write the number.",
        )
    if pod.ranks > MAX_RANKS:
        yield _Obstacle(
            ModelReason.RELAY_UNSUPPORTED,
            f"a relay takes {MAX_RANKS} data-parallel ranks at most, and it runs {pod.ranks}",
            "Run fewer ranks in a pod.",
        )
    users = ports_in_use(pod)
    taken = next((p for p in (GATEWAY_PORT, GATEWAY_REPLAY_PORT) if p in users), 0)
    if taken:
        yield _Obstacle(
            ModelReason.PORT_IN_USE,
            f"port {taken}, on which the gateway looks for the relay, is taken by {users[taken]}",
            "Move the other to another port.",
        )


def _impossible(pod: EnginePod, obstacle: _Obstacle, mode: RelayMode) -> Choice | Refusal:
    """Where the object leaves the choice to us the engine is configured all the same."""
    message = f"{pod.base.title} cannot have a relay: {obstacle.what}."
    if mode is RelayMode.AUTO:
        note = Note(ModelReason.RELAY_UNSUPPORTED, f"{message} {obstacle.remedy}")
        return Choice(notes=(note,))
    remedy = (
        f"{obstacle.remedy} Or set spec.events.relay.mode to Auto: such models do without then."
    )
    return Refusal(obstacle.reason, message, remedy)


def _free_ports(pod: EnginePod) -> RelayPorts:
    """The usual ports; moved together where something in the pod has one of them."""
    users = ports_in_use(pod).keys() | {GATEWAY_PORT, GATEWAY_REPLAY_PORT}
    usual = RelayPorts.of(pod.ranks)
    candidates = (RelayPorts.of(pod.ranks, first) for first in range(usual.http, _LAST, _STRIDE))
    return next((p for p in candidates if not p.all_of(pod.ranks) & users), usual)


def _told(pod: EnginePod, why: tuple[str, ...]) -> Note:
    return Note(
        ModelReason.RELAY_ADDED,
        f"The pods of {pod.base.title} get a relay (container {RELAY_CONTAINER}), for "
        f"{' and '.join(why)}: the engine publishes to it on the pod's loopback, and nobody else "
        "hears the engine itself.",
    )
