"""What a KVEventSync asks for, typed: fields, defaults and bounds of crds/kveventsync.yaml.

The API server has checked every object it stores; manifests that come from files have not been
through it, so everything is checked here again and refused in the same words.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvsync.model.duration import parse_duration
from kvsync.model.fields import Fields, SpecError, checked_text
from kvsync.model.quantity import parse_quantity
from kvsync.model.selector import LabelSelector, Operator, Requirement

__all__ = [
    "DeletionPolicy",
    "Dialect",
    "EngineLabels",
    "EngineSpec",
    "EngineType",
    "EventsSpec",
    "GatewayEnvironment",
    "GatewaySpec",
    "KVEventSyncSpec",
    "LabelSelector",
    "Mode",
    "ModelSelection",
    "OnFailure",
    "Operator",
    "ProbeSpec",
    "RelayMode",
    "RelayResources",
    "RelaySpec",
    "Requirement",
    "RolloutSpec",
    "SpecError",
    "parse_duration",
]

MAX_NAMES = 100
MAX_ALSO = 8

CONTROL_PLANE = ("controller-manager", "metadata-service")
"""How Deployments end that share a gateway's namespace and are never configured: AIBrix's other parts,
which read none of its variables."""

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_WORD = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
DNS_LABEL = re.compile(rf"^{_LABEL}$")
# As a Deployment may be named: no limit of 63 between its dots.
DNS_SUBDOMAIN = re.compile(rf"^(?=.{{1,253}}$){_WORD}(\.{_WORD})*$")
OPTIONAL_DNS_LABEL = re.compile(rf"^({_LABEL})?$")
VERSION = re.compile(r"^(?=.{0,64}$)(v?[0-9]{1,4}(\.[0-9]{1,4}){1,3}([a-z.+-][A-Za-z0-9.+-]*)?)?$")
# No '$': the kubelet expands $(NAME) in arguments and environment values.
TOPIC = re.compile(r"^[A-Za-z0-9._:/@+=,~-]{0,128}$")
# No '@' before the path: a password in a URL would stand readable in the object.
ENDPOINT = re.compile(
    r"^(?=.{0,512}$)(https?://[A-Za-z0-9._\[\]:-]+([/?][A-Za-z0-9._~:/?@!&*+,;=%-]*)?)?$"
)
IMAGE = re.compile(r"^(?=.{0,512}$)([A-Za-z0-9][A-Za-z0-9._:/@-]*)?$")
CPU = re.compile(r"^([1-9][0-9]{0,5}m|[1-9][0-9]{0,2}(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9])?$")
MEMORY = re.compile(r"^(([3-9][0-9]|[1-9][0-9]{2,5})(Mi|M)|[1-9][0-9]{0,3}(Gi|G))?$")
TOKENIZER_ENGINE = re.compile(r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")

_NAME_HINT = "must be a name of an object: lower-case letters, digits, '-' and '.'"
_LABEL_HINT = "must be a name of at most 63 lower-case letters, digits and '-'"
_VERSION_HINT = "must be a release such as 0.11.0 or v0.10.2-cu128, or empty to have it found"
_TOPIC_HINT = "must be at most 128 letters, digits or any of . _ : / @ + = , ~ -"
_ENDPOINT_HINT = "must be a URL such as http://my-model.default:8000, or empty to have it derived"
_ENGINE_HINT = "must be the tokenizer's engine in lower case, such as vllm"
_IMAGE_HINT = (
    "must be an image such as registry/kvsync-operator:0.1.0, or empty for the operator's own"
)
_CPU_HINT = "must be CPUs in quotes such as 50m or 0.5, or empty to have them derived"
_MEMORY_HINT = "must be at least 32Mi, such as 256Mi or 1Gi, or empty to have it derived"
_ADMISSION_RETAINED = (
    "is Retain, and without this object mode Admission reaches no pod: choose Revert, or mode Patch"
)
_CONTROL_PLANE_HINT = (
    "belongs to AIBrix's control plane: choose the gateway, or another reader of its variables"
)


class EngineType(enum.StrEnum):
    """Which engine serves the model."""

    VLLM = "VLLM"
    SGLANG = "SGLang"


class Dialect(enum.StrEnum):
    """How an engine takes its KV event settings."""

    AUTO = "Auto"
    CONFIG_JSON = "ConfigJSON"
    FLAGS = "Flags"


class EngineLabels(enum.StrEnum):
    """When a pod gets the label that makes the gateway subscribe to it."""

    TEMPLATE = "Template"
    """It stands in the pod template: every pod has it from its start."""
    WHEN_VERIFIED = "WhenVerified"
    """The operator puts it on each pod whose source is verified, and takes it off when that fails."""


class RelayMode(enum.StrEnum):
    """Whether a sidecar translates the engine's events for the gateway."""

    OFF = "Off"
    AUTO = "Auto"
    """Only where the gateway could not use the events otherwise, for a reason that a relay removes."""
    ALWAYS = "Always"


