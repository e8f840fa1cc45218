"""Known-fatal settings: each rule looks at one thing and refuses with a reason and a remedy.

A rule never guesses: it speaks only where the manifest itself shows that the engine would stop,
or would never publish.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvsync.core.arguments import FALSE, int_of
from kvsync.core.desired import is_heard, our_labels
from kvsync.core.engines import ENGINES
from kvsync.core.ports import EnginePod, first_taken, ports_in_use
from kvsync.core.releases import GATEWAY_PORT, GATEWAY_REPLAY_PORT, release_of
from kvsync.core.ways import Situation, Way, in_words
from kvsync.model.finding import EngineFinding, Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.spec import Dialect, EventsSpec
from kvsync.model.workload import Container, Deployment

_MANY_RANKS = 100
"""More data-parallel ranks than one pod has."""

_TENSOR = ("tensor-parallel-size", "tp-size", "tp")
_PIPELINE = ("pipeline-parallel-size", "pp-size", "pp")


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule looks at: the pod without our changes, its engine, the settings for it.

    ``wanted`` are the object's own settings, ``events`` those with the ports on which its pods publish;
    ``relayed``: a relay does, and the engine's own ports were chosen to be free.
    """

    pod: EnginePod
    wanted: EventsSpec
    events: EventsSpec
    relayed: bool = False
    unwritten: bool = False
    """Whether the workload keeps its template: its pods get it as they are created, or by its owner."""

    @property
    def base(self) -> Deployment:
        """The workload without our changes."""
        return self.pod.base

    @property
    def container(self) -> Container:
        """The engine's container."""
        return self.pod.container

    @property
    def engine(self) -> EngineFinding:
        """What is known of the engine."""
        return self.pod.engine


Rule = Callable[[Case], Refusal | None]


def prefix_caching_disabled(case: Case) -> Refusal | None:
    """Without prefix caching the ports open and nothing is ever sent."""
    engine = ENGINES[case.engine.type]
    if engine.caches_prefixes(case.engine.words):
        return None
    return Refusal(
        ModelReason.PREFIX_CACHING_DISABLED,
        f"Container {case.container.name} switches prefix caching off; such an engine has no KV "
        "events to publish.",
        f"Remove {engine.caching_off_word} from its arguments.",
    )


def engine_v0(case: Case) -> Refusal | None:
    """Releases that can fall back to the old engine send no events from it."""
    release = release_of(case.engine)
    fallback = release is not None and release.v0_fallback
    if not fallback or (case.container.env("VLLM_USE_V1") or "1").lower() not in FALSE:
        return None
    return Refusal(
        ModelReason.ENGINE_V0,
        f"Container {case.container.name} sets VLLM_USE_V1=0; the V0 engine of vLLM "
        f"{case.engine.version} publishes no KV events.",
        "Remove VLLM_USE_V1 from its environment.",
    )


def parallel_workers(case: Case) -> Refusal | None:
    """Releases in which several workers publish on one port: the second one ends the engine."""
    release, engine = release_of(case.engine), ENGINES[case.engine.type]
    if release is None:
        return None
    words = case.engine.words
    ranks = engine.ranks(words)
    shared = "--enable-dp-attention" in words
    crowded = {
        "tensor-parallel": not release.tensor_parallel and _workers(words, *_TENSOR) > 1,
        "pipeline-parallel": not release.pipeline_parallel and _workers(words, *_PIPELINE) > 1,
        "data-parallel": ranks > 1
        and not (release.attention_ranks if shared else release.data_parallel),
    }
    kind = next((name for name, crashes in crowded.items() if crashes), "")
    if not kind:
        return None
    return Refusal(
        ModelReason.PARALLEL_WORKERS,
        f"Container {case.container.name} runs several {kind} workers, and with KV events those of "
        f"{engine.name} {case.engine.version} all take the same port: the engine would not start.",
        f"Use a newer {engine.name}, or one {kind} worker.",
    )


def _workers(words: tuple[str, ...], *names: str) -> int:
    return max(int_of(words, name) or 1 for name in names)


def port_in_use(case: Case) -> Refusal | None:
    """A publisher that cannot bind stops the engine; each data-parallel rank binds one port further."""
    if case.relayed:
        return None
    if case.pod.on_the_node and is_heard(case.wanted):
        return Refusal(
            ModelReason.PORT_IN_USE,
            f"The pods of {case.base.title} share their node's network (hostNetwork), where ports "
            f"{GATEWAY_PORT} and {GATEWAY_REPLAY_PORT} may be taken, by another pod of it too.",
            "Take hostNetwork off, or set spec.events.port and spec.events.replayPort to ports that "
            "are free on every node.",
        )
    for first in (case.events.port, case.events.replay_port):
        taken = first_taken(case.pod, first)
        if taken:
            return _taken(case, taken, ports_in_use(case.pod)[taken])
    return None


