"""The sources of an engine's pods: what is to be watched of them, and what holds before it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kvsync.core.engines import ENGINES
from kvsync.core.planned import Part
from kvsync.model.source import SourceKey, SourceReason, Target, Verdict
from kvsync.model.spec import ProbeSpec
from kvsync.model.workload import Pod


def carriers(part: Part, pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """The pods of an engine that carry what we wrote."""
    living = (pod for pod in pods if not pod.deleting and part.covers(pod))
    return tuple(pod for pod in living if part.is_carried_by(pod))


def targets_of(model: str, pods: Sequence[Pod], part: Part, probe: ProbeSpec) -> Iterator[Target]:
    """What is to be watched: a source for each running pod and data-parallel rank, or its relay's one."""
    ranks = part.sources
    for pod in sorted(pods, key=lambda pod: pod.name):
        for rank in range(ranks) if pod.running else ():
            yield Target(
                key=SourceKey(pod.namespace, pod.name, pod.uid, rank),
                host=pod.ip,
                # vLLM adds the rank to both ports (offset_endpoint_port in kv_events.py).
                port=part.events.port + rank,
                replay_port=part.events.replay_port + rank,
                topic=part.events.topic,
                active_check=probe.active_check,
                interval=probe.interval,
                model=model,
                http_port=part.engine.http_port,
                served_model=part.engine.served_model,
                block_factor=block_factor(part),
                canary=probe.canary and ranks == 1,
                relay_port=part.relay_ports.http if part.relay_ports is not None else 0,
            )


def block_factor(part: Part) -> int:
    """How many times the block size of its engine's metrics a block has that it stores."""
    return ENGINES[part.engine.type].block_factor(part.engine.words)


def not_yet(source: SourceKey) -> Verdict:
    """What is held of a source that is not watched yet."""
    return Verdict(
        source, SourceReason.CONNECTING, verified=False, settled=False, message="being probed"
    )


def trusted(verdict: Verdict) -> Verdict:
    """A source of a verified model stands until something speaks against it: a probe that has only
    begun, as after a restart of the operator, is no news, nor is a relay that cannot be asked."""
    if verdict.verified or (verdict.settled and not verdict.unknown):
        return verdict
    begun = verdict.reason is SourceReason.CONNECTING
    return replace(verdict, reason=SourceReason.IDLE if begun else verdict.reason, verified=True)
