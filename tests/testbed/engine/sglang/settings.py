"""What an accepted command line adds up to, and the text of ``--kv-events-config`` once it is read."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from testbed.engine.arguments import UsageError
from testbed.engine.events_config import READERS, EventsConfig, optional_bool, read_values
from testbed.engine.publisher import binds
from testbed.engine.settings import Settings
from testbed.engine.sglang.releases import Behaviour, Publishing, Release, behaviour_of
from testbed.engine.versions import Build, Version

_DEFAULT_TOKENS, _DEFAULT_LENGTH = 16_384, 4096
_COMMON_KEYS = ("endpoint", "replay_endpoint", "buffer_steps", "hwm", "max_queue_size", "topic")
_WITHOUT_INIT = Release(0, 5, 13)


@dataclass(frozen=True, slots=True)
class Parallel:
    """How the engine is spread over processes; ``ranks`` are the data-parallel ones."""

    tp: int
    pp: int
    ranks: int
    attention: int
    """How many ranks share the tensor-parallel processes of one replica (attention DP)."""

    def offsets(self, publishing: Publishing, rank: int) -> list[int]:
        """The port offset of each process of one rank that opens a publisher."""
        tensor = self.tp // self.attention
        attention_rank = rank % self.attention
        match publishing:
            case Publishing.EVERY_PROCESS:
                return [0] * tensor * self.pp
            case Publishing.EVERY_PROCESS_BY_RANK:
                return [attention_rank] * tensor * self.pp
            case Publishing.FIRST_TP:
                return [] if attention_rank else [0] * self.pp
            case Publishing.FIRST_ATTENTION_TP:
                return [attention_rank] * self.pp
            case Publishing.EACH_RANK:
                return [rank]


@dataclass(frozen=True, slots=True)
class SglangSettings:
    """Everything that decides how the engine behaves once it runs; ``base`` is what vLLM has too."""

    release: Release
    behaviour: Behaviour
    options: argparse.Namespace
    parallel: Parallel
    base: Settings
    bind: bool | None = None
    """The key ``bind`` of the events' configuration."""

    @property
    def served_name(self) -> str:
        """The model's name for clients."""
        return self.base.names[0]

    def should_bind(self, endpoint: str) -> bool:
        """Whether the release listens on this endpoint (``ZmqEventPublisher._socket_setup``)."""
        if self.bind is not None:
            return self.bind
        return binds(endpoint) or (self.behaviour.binds_zero and "0.0.0.0" in endpoint)


def settle(release: Release, options: argparse.Namespace) -> SglangSettings:
    """The settings of one engine process, its events not yet read; raises UsageError."""
    parallel = _parallel(options)
    page = options.page_size or 1
    tokens = options.max_total_tokens or _DEFAULT_TOKENS
    base = Settings(
        build=Build(Version(*release[:3])),
        model=options.model_path,
        names=(options.served_model_name or options.model_path,),
        host=options.host,
        port=options.port,
        api_keys=frozenset([options.api_key] if options.api_key else []),
        access_log=(options.log_level_http or options.log_level or "info") in ("info", "debug"),
        block_size=page,
        blocks=tokens // page,
        max_model_len=options.context_length or min(_DEFAULT_LENGTH, tokens),
        ranks=parallel.ranks,
        prefix_caching=not options.disable_radix_cache,
        events=None,
        hash_seed=b"",
        int_hashes=True,
    )
    return SglangSettings(release, behaviour_of(release), options, parallel, base)


def with_events(settings: SglangSettings) -> SglangSettings:
    """The settings with the events' configuration read, which SGLang does once the model is loaded.

    Raises:
        ArgumentTypeError: pydantic's words, for a text that it refuses. Unknown keys pass.
        TypeError, ValueError: what ``EventPublisherFactory.create`` raises.
    """
    text = getattr(settings.options, "kv_events_config", None)
    if not text:
        return settings
    values = read_values(text, _readers(settings.behaviour), strict=False)
    publisher, bind = values.pop("publisher", "null"), values.pop("bind", None)
    if publisher == "null":
        raise TypeError(_null_refuses(settings.release))
    if publisher != "zmq":
        raise ValueError(f"Unknown event publisher '{publisher}'")
    events = EventsConfig(enable_kv_cache_events=True, publisher="zmq", **values)
    return replace(settings, base=replace(settings.base, events=events), bind=bind)


def _readers(behaviour: Behaviour) -> dict[str, Callable[[Any], Any]]:
    readers = {key: READERS[key] for key in _COMMON_KEYS}
    readers["publisher"] = READERS["topic"]  # any text: the factory looks at it
    return readers | ({"bind": optional_bool} if behaviour.bind_key else {})


def _null_refuses(release: Release) -> str:
    if Release(0, 4, 7) <= release < _WITHOUT_INIT:
        return "EventPublisher.__init__() got an unexpected keyword argument 'endpoint'"
    return "NullEventPublisher() takes no arguments"


def _parallel(options: argparse.Namespace) -> Parallel:
    replicas, attention = options.dp_size, getattr(options, "attn_dp_size", 1)
    if options.enable_dp_attention:
        # the older spelling: --dp-size counts the attention ranks then
        replicas, attention = 1, max(attention, options.dp_size)
    if options.tp_size % attention:
        raise UsageError(f"tp_size {options.tp_size} must be divisible by attention dp {attention}")
    return Parallel(options.tp_size, options.pp_size, replicas * attention, attention)
