"""What one look at the sources of KVEventSyncs found, from wherever it was taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kvsync.model.source import HEALTHY, Failure, Observation, SourceReason, Target, Verdict


@dataclass(frozen=True, slots=True)
class SourceFinding:
    """One source. ``target`` is None for a pod that should be one and cannot be probed."""

    model: str
    verdict: Verdict
    target: Target | None = None
    seen: Observation | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is to be done about it."""
        return self.verdict.settled and self.verdict.reason in HEALTHY

    @property
    def unreached(self) -> bool:
        """Whether no packet ever came back from it."""
        if self.verdict.reason is SourceReason.UNREACHABLE:
            return True
        seen = self.seen
        silent = seen is None or (
            seen.handshake_at is None and seen.failure in (None, Failure.TIMED_OUT)
        )
        return self.target is not None and not self.verdict.settled and silent

    def age(self, now: float) -> float | None:
        """Seconds since the last batch, at ``now`` of the observation's clock; None without one."""
        last = self.seen.last_batch_at if self.seen else None
        return None if last is None else max(0.0, now - last)

    @property
    def remedy(self) -> str:
        """What to do; empty where nothing is to be done."""
        if not self.verdict.settled:
            return "Too early to tell: look longer with --timeout."
        if self.verdict.reason is SourceReason.IDLE and not self.verdict.verified:
            return "Send a prompt longer than one block to prove it."
        return self.verdict.remedy


@dataclass(frozen=True, slots=True)
class ModelFinding:
    """One model. ``trouble``: it has something to say that none of its sources says."""

    name: str
    reason: str
    message: str
    trouble: bool
    expected: int
    sources: tuple[SourceFinding, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether all of its sources are there and healthy."""
        return not self.trouble and all(source.healthy for source in self.sources)

    @property
    def verified(self) -> int:
        """How many of its sources are proven to publish."""
        return sum(source.verdict.verified for source in self.sources)


@dataclass(frozen=True, slots=True)
class ConditionFinding:
    """A condition; ``status`` as in metav1. ``current``: it speaks of the object's spec as it is now."""

    status: str
    reason: str
    message: str
    current: bool = True


@dataclass(frozen=True, slots=True)
class ObjectFinding:
    """One KVEventSync. ``problem``: why there is nothing to look at, as a reason and a sentence."""

    namespace: str
    name: str
    models: tuple[ModelFinding, ...] = ()
    compatible: ConditionFinding | None = None
    """GatewayCompatible, as it looks from here."""
    ready: ConditionFinding | None = None
    """What the operator says; None while it says nothing."""
    told_compatible: ConditionFinding | None = None
    """GatewayCompatible, as the operator says."""
    differences: Mapping[str, str] = field(default_factory=dict)
    """Where the operator says something else, by model."""
    problem: tuple[str, str] | None = None

    @property
    def healthy(self) -> bool:
        """Whether every source is healthy and nothing keeps the gateway from using the events."""
        deaf = any(
            each is not None and each.status == "False"
            for each in (self.compatible, self.told_compatible)
        )
        return self.problem is None and not deaf and all(model.healthy for model in self.models)


@dataclass(frozen=True, slots=True)
class Verification:
    """What one look found, of all objects that were asked for."""

    objects: tuple[ObjectFinding, ...]
    notes: tuple[str, ...] = ()
    """What could not be read, and what that means."""

    @property
    def healthy(self) -> bool:
        """Whether there is something, and all of it is healthy."""
        return bool(self.objects) and all(each.healthy for each in self.objects)

    @property
    def sources(self) -> Iterator[SourceFinding]:
        """All sources of all objects."""
        return (s for each in self.objects for model in each.models for s in model.sources)

    @property
    def unreached_pods(self) -> int:
        """How many pods there are, where not one of them can be reached from here; else 0."""
        probed = [source for source in self.sources if source.target is not None]
        if not all(source.unreached for source in probed):
            return 0
        return len({source.verdict.key.uid for source in probed})
