"""What is known of an installation, as it was read: each part, or why it could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kvsync.core.rights import Grant, Right
from kvsync.model.observed import KVEventSync
from kvsync.model.source import SourceKey, Traffic
from kvsync.model.tokenizer import TokenizerAnswer
from kvsync.model.verification import ObjectFinding
from kvsync.model.version import Version
from kvsync.model.workload import Deployment, Pod


@dataclass(frozen=True, slots=True)
class Unread:
    """Why something is not known: a sentence. ``missing``: it is not there; ``forbidden``: whoever asks may
    not know."""

    why: str
    missing: bool = False
    forbidden: bool = False


@dataclass(frozen=True, slots=True)
class Stand:
    """Where and as whom it is asked. ``release`` is this program's own; ``user`` empty where the API server
    does not tell."""

    server: str
    inside: bool
    release: Version
    user: str = ""

    @property
    def words(self) -> str:
        """For a sentence's end."""
        return f"from {'inside' if self.inside else 'outside of'} the cluster"


@dataclass(frozen=True, slots=True)
class CrdFacts:
    """The kind as the API server serves it: paths of fields that this release knows and it does not."""

    known: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdmissionFacts:
    """What mode Admission stands on. ``version``: that of the API in which the kind of its policy is served;
    empty where it is not. ``policies``: those that have KVEventSyncs as parameters; ``bound``: those of them
    with a binding. ``told``: whether the operator was told of one. ``wanted``: objects in that mode."""

    version: str
    policies: tuple[str, ...] | Unread = ()
    bound: tuple[str, ...] = ()
    told: bool | None = None
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one access review: ``allowed`` None where it could not be asked, and ``why``."""

    right: Right
    grant: Grant
    allowed: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class RightsFacts:
    """Answers for one account. ``itself``: whether it asked for itself."""

    account: str
    itself: bool
    answers: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """The operator's Deployments, by its label, and their pods."""

    deployments: tuple[Deployment, ...]
    pods: tuple[Pod, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """The Lease, watched for ``watched`` seconds of one clock. ``quiet``: seconds of it since it was last
    seen renewed; None where that never happened."""

    name: str
    holder: str
    duration: float
    watched: float
    quiet: float | None


@dataclass(frozen=True, slots=True)
class ReachFacts:
    """One attempt to reach a Service from here. ``problem`` is empty where it answered."""

    address: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """One gateway: ``deployment`` unread where it is not there or may not be read.

    ``named``: the objects that name it.
    """

    namespace: str
    name: str
    container: str
    deployment: Deployment | Unread
    named: tuple[str, ...] = ()
    redis: ReachFacts | None = None
    tokenizer: tuple[str, TokenizerAnswer] | None = None
    """Its URL as it may be shown, and what it answered here."""

    @property
    def title(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """One engine of a model, as its manifest and itself tell. ``version`` and ``dialect`` as words."""

    kind: str
    version: str
    version_source: str
    dialect: str
    buffer_steps: int
    ports: tuple[int, ...]
    """Where its pods publish and replay, rank by rank."""
    undeclared: tuple[int, ...] = ()
    """Those of them that no container of its pods declares."""
    unlabelled: tuple[str, ...] = ()
    """Its pods that should carry the gateway's label and do not."""
    labelled: int = 0
    """Its pods that carry it."""
    pods: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """What was seen of one source in this look: counts, bytes and rate (batches a second)."""

    messages: int
    octets: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """One KVEventSync: what a look at its sources found, and what the operator says of it.

    ``conditions`` by type: status, reason, message and whether it speaks of the spec as it is now.
    ``refused``: why nothing of a model's engine is known, by model.
    """

    found: ObjectFinding
    conditions: Mapping[str, tuple[str, str, str, bool]]
    engines: Mapping[str, tuple[EngineFacts, ...]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[SourceKey, Traffic] = field(default_factory=dict)
    streams: Mapping[SourceKey, Stream] = field(default_factory=dict)
    last_words: Mapping[str, str] = field(default_factory=dict)
    """The line that tells most of a failing engine's log, by pod; the log's refusal in its place."""
    left_out: int = 0
    """Sources that were not looked at, for there are too many."""

    @property
    def title(self) -> str:
        """``namespace/name``."""
        return f"{self.found.namespace}/{self.found.name}"


@dataclass(frozen=True, slots=True)
class ObjectsFacts:
    """All objects of one place (``namespace x``, ``the cluster``). ``notes``: what could not be read."""

    place: str
    objects: tuple[ObjectFacts, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole picture."""

    stand: Stand
    server: Version | Unread | None
    crd: CrdFacts | Unread
    rights: RightsFacts | Unread
    operator: OperatorFacts | Unread
    lease: LeaseFacts | Unread
    gateways: tuple[GatewayFacts, ...]
    objects: tuple[ObjectsFacts | Unread, ...]
    admission: AdmissionFacts | Unread | None = None
    """None where nobody needs it."""
    listed: tuple[KVEventSync, ...] = ()
    """The KVEventSyncs that were asked about, as the API server lists them."""

    @property
    def syncs(self) -> Iterator[ObjectFacts]:
        """The KVEventSyncs that could be read."""
        for place in self.objects:
            if not isinstance(place, Unread):
                yield from place.objects
