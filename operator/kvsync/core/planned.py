"""What planning is asked, and what it comes to, as data."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from kvsync.core.desired import Desired
from kvsync.core.ownership import Claim, Field
from kvsync.core.patch import Operation
from kvsync.core.ports import publishing_ranks
from kvsync.core.render import Templates
from kvsync.core.sidecar.pieces import is_fed_through
from kvsync.model.admission import NOT_KNOWN, AdmissionMeans
from kvsync.model.events import EventLayout
from kvsync.model.finding import EngineFinding, Note, Refusal
from kvsync.model.injection import INJECTED_LABEL, Injection
from kvsync.model.record import Owner, RelayChange
from kvsync.model.relay import NO_IMAGE, RELAY_CONTAINER, RelayMeans, RelayPorts
from kvsync.model.spec import EventsSpec, KVEventSyncSpec
from kvsync.model.workload import Pod


class Outcome(enum.StrEnum):
    """What a plan comes to."""

    CHANGE = "Change"
    UNCHANGED = "Unchanged"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is changed on a workload, and why, as sentences for a person."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} ({self.why})"


@dataclass(frozen=True, slots=True)
class Part:
    """One engine of a workload, and the pieces that its pod template must carry.

    ``role`` is that of a StormService, empty for a Deployment; ``pods`` how many pods run the engine;
    ``events`` are the event settings with the ports and the topic by which its pods publish: the
    engine, or the relay beside it.
    """

    engine: EngineFinding
    desired: Desired
    events: EventsSpec
    pods: int
    role: str = ""
    relay_ports: RelayPorts | None = None
    """The ports of the relay beside it; None where it publishes by itself."""

    @property
    def relay(self) -> RelayChange | None:
        """The relay beside it, if any."""
        return self.desired.relay

    @property
    def sources(self) -> int:
        """How many publishers each of its pods has: a relay, or else every rank that publishes."""
        return 1 if self.relay is not None else publishing_ranks(self.engine)

    @property
    def containers(self) -> tuple[str, ...]:
        """The containers without which it does not publish."""
        return (self.engine.container, *((RELAY_CONTAINER,) if self.relay is not None else ()))

    @property
    def token(self) -> str:
        """The token that its pods carry (mode Admission); empty where they carry none."""
        return self.desired.labels.get(INJECTED_LABEL, "")

    def covers(self, pod: Pod) -> bool:
        """Whether a pod is one of this engine's."""
        return self.role in ("", pod.role)

    def is_carried_by(self, pod: Pod) -> bool:
        """Whether a pod was made from the configured template, not from the one before it."""
        container = pod.container(self.desired.container)
        labelled = self.desired.labels.items() <= pod.labels.items()
        relayed = self.relay is None or is_fed_through(pod, self.relay)
        written = container is not None and self.desired.is_carried_by(container)
        return labelled and relayed and written


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What to do with one workload. ``patch`` and ``undo`` are RFC 6902 operations."""

    outcome: Outcome
    refusal: Refusal | None = None
    parts: tuple[Part, ...] = ()
    """The engines of it: one, but of a StormService one for each role that runs one."""
    patch: tuple[Operation, ...] = ()
    undo: tuple[Operation, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    restarts: int = 0
    """How many pods restart by the patch."""
    written: tuple[Field, ...] = ()
    """The fields of the pod template that the patch changes; of a StormService those of its roles."""
    claims: tuple[Claim, ...] = ()
    """Those of them that other managers own."""
    injection: Injection | None = None
    """What its pods are to get as they are created (mode Admission), not published yet."""
    fingerprint: str = ""
    """Stands for everything the change depends on: the same again would end the same way."""

    @property
    def engine(self) -> EngineFinding | None:
        """What is known of the engine; of the first one where there are several."""
        return self.parts[0].engine if self.parts else None


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything a plan depends on besides the workload itself."""

    spec: KVEventSyncSpec
    owner: Owner
    templates: Templates
    running_versions: Mapping[str, str]
    """What the running engines say, by role; the role of a Deployment is empty."""
    retry: str
    """The value of the retry annotation: a new value makes a rejected change worth trying again."""
    at: int
    """Seconds since the epoch, for the record."""
    living: frozenset[str] | None = None
    """Uids of the objects that exist; a mark of any other is left over. None: not known."""
    proven_at: int = 0
    """The time in the newest record that was seen working on this workload. An older record was
    brought back, with its template, by ``kubectl rollout undo``."""
    elder: Owner | None = None
    """The object that comes before this one where nobody's mark is on the workload."""
    told_at: int = 0
    """The time in the record that stands on this workload by the status; 0 where it tells of none.
    Such a workload was configured, whatever has become of its annotations."""
    relays: RelayMeans = NO_IMAGE
    """What relays are made of."""
    admission: AdmissionMeans = NOT_KNOWN
    """What mode Admission stands on."""
    gateway_reads: frozenset[EventLayout] | None = None
    """The layouts that the gateway in use decodes; None where that is not known, or it uses none."""
    seen_layouts: Mapping[str, EventLayout] = field(default_factory=dict)
    """How the engines of each role write events, as seen on the wire of those without a relay."""
