"""What one pass comes to: what to write, what to watch, what to say."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kvsync.model.gateway_log import GatewayWatch
from kvsync.model.source import SourceKey, Target
from kvsync.model.standing import Standing
from kvsync.model.storm import StormService, storm_model
from kvsync.model.tokenizer import TokenizerQuestion
from kvsync.model.workload import Deployment


class Kind(enum.StrEnum):
    """What an action is applied to."""

    DEPLOYMENT = "Deployment"
    STORM_SERVICE = "StormService"
    POD = "Pod"
    SYNC = "KVEventSync"
    NETWORK_POLICY = "NetworkPolicy"


WORKLOADS = frozenset({Kind.DEPLOYMENT, Kind.STORM_SERVICE})


class Deed(enum.StrEnum):
    """What an action does to its object: the reason of its Event. docs/events.md has a row for each."""

    CONFIGURED = "Configured"
    REPAIRED = "Repaired"
    ROLLED_BACK = "RolledBack"
    REVERTED = "Reverted"
    RECORD_LOST = "RecordLost"
    """Reverted as far as what is ours could be recognised."""
    RETAINED = "Retained"
    HANDED_OVER = "HandedOver"
    GATEWAY_CONFIGURED = "GatewayConfigured"
    GATEWAY_RESTORED = "GatewayRestored"
    POD_REPLACED = "PodReplaced"
    POD_LABELLED = "PodLabelled"
    POD_UNLABELLED = "PodUnlabelled"
    ISOLATED = "Isolated"
    ISOLATION_CHANGED = "IsolationChanged"
    ISOLATION_REMOVED = "IsolationRemoved"
    # Bookkeeping, without an Event.
    FINALIZER = "Finalizer"
    FIELDS_RELEASED = "FieldsReleased"


def kind_of(workload: Deployment) -> Kind:
    """What a workload is to an action."""
    return Kind.STORM_SERVICE if isinstance(workload, StormService) else Kind.DEPLOYMENT


@dataclass(frozen=True, slots=True)
class Action:
    """One JSON patch (RFC 6902) on one object, with the reason and sentence for log and Event.

    Where ``body`` is given the object is created instead, where ``removes`` is given it is deleted, where
    ``evicts`` is given it is a pod that is evicted.
    """

    kind: Kind
    namespace: str
    name: str
    operations: tuple[Mapping[str, Any], ...]
    reason: Deed
    note: str
    """Empty: there is nothing to tell."""
    warning: bool = False
    counted: bool = False
    """Whether the status, which counts it, is written before it is carried out: one that was made
    must be counted whatever happens next."""
    restarts: bool = False
    """Whether pods of a model or gateway restart by it."""
    body: Mapping[str, Any] | None = None
    removes: str = ""
    """The uid of the very object to be deleted."""
    evicts: str = ""
    """The uid of the very pod to be evicted. The API server may refuse it for now."""

    @property
    def model(self) -> str:
        """Its object's name among the models."""
        storm = self.kind is Kind.STORM_SERVICE
        return storm_model(self.name) if storm else self.name


@dataclass(frozen=True, slots=True)
class Announcement:
    """A Kubernetes Event to record on the object, and on the workload that it concerns.

    ``model`` is that one's name among the models (empty: there is none), a gateway's own name.
    ``namespace`` is where it is; empty: where the object is.
    """

    warning: bool
    reason: str
    note: str
    model: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A running engine whose version and block size are not known yet."""

    uid: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class CrashedContainer:
    """A container of a pod whose log is read for why it ended."""

    namespace: str
    pod: str
    uid: str
    container: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one pass comes to. ``status`` None: the object is about to go, nothing is reported.

    ``look_again`` is the number of seconds after which time alone may change the decision.
    """

    actions: tuple[Action, ...] = ()
    targets: Mapping[SourceKey, Target] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    missing: tuple[str, ...] = ()
    """Names of models for which there is no workload."""
    gateway: GatewayWatch | None = None
    """The gateway whose logs shall be read."""
    tokenizer: TokenizerQuestion | None = None
    """The tokenizer to be asked before the gateway is told of it."""
    crashed: tuple[CrashedContainer, ...] = ()
    """Engines that crashed and left no message: a roll-back takes their pods, and logs, away."""
    status: Mapping[str, Any] | None = None
    announcements: tuple[Announcement, ...] = ()
    look_again: float | None = None
    waits: bool = False
    """Whether models wait for their turn: for those before them, or for those of other objects."""
    standing: Standing | None = None
    """What the object is to the others; None: nothing any more."""