class GatewayEnvironment(enum.StrEnum):
    """Which names of the gateway's environment variables are written."""

    AUTO = "Auto"
    V0_4 = "V0_4"
    V0_5 = "V0_5"


class OnFailure(enum.StrEnum):
    """What happens to a model that fails its rollout."""

    ROLLBACK = "Rollback"
    PAUSE = "Pause"


class Mode(enum.StrEnum):
    """How the engines' settings reach the cluster."""

    PATCH = "Patch"
    """Workloads are changed."""
    ADMISSION = "Admission"
    """Pods are, as they are created, by an admission policy; their workloads only restart them."""
    RENDER = "Render"
    """Nothing is: their owners are told what to write."""


class DeletionPolicy(enum.StrEnum):
    """What happens to what was configured when the object goes."""

    REVERT = "Revert"
    RETAIN = "Retain"


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """Which Deployments of the object's namespace are meant: named, or selected by label."""

    names: tuple[str, ...] = ()
    selector: LabelSelector | None = None

    def selects(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a Deployment of this name, with these labels of its own, is meant."""
        return name in self.names or (self.selector is not None and self.selector.matches(labels))

    @classmethod
    def from_fields(cls, fields: Fields) -> ModelSelection:
        """Read spec.models. Raises SpecError."""
        path = fields.at("names")
        names = tuple(
            checked_text(f"{path}[{index}]", value, DNS_SUBDOMAIN, _NAME_HINT)
            for index, value in enumerate(fields.items("names", MAX_NAMES))
        )
        if len(set(names)) != len(names):
            raise SpecError(path, "names a Deployment twice: list each once")
        selector = None
        if fields.get("selector") is not None:
            selector = LabelSelector.from_fields(fields.child("selector"))
        fields.done()
        if not names and selector is None:
            raise SpecError(fields.path, "selects nothing: set names or selector")
        return cls(names, selector)


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What is known of the engine beforehand. Empty container or version: found by the operator."""

    type: EngineType = EngineType.VLLM
    container: str = ""
    version: str = ""
    dialect: Dialect = Dialect.AUTO
    labels: EngineLabels = EngineLabels.TEMPLATE

    @classmethod
    def from_fields(cls, fields: Fields) -> EngineSpec:
        """Read spec.engine. Raises SpecError."""
        default = cls()
        spec = cls(
            type=fields.choice("type", default.type),
            container=fields.text("container", "", OPTIONAL_DNS_LABEL, _LABEL_HINT),
            version=fields.text("version", "", VERSION, _VERSION_HINT),
            dialect=fields.choice("dialect", default.dialect),
            labels=fields.choice("labels", default.labels),
        )
        fields.done()
        return spec


@dataclass(frozen=True, slots=True)
class Amounts:
    """CPUs and memory as Kubernetes quantities; empty: derived by the operator."""

    cpu: str = ""
    memory: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> Amounts:
        """Read a part of spec.events.relay.resources. Raises SpecError."""
        amounts = cls(
            cpu=fields.text("cpu", "", CPU, _CPU_HINT),
            memory=fields.text("memory", "", MEMORY, _MEMORY_HINT),
        )
        fields.done()
        return amounts


@dataclass(frozen=True, slots=True)
class RelayResources:
    """What the sidecar asks for, and may use at most."""

    requests: Amounts = Amounts()
    limits: Amounts = Amounts()

    @classmethod
    def from_fields(cls, fields: Fields) -> RelayResources:
        """Read spec.events.relay.resources. Raises SpecError."""
        resources = cls(
            requests=Amounts.from_fields(fields.child("requests")),
            limits=Amounts.from_fields(fields.child("limits")),
        )
        fields.done()
        for name in ("cpu", "memory"):
            asked, most = getattr(resources.requests, name), getattr(resources.limits, name)
            if asked and most and parse_quantity(asked) > parse_quantity(most):
                problem = f"is {asked}, more than the limit {most}: choose at most the limit"
                raise SpecError(f"{fields.at('requests')}.{name}", problem)
        return resources


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """The sidecar between the engine and the gateway. Empty ``image``: the operator's own.

    ``reannounce`` is in seconds: everything is told again once in that time.
    """

    mode: RelayMode = RelayMode.OFF
    image: str = ""
    resources: RelayResources = RelayResources()
    reannounce: float = 300.0

    @classmethod
    def from_fields(cls, fields: Fields) -> RelaySpec:
        """Read spec.events.relay. Raises SpecError."""
        default = cls()
        spec = cls(
            mode=fields.choice("mode", default.mode),
            image=fields.text("image", default.image, IMAGE, _IMAGE_HINT),
            resources=RelayResources.from_fields(fields.child("resources")),
            reannounce=fields.duration("reannounce", default.reannounce, 10, 24 * 3600),
        )
        fields.done()
        return spec


@dataclass(frozen=True, slots=True)
class EventsSpec:
    """How each engine publishes. ``buffer_steps`` counts engine steps kept for replay."""

    buffer_steps: int = 10000
    topic: str = ""
    port: int = 5557
    replay_port: int = 5558
    hwm: int = 100000
    max_queue_size: int = 100000
    relay: RelaySpec = RelaySpec()

    @classmethod
    def from_fields(cls, fields: Fields) -> EventsSpec:
        """Read spec.events. Raises SpecError."""
        default = cls()
        spec = cls(
            buffer_steps=fields.integer("bufferSteps", default.buffer_steps, 1, 1_000_000),
            topic=fields.text("topic", default.topic, TOPIC, _TOPIC_HINT),
            port=fields.integer("port", default.port, 1, 65535),
            replay_port=fields.integer("replayPort", default.replay_port, 1, 65535),
            hwm=fields.integer("hwm", default.hwm, 0, 10_000_000),
            max_queue_size=fields.integer("maxQueueSize", default.max_queue_size, 1, 10_000_000),
            relay=RelaySpec.from_fields(fields.child("relay")),
        )
        fields.done()
        if spec.port == spec.replay_port:
            problem = f"is {spec.port}, the same as {fields.at('port')}: choose two different ports"
            raise SpecError(fields.at("replayPort"), problem)
        return spec


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """The gateway and what it is told. Empty ``tokenizer_endpoint``: derived by the operator."""

    manage: bool = True
    namespace: str = "aibrix-system"
    deployment: str = "aibrix-gateway-plugins"
    container: str = "gateway-plugin"
    environment: GatewayEnvironment = GatewayEnvironment.AUTO
    tokenizer_endpoint: str = ""
    tokenizer_engine: str = "vllm"
    also_configure: tuple[str, ...] = ()
    """Further Deployments of its namespace that get the same variables."""

    @property
    def consumers(self) -> tuple[tuple[str, str], ...]:
        """All Deployments that get the variables, as namespace and name; the gateway comes last."""
        own = (self.namespace, self.deployment)
        if not self.also_configure:
            return (own,)  # asked of each object in each pass of another one
        return (*((self.namespace, name) for name in self.also_configure), own)

    @classmethod
    def from_fields(cls, fields: Fields) -> GatewaySpec:
        """Read spec.gateway. Raises SpecError."""
        default = cls()
        tokenizer = fields.child("remoteTokenizer")
        spec = cls(
            manage=fields.boolean("manage", default.manage),
            namespace=fields.text("namespace", default.namespace, DNS_LABEL, _LABEL_HINT),
            deployment=fields.text("deployment", default.deployment, DNS_SUBDOMAIN, _NAME_HINT),
            container=fields.text("container", default.container, DNS_LABEL, _LABEL_HINT),
            environment=fields.choice("environment", default.environment),
            tokenizer_endpoint=tokenizer.text("endpoint", "", ENDPOINT, _ENDPOINT_HINT),
            tokenizer_engine=tokenizer.text(
                "engine", default.tokenizer_engine, TOKENIZER_ENGINE, _ENGINE_HINT
            ),
            also_configure=_also(fields),
        )
        tokenizer.done()
        fields.done()
        if is_control_plane(spec.deployment):
            raise SpecError(fields.at("deployment"), _CONTROL_PLANE_HINT)
        if spec.deployment in spec.also_configure:
            problem = f"holds {fields.at('deployment')}: choose further Deployments only"
            raise SpecError(fields.at("alsoConfigure"), problem)
        return spec


def is_control_plane(name: str) -> bool:
    """Whether a Deployment of this name is never configured as a gateway, nor beside one."""
    return name.endswith(CONTROL_PLANE)


def _also(fields: Fields) -> tuple[str, ...]:
    path = fields.at("alsoConfigure")
    names = tuple(
        checked_text(f"{path}[{index}]", value, DNS_SUBDOMAIN, _NAME_HINT)
        for index, value in enumerate(fields.items("alsoConfigure", MAX_ALSO))
    )
    for index, name in enumerate(names):
        if is_control_plane(name):
            raise SpecError(f"{path}[{index}]", _CONTROL_PLANE_HINT)
    if len(set(names)) != len(names):
        raise SpecError(path, "names a Deployment twice: list each once")
    return names


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """How models are restarted. ``progress_deadline`` is in seconds."""

    max_concurrent: int = 1
    progress_deadline: float = 1800.0
    on_failure: OnFailure = OnFailure.ROLLBACK

    @classmethod
    def from_fields(cls, fields: Fields) -> RolloutSpec:
        """Read spec.rollout. Raises SpecError."""
        default = cls()
        spec = cls(
            max_concurrent=fields.integer("maxConcurrent", default.max_concurrent, 1, 100),
            progress_deadline=fields.duration(
                "progressDeadline", default.progress_deadline, 10, 24 * 3600
            ),
            on_failure=fields.choice("onFailure", default.on_failure),
        )
        fields.done()
        return spec


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """How sources are watched. ``interval`` is in seconds."""

    interval: float = 10.0
    active_check: bool = True
    canary: bool = False

    @classmethod
    def from_fields(cls, fields: Fields) -> ProbeSpec:
        """Read spec.probe. Raises SpecError."""
        default = cls()
        spec = cls(
            interval=fields.duration("interval", default.interval, 1, 300),
            active_check=fields.boolean("activeCheck", default.active_check),
            canary=fields.boolean("canary", default.canary),
        )
        fields.done()
        return spec


@dataclass(frozen=True, slots=True)
class KVEventSyncSpec:
    """The whole spec of one KVEventSync, every default filled in."""

    models: ModelSelection
    engine: EngineSpec = EngineSpec()
    events: EventsSpec = EventsSpec()
    gateway: GatewaySpec = GatewaySpec()
    rollout: RolloutSpec = RolloutSpec()
    probe: ProbeSpec = ProbeSpec()
    mode: Mode = Mode.PATCH
    paused: bool = False
    deletion_policy: DeletionPolicy = DeletionPolicy.REVERT

    @classmethod
    def from_manifest(cls, spec: Mapping[str, Any]) -> KVEventSyncSpec:
        """The typed form of a manifest's ``spec``.

        Raises SpecError, which names the field and the way out, where the schema would refuse it.
        """
        fields = Fields(spec, "spec")
        parsed = cls(
            models=ModelSelection.from_fields(fields.child("models")),
            engine=EngineSpec.from_fields(fields.child("engine")),
            events=EventsSpec.from_fields(fields.child("events")),
            gateway=GatewaySpec.from_fields(fields.child("gateway")),
            rollout=RolloutSpec.from_fields(fields.child("rollout")),
            probe=ProbeSpec.from_fields(fields.child("probe")),
            mode=fields.choice("mode", Mode.PATCH),
            paused=fields.boolean("paused", default=False),
            deletion_policy=fields.choice("deletionPolicy", DeletionPolicy.REVERT),
        )
        fields.done()
        if parsed.mode is Mode.ADMISSION and parsed.deletion_policy is DeletionPolicy.RETAIN:
            raise SpecError(fields.at("deletionPolicy"), _ADMISSION_RETAINED)
        return parsed
