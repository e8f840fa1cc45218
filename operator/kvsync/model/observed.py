"""Everything that one pass looks at, gathered before anything is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvsync.model.admission import NOT_KNOWN, AdmissionMeans
from kvsync.model.gateway_log import GatewayReading
from kvsync.model.network import ObservedNetwork
from kvsync.model.record import Owner
from kvsync.model.relay import NO_IMAGE, RelayMeans
from kvsync.model.source import SourceKey, Verdict
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.standing import Standing
from kvsync.model.tokenizer import TokenizerAnswer
from kvsync.model.workload import JSON, Deployment, Pod

FINALIZER = "kvsync.aibrix.ai/undo"
RETRY_ANNOTATION = "kvsync.aibrix.ai/retry"
PAUSED_ANNOTATION = "kvsync.aibrix.ai/paused"
PLAN_ONLY_ANNOTATION = "kvsync.aibrix.ai/plan-only"


@dataclass(frozen=True, slots=True)
class KVEventSync:
    """The custom resource as read."""

    body: JSON

    @property
    def namespace(self) -> str:
        """Its namespace, in which its models are."""
        return str(self.body["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def owner(self) -> Owner:
        """Its mark on the objects that it configured."""
        return Owner(self.namespace, self.name, str(self.body["metadata"].get("uid", "")))

    @property
    def generation(self) -> int:
        """Counts changes of its spec."""
        return int(self.body["metadata"].get("generation") or 0)

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return bool(self.body["metadata"].get("deletionTimestamp"))

    @property
    def deletion_timestamp(self) -> str:
        """When it was deleted, RFC 3339; empty if it was not."""
        return str(self.body["metadata"].get("deletionTimestamp") or "")

    @property
    def created(self) -> str:
        """When it was made, RFC 3339."""
        return str(self.body["metadata"].get("creationTimestamp") or "")

    @property
    def seniority(self) -> tuple[str, str]:
        """See ``Rival.seniority``."""
        return (self.created, self.name)

    @property
    def finalizers(self) -> tuple[str, ...]:
        """What holds it back from going."""
        return tuple(self.body["metadata"].get("finalizers") or ())

    @property
    def retry(self) -> str:
        """A new value asks to try again what was rolled back."""
        return self._annotation(RETRY_ANNOTATION)

    @property
    def held_by(self) -> str:
        """The annotation that holds it: nothing is written while one of them is "true"."""
        held = (PAUSED_ANNOTATION, PLAN_ONLY_ANNOTATION)
        return next((key for key in held if self._annotation(key).lower() == "true"), "")

    def _annotation(self, key: str) -> str:
        return str((self.body["metadata"].get("annotations") or {}).get(key, ""))

    @property
    def status(self) -> JSON:
        """The status as last written."""
        return self.body.get("status") or {}


@dataclass(frozen=True, slots=True)
class EngineAnswers:
    """What a running engine said of itself over HTTP; None where it did not say."""

    version: str | None = None
    block_size: int | None = None
    """Tokens a KV cache block."""


@dataclass(frozen=True, slots=True)
class LastWords:
    """What the log of a container that crashed says: the one line that tells most; may be empty.

    ``refused``: what the API server said where the operator may not read logs.
    """

    line: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another object of the namespace that selects a model too, lives and is not paused."""

    owner: Owner
    created: str
    """RFC 3339."""
    held: bool = False
    """Whether our finalizer is on it: what is handed to one without may never be taken back."""
    gateways: frozenset[tuple[str, str]] = frozenset()
    """Namespace and name of each Deployment that it has configured as a gateway."""

    @property
    def seniority(self) -> tuple[str, str]:
        """Of two objects the lesser one is the older; of two of the same second the first by name."""
        return (self.created, self.owner.name)


@dataclass(frozen=True, slots=True)
class ObservedModel:
    """One model: a Deployment that is selected, or was and still carries our changes."""

    name: str
    selected: bool
    deployment: Deployment | None
    pods: tuple[Pod, ...] = ()
    answers: Mapping[str, EngineAnswers] | None = None
    """By pod uid."""
    other_kind: str = ""
    """Where there is no such workload: the kind of another object of that name, if any."""
    rivals: tuple[Rival, ...] = ()
    """Other objects that select it, the oldest first."""

    @property
    def heir(self) -> Rival | None:
        """Who gets it when its object lets go of it; None where nobody else wants it."""
        return next((rival for rival in self.rivals if rival.held), None)


@dataclass(frozen=True, slots=True)
class ObservedConsumer:
    """A further Deployment that gets the gateway's variables. ``permitted``, ``denial`` as of the gateway."""

    name: str
    deployment: Deployment | None
    permitted: bool
    denial: str = ""


@dataclass(frozen=True, slots=True)
class ObservedGateway:
    """The gateway that the object names. ``permitted``: whether it may be changed for the object;
    ``denial``: why not, with the way out. One that may not is not shown."""

    deployment: Deployment | None
    permitted: bool
    denial: str = ""
    pods: tuple[Pod, ...] = ()
    readings: Mapping[str, GatewayReading] = field(default_factory=dict)
    """What the logs of its pods say, by pod uid."""
    also: tuple[ObservedConsumer, ...] = ()
    """The Deployments of ``spec.gateway.alsoConfigure``."""
    gone: frozenset[str] = frozenset()
    """Marks on any of these Deployments of objects that are known not to exist any more."""
    tokenizers: Mapping[str, TokenizerAnswer] = field(default_factory=dict)
    """What tokenizers answered of late, by URL."""

    @property
    def within_reach(self) -> tuple[Deployment, ...]:
        """Those of its Deployments that are there and may be changed, the gateway first."""
        own = (self.deployment,) if self.permitted else ()
        also = (each.deployment for each in self.also if each.permitted)
        return tuple(each for each in (*own, *also) if each is not None)


@dataclass(frozen=True, slots=True)
class Observed:
    """The whole picture for one KVEventSync. ``now`` is in seconds since the epoch."""

    sync: KVEventSync
    spec: KVEventSyncSpec
    models: tuple[ObservedModel, ...]
    gateway: ObservedGateway
    strays: tuple[Deployment, ...]
    """Gateways that carry this object's mark although it no longer names them."""
    verdicts: Mapping[SourceKey, Verdict]
    now: float
    revoked: tuple[Deployment, ...] = ()
    """Gateways that carry this object's mark although it may not have them changed any more."""
    living: frozenset[str] | None = None
    """Uids of the objects of this namespace; None where they are not known."""
    others: tuple[Standing, ...] = ()
    """The other objects that the operator serves, as their last pass left them."""
    unheard: tuple[str, ...] = ()
    """Objects, as ``namespace/name``, that no pass has looked at since the operator started."""
    max_rolling: int = 0
    """How many models of all objects together may be on their way; 0 for no limit."""
    relays: RelayMeans = NO_IMAGE
    """What relays are made of."""
    admission: AdmissionMeans = NOT_KNOWN
    """What mode Admission stands on."""
    last_words: Mapping[str, LastWords] | None = None
    """Of crashed engines, by pod uid; None where nobody reads logs."""
    network: ObservedNetwork | None = None
    """What policies for models' pods are made of; None where the operator keeps none."""

    @property
    def held_by(self) -> str:
        """What keeps everything from being written: a field or an annotation; empty where nothing does."""
        return "spec.paused" if self.spec.paused else self.sync.held_by
