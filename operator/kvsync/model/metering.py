"""What metrics tell: of each model, of each object, of the operator's own processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from kvsync.model.source import Observation, SourceReason, Target, Verdict

Seen: TypeAlias = tuple[Target, Observation | None, Verdict]
"""A source, what was seen of it (None: nothing yet) and what is held true of it."""


class ModelName(NamedTuple):
    """A model as metrics label it."""

    namespace: str
    model: str


OTHERS = ModelName("", "(others)")
"""Where models beyond the bound are added up; no Kubernetes object can have this name."""


class Counts(NamedTuple):
    """What was counted in messages that were looked at; a busy publisher is sampled."""

    messages: int = 0
    octets: int = 0
    stored: int = 0
    removed: int = 0
    cleared: int = 0
    unknown: int = 0
    missing: int = 0
    undecoded: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the sources of one model stand at one moment. Seconds; None where nothing is known."""

    sources: int = 0
    verified: int = 0
    relayed: int = 0
    """Sources behind a relay."""
    reasons: Mapping[SourceReason, int] = field(default_factory=dict)
    """Sources by verdict; reasons that no source has are left out."""
    rate: float = 0.0
    """Batches a second, all sources together, unseen ones included."""
    youngest: float | None = None
    """Since the last batch of any source."""
    oldest: float | None = None
    """Since the last batch of the source that has been quiet longest."""
    lag: float | None = None
    """The largest lag of any source that publishes."""
    mean_lag: float | None = None


class ConditionReading(NamedTuple):
    """One condition of one KVEventSync object; ``value`` is 1 for True, 0 for False, else -1."""

    namespace: str
    name: str
    type: str
    reason: str
    value: int


class ModelsReading(NamedTuple):
    """Where the models of one KVEventSync object stand, as its status tells."""

    namespace: str
    name: str
    states: Mapping[str, int]
    """Models by state; states that no model has are left out."""
    moving: int = 0
    """Models that the wave has on their way."""
    waiting: int = 0
    """Models whose turn is still to come, the first 50."""
    contended: int = 0
    """Models, and the gateway, that are left to whoever keeps undoing what is written on them."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that one scrape tells of models and objects."""

    models: Mapping[ModelName, tuple[Counts, Standing]] = field(default_factory=dict)
    objects: int = 0
    ready: int = 0
    """Objects with condition Ready=True."""
    conditions: tuple[ConditionReading, ...] = ()
    progress: tuple[ModelsReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """One process that watches sources; ``name`` is its number, ``restarts`` how often it was made anew.

    ``pid`` is None while it does not run.
    """

    name: str
    pid: int | None
    restarts: int = 0


class WatchReading(NamedTuple):
    """How one of the operator's watches fares."""

    name: str
    healthy: bool
    """Whether everything is listed and followed."""
    silence: float
    """Seconds since the API server sent anything on it; a live watch is opened again within 10 minutes."""
    lists: int
    """Complete lists so far; each one after the first means that the watch had lost its place."""
    idle: float = 0.0
    """Seconds since it heard something, or tried to."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the operator itself does at one moment. Seconds; counts since its start."""

    queue_length: int = 0
    queue_oldest: float = 0.0
    """How long the object that has waited longest has waited."""
    queue_adds: int = 0
    queue_retries: int = 0
    longest_pass: float = 0.0
    """How long the oldest of the passes under way has run."""
    events: int = 0
    """Kubernetes Events that were written, repetitions of one not counted."""
    events_dropped: int = 0
    leader: int = 1
    """1 where this process may write now; always, where there is no leader election."""
    leader_transitions: int = 0
    """How often leadership changed hands, as the Lease counts it."""
    watches: tuple[WatchReading, ...] = ()
