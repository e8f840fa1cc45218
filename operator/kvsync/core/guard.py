"""Known-fatal settings: each rule looks at one thing and refuses with a reason and a remedy.

A rule never guesses: it speaks only where the manifest itself shows that the engine would stop,
or would never publish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kvsync.core.arguments import FALSE, data_parallel_ranks, switch_of
from kvsync.core.desired import EVENTS_LABEL
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT, engine_release
from kvsync.model.finding import EngineFinding, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.spec import Dialect, EventsSpec
from kvsync.model.workload import JSON, Container, Deployment

_SIDE_CHANNEL = "VLLM_NIXL_SIDE_CHANNEL_PORT"
_NODE = "the node's network, which its pods share (hostNetwork)"


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule looks at: the workload without our changes, its engine, the wanted settings."""

    base: Deployment
    container: Container
    engine: EngineFinding
    events: EventsSpec

    @property
    def ranks(self) -> int:
        """How many data-parallel ranks the engine runs."""
        return data_parallel_ranks(self.container.words)


Rule = Callable[[Case], Refusal | None]


def prefix_caching_disabled(case: Case) -> Refusal | None:
    """Without prefix caching the ports open and nothing is ever sent."""
    if switch_of(case.container.words, "enable-prefix-caching") is not False:
        return None
    return Refusal(
        ModelReason.PREFIX_CACHING_DISABLED,
        f"Container {case.container.name} switches prefix caching off; such an engine has no KV "
        "events to publish.",
        "Remove --no-enable-prefix-caching from its arguments.",
    )


def engine_v0(case: Case) -> Refusal | None:
    """Releases that can fall back to the old engine send no events from it."""
    version = case.engine.version
    fallback = version is not None and engine_release(version).v0_fallback
    if not fallback or (case.container.env("VLLM_USE_V1") or "1").lower() not in FALSE:
        return None
    return Refusal(
        ModelReason.ENGINE_V0,
        f"Container {case.container.name} sets VLLM_USE_V1=0; the V0 engine of vLLM {version} "
        "publishes no KV events.",
        "Remove VLLM_USE_V1 from its environment.",
    )


def port_in_use(case: Case) -> Refusal | None:
    """A publisher that cannot bind stops the engine; each data-parallel rank binds one port further."""
    users = dict(_ports_in_use(case))
    for first in (case.events.port, case.events.replay_port):
        taken = min((port for port in users if first <= port < first + case.ranks), default=0)
        if taken or _on_the_node(case):
            return _taken(case, taken or first, users.get(taken, _NODE))
    return None


def _taken(case: Case, port: int, user: str) -> Refusal:
    return Refusal(
        ModelReason.PORT_IN_USE,
        f"Port {port} of Deployment {case.base.name}'s pods is taken by {user}.",
        "Set spec.events.port and spec.events.replayPort to free ports, or move the other "
        f"(the gateway looks for events on {GATEWAY_PORT} and {GATEWAY_REPLAY_PORT} only).",
    )


def _on_the_node(case: Case) -> bool:
    return bool((case.base.template.get("spec") or {}).get("hostNetwork"))


def _ports_in_use(case: Case) -> Iterator[tuple[int, str]]:
    for body in _neighbours(case):
        for declared in body.get("ports") or ():
            if declared.get("protocol", "TCP") == "TCP":
                yield int(declared.get("containerPort") or 0), f"container {body.get('name')}"
    side_channel = case.container.env(_SIDE_CHANNEL) or ""
    if side_channel.isdecimal():
        yield int(side_channel), f"the engine's NIXL side channel ({_SIDE_CHANNEL})"
    yield case.engine.http_port, "the engine's own HTTP server (--port)"


def _neighbours(case: Case) -> Iterator[JSON]:
    """What runs beside the engine: the other containers, and init containers that never end."""
    for container in case.base.containers:
        if container.index != case.container.index:
            yield container.body
    for body in (case.base.template.get("spec") or {}).get("initContainers") or ():
        if body.get("restartPolicy") == "Always":
            yield body


def data_parallel_ports(case: Case) -> Refusal | None:
    """Rank r publishes on port + r; where that meets the replay port the engine does not start."""
    size = case.ranks
    distance = abs(case.events.replay_port - case.events.port)
    if size < 2 or distance >= size:
        return None
    safe = case.events.port + max(100, size)
    return Refusal(
        ModelReason.DATA_PARALLEL_PORTS,
        f"Deployment {case.base.name} runs {size} data-parallel ranks, which publish on ports "
        f"{case.events.port} to {case.events.port + size - 1}; the replay port "
        f"{case.events.replay_port} lies among them and the engine would not start.",
        f"Set spec.events.replayPort to {safe} (the gateway hears only rank 0 and asks for replays "
        f"on {GATEWAY_REPLAY_PORT} only).",
    )


def fixed_ports_of_flags(case: Case) -> Refusal | None:
    """The product text's flags carry no port."""
    ports = (case.events.port, case.events.replay_port)
    if case.engine.dialect is not Dialect.FLAGS or ports == (GATEWAY_PORT, GATEWAY_REPLAY_PORT):
        return None
    return Refusal(
        ModelReason.PORT_IN_USE,
        f"An engine that takes the flags dialect publishes on {GATEWAY_PORT} and "
        f"{GATEWAY_REPLAY_PORT}; it cannot be told {ports[0]} and {ports[1]}.",
        "Leave spec.events.port and spec.events.replayPort at their defaults.",
    )


def selector_conflict(case: Case) -> Refusal | None:
    """A template label that the Deployment selects by cannot be changed: its pods would be orphaned."""
    value = case.base.selector_labels.get(EVENTS_LABEL)
    if value is None or value == "true":
        return None
    return Refusal(
        ModelReason.SELECTOR_CONFLICT,
        f"Deployment {case.base.name} selects its pods by {EVENTS_LABEL}={value}; changing that "
        "label would orphan all of them.",
        f"Recreate the Deployment without {EVENTS_LABEL} in its selector.",
    )


def controlled(case: Case) -> Refusal | None:
    """What another controller makes, it makes again: a patch would be written back, and forth."""
    owner = case.base.controller
    if owner is None:
        return None
    made_by = f"{owner.get('kind')} {owner.get('name')}"
    return Refusal(
        ModelReason.CONTROLLED_BY_ANOTHER,
        f"Deployment {case.base.name} is made by {made_by}, which would write every change back.",
        f"Put the KV event arguments, ports and pod labels into {made_by} (kvsync render shows "
        "them), or take its ownerReference off the Deployment.",
    )


RULES: tuple[Rule, ...] = (
    controlled,
    selector_conflict,
    prefix_caching_disabled,
    engine_v0,
    fixed_ports_of_flags,
    port_in_use,
    data_parallel_ports,
)


def check(case: Case) -> Refusal | None:
    """The first rule's refusal, or None when nothing speaks against the change."""
    return next((refusal for rule in RULES if (refusal := rule(case))), None)
