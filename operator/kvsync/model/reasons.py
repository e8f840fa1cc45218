"""The reasons of conditions and models. Each has an entry in docs/runbook.md, kept by a test."""

from __future__ import annotations

import enum


class ModelReason(enum.StrEnum):
    """Why a model is in its state."""

    # Nothing is patched; the cause is outside the operator.
    NO_SUCH_DEPLOYMENT = "NoSuchDeployment"
    NO_ENGINE_CONTAINER = "NoEngineContainer"
    SEVERAL_ENGINES = "SeveralEngines"
    DIALECT_UNKNOWN = "DialectUnknown"
    ENGINE_TOO_OLD = "EngineTooOld"
    SHELL_WRAPPED = "ShellWrapped"
    PORT_IN_USE = "PortInUse"
    PARALLEL_WORKERS = "ParallelWorkers"
    DATA_PARALLEL_PORTS = "DataParallelPorts"
    PREFIX_CACHING_DISABLED = "PrefixCachingDisabled"
    ENGINE_V0 = "EngineV0"
    EVENTS_ALREADY_CONFIGURED = "EventsAlreadyConfigured"
    EVENTS_CONFIG_INVALID = "EventsConfigInvalid"
    ENDPOINT_CONNECTS = "EndpointConnects"
    ROLLOUT_PAUSED = "RolloutPaused"
    RECORD_TOO_LARGE = "RecordTooLarge"
    SELECTOR_CONFLICT = "SelectorConflict"
    OWNED_BY_ANOTHER = "OwnedByAnother"
    CONTROLLED_BY_ANOTHER = "ControlledByAnother"
    ARGS_OWNED = "ArgsOwned"
    MODEL_UNHEALTHY = "ModelUnhealthy"
    UNSUPPORTED = "Unsupported"
    # Someone undoes what we wrote: put back a few times, then left as it is.
    CONTENDED = "Contended"
    # Something to know of a change that is made all the same.
    ARGS_AT_RISK = "ArgsAtRisk"
    EVENTS_MERGED = "EventsMerged"
    HYBRID_KV_MANAGER_OFF = "HybridKVManagerOff"
    NOT_LABELLED = "NotLabelled"
    POD_DISRUPTION = "PodDisruption"
    RECREATE_STRATEGY = "RecreateStrategy"
    RECORD_LOST = "RecordLost"
    # On the way.
    WAITING_FOR_TURN = "WaitingForTurn"
    PAUSED = "Paused"
    ROLLING_OUT = "RollingOut"
    VERIFYING = "Verifying"
    WAITING_FOR_TRAFFIC = "WaitingForTraffic"
    # There.
    VERIFIED = "Verified"
    SCALED_TO_ZERO = "ScaledToZero"
    # Tried and failed.
    SOURCES_FAILING = "SourcesFailing"
    ENGINE_CRASHED = "EngineCrashed"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"


class ConditionReason(enum.StrEnum):
    """Why a condition has its status, where no model's or source's reason says it."""

    SYNCHRONIZED = "Synchronized"
    GATEWAY_INCOMPATIBLE = "GatewayIncompatible"
    NO_MODELS = "NoModels"
    INVALID_SPEC = "InvalidSpec"
    CONFIGURED = "Configured"
    FLOWING = "Flowing"
    NO_SOURCES = "NoSources"
    WAITING_FOR_MODELS = "WaitingForModels"
    PROGRESSING = "Progressing"
    IDLE = "Idle"
    UNDOING = "Undoing"
    PAUSED = "Paused"
    WRITE_REFUSED = "WriteRefused"
    # Gateway
    NOT_MANAGED = "NotManaged"
    GATEWAY_NOT_FOUND = "GatewayNotFound"
    GATEWAY_NOT_PERMITTED = "GatewayNotPermitted"
    GATEWAY_CONTAINER_NOT_FOUND = "GatewayContainerNotFound"
    GATEWAY_VARIABLE_REFERENCED = "GatewayVariableReferenced"
    GATEWAY_NOT_INITIALIZED = "GatewayNotInitialized"
    GATEWAY_UNCONFIRMED = "GatewayUnconfirmed"
    GATEWAY_ROLLING_OUT = "GatewayRollingOut"
    WAITING_FOR_EVENTS = "WaitingForEvents"
    RECORD_UNREADABLE = "RecordUnreadable"
    CONFLICT = "Conflict"
    # Compatibility
    COMPATIBLE = "Compatible"
    GATEWAY_TOO_OLD = "GatewayTooOld"
    GATEWAY_NOT_CONSUMING = "GatewayNotConsuming"
    EVENT_LAYOUT = "EventLayout"
    DATA_PARALLEL_RANKS = "DataParallelRanks"
    GATEWAY_PORTS = "GatewayPorts"
    POD_PASSED_OVER = "PodPassedOver"
    EVENTS_LABEL_MISSING = "EventsLabelMissing"
    MODEL_NAME_MISSING = "ModelNameMissing"
    LORA_LABEL = "LoRALabel"
    ENGINE_NOT_TOKENIZED = "EngineNotTokenized"
    TOKENIZER_PORT = "TokenizerPort"
    BLOCK_SIZE = "BlockSize"
    GATEWAY_VERSION_UNKNOWN = "GatewayVersionUnknown"
    ENGINE_VERSION_UNKNOWN = "EngineVersionUnknown"