def _taken(case: Case, port: int, user: str) -> Refusal:
    return Refusal(
        ModelReason.PORT_IN_USE,
        f"Port {port} of {case.base.title}'s pods is taken by {user}.",
        "Set spec.events.port and spec.events.replayPort to free ports, or move the other "
        f"(the gateway looks for events on {GATEWAY_PORT} and {GATEWAY_REPLAY_PORT} only).",
    )


def data_parallel_ports(case: Case) -> Refusal | None:
    """Rank r publishes on port + r; where that meets the replay port the engine does not start."""
    engine, size = ENGINES[case.engine.type], case.pod.ranks
    spread = engine.spread_ranks(case.engine.words)
    if spread:
        return Refusal(
            ModelReason.DATA_PARALLEL_PORTS,
            f"Container {case.container.name} runs some data-parallel ranks of an engine that spans "
            f"several pods (--{spread}); which ports they publish on depends on the pod.",
            "Run all ranks of an engine in one pod, or leave this model out of the KVEventSync.",
        )
    hidden = engine.hidden_ranks(case.engine.words)
    if hidden and abs(case.events.replay_port - case.events.port) < _MANY_RANKS:
        return Refusal(
            ModelReason.DATA_PARALLEL_PORTS,
            f"How many data-parallel ranks container {case.container.name} runs is not shown by the "
            f"manifest ({hidden[:100]}); with more than one, rank 1 would publish on the replay port "
            "and the engine would not start.",
            f"Write the number, or set spec.events.replayPort to {case.events.port + _MANY_RANKS}.",
        )
    if case.relayed or size < 2 or abs(case.events.replay_port - case.events.port) >= size:
        return None
    return Refusal(
        ModelReason.DATA_PARALLEL_PORTS,
        f"{case.base.title} runs {size} data-parallel ranks, which publish on ports "
        f"{case.events.port} to {case.events.port + size - 1}; the replay port "
        f"{case.events.replay_port} lies among them and the engine would not start.",
        f"Set spec.events.replayPort at least {size} away from spec.events.port, or run one rank.",
    )


def fixed_ports_of_flags(case: Case) -> Refusal | None:
    """The product text's flags carry no port."""
    ports = (case.wanted.port, case.wanted.replay_port)
    if case.engine.dialect is not Dialect.FLAGS or ports == (GATEWAY_PORT, GATEWAY_REPLAY_PORT):
        return None
    return Refusal(
        ModelReason.PORT_IN_USE,
        f"An engine that takes the flags dialect publishes on {GATEWAY_PORT} and "
        f"{GATEWAY_REPLAY_PORT}; it cannot be told {ports[0]} and {ports[1]}.",
        "Leave spec.events.port and spec.events.replayPort at their defaults.",
    )


def selector_conflict(case: Case) -> Refusal | None:
    """A template that its selector does not match any more would orphan all of its pods."""
    selector, labels = case.base.selector, case.base.template_labels
    added = our_labels(case.base, case.engine, announced=is_heard(case.events))
    if selector is None or not selector.matches(labels) or selector.matches({**labels, **added}):
        return None
    listed = ", ".join(f"{key}={value}" for key, value in added.items())
    return Refusal(
        ModelReason.SELECTOR_CONFLICT,
        f"The selector of {case.base.title} would not match its pods any more with the labels "
        f"{listed}: all of them would be orphaned.",
        "Recreate it with a selector that does not speak of these labels.",
    )


def controlled(case: Case) -> Refusal | None:
    """What another controller makes, it makes again: a patch would be written back, and forth."""
    owner = case.base.controller
    if owner is None or case.unwritten:
        return None
    made_by = f"{owner.get('kind')} {owner.get('name')}"
    return Refusal(
        ModelReason.CONTROLLED_BY_ANOTHER,
        f"{case.base.title} is made by {made_by}, which would write every change back.",
        f"{in_words(Way.ADMISSION, Situation(made=True))} Or: Put the KV event arguments, ports and pod "
        f"labels into {made_by} (kvsync render shows them) and set spec.mode to Render. Or: Take its "
        "ownerReference off the Deployment.",
    )


RULES: tuple[Rule, ...] = (
    controlled,
    selector_conflict,
    prefix_caching_disabled,
    engine_v0,
    fixed_ports_of_flags,
    parallel_workers,
    data_parallel_ports,
    port_in_use,
)


def check(case: Case) -> Refusal | None:
    """The first rule's refusal, or None when nothing speaks against the change."""
    return next((refusal for rule in RULES if (refusal := rule(case))), None)
