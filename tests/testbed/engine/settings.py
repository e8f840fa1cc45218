"""What the accepted command line and the environment add up to: the engine's settings."""

import argparse
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.engine.arguments import CommandLine
from testbed.engine.events_config import PUBLISHER_CHECKED_SINCE, EventsConfig
from testbed.engine.versions import Build, Version

V1_SINCE, V0_ENDS = Version(0, 8), Version(0, 11)
BYTES_HASHES_SINCE = Version(0, 10, 2)
SAME_HASHES_SINCE = Version(0, 29)
DEFAULT_MODEL = "Qwen/Qwen3-0.6B"
_DEFAULT_BLOCKS, _DEFAULT_BLOCK_SIZE, _DEFAULT_LENGTH = 1024, 16, 4096
FLAGS_ENDPOINT, FLAGS_REPLAY_ENDPOINT = "tcp://*:5557", "tcp://*:5558"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides how the engine behaves once it runs."""

    build: Build
    model: str
    names: tuple[str, ...]
    host: str
    port: int
    api_keys: frozenset[str]
    access_log: bool
    block_size: int
    blocks: int
    max_model_len: int
    ranks: int
    prefix_caching: bool
    events: EventsConfig | None
    hash_seed: bytes
    int_hashes: bool
    gpu_memory_utilization: float = 0.9

    @property
    def starts_publisher(self) -> bool:
        """Whether ranks get a publisher at all.

        Until 0.11.0 any configuration started one, also the "null" one that cannot be made; later
        releases ask first whether events are on.
        """
        if self.events is None:
            return False
        if self.build.takes_config and self.build.version < PUBLISHER_CHECKED_SINCE:
            return True
        return self.events.enable_kv_cache_events and self.events.publisher != "null"


def settle(build: Build, line: CommandLine, environ: Mapping[str, str]) -> Settings:
    """The settings of one engine process."""
    options = line.options
    model = options.model_tag or options.model or DEFAULT_MODEL
    v1 = _runs_v1(build, environ)
    caching = options.enable_prefix_caching
    blocks = options.num_gpu_blocks_override or _DEFAULT_BLOCKS
    block_size = options.block_size or _DEFAULT_BLOCK_SIZE
    return Settings(
        build=build,
        model=model,
        names=tuple(options.served_model_name or [model]),
        host=options.host or "0.0.0.0",
        port=8000 if options.port is None else options.port,
        api_keys=_api_keys(options, environ),
        access_log=not options.disable_uvicorn_access_log
        and options.uvicorn_log_level in (None, "debug", "info", "trace"),
        block_size=block_size,
        blocks=blocks,
        max_model_len=_max_model_len(options, (blocks - 1) * block_size),
        ranks=options.data_parallel_size or 1,
        prefix_caching=v1 if caching is None else caching,
        events=_events(build, options, environ) if v1 else None,
        hash_seed=_hash_seed(build, environ),
        int_hashes=_int_hashes(build, environ),
        gpu_memory_utilization=options.gpu_memory_utilization or 0.9,
    )


def _runs_v1(build: Build, environ: Mapping[str, str]) -> bool:
    # A build that takes flags publishes whenever told to: that is what it was made for.
    if build.takes_flags or build.version >= V0_ENDS:
        return True
    return build.version >= V1_SINCE and environ.get("VLLM_USE_V1", "1") != "0"


def _max_model_len(options: argparse.Namespace, room: int) -> int:
    asked = options.max_model_len
    return int(asked) if asked and asked > 0 else min(_DEFAULT_LENGTH, room)


def _api_keys(options: argparse.Namespace, environ: Mapping[str, str]) -> frozenset[str]:
    keys = options.api_key or [environ.get("VLLM_API_KEY", "")]
    return frozenset(key for key in keys if key)


def _events(
    build: Build, options: argparse.Namespace, environ: Mapping[str, str]
) -> EventsConfig | None:
    if build.takes_flags:
        return _events_from_flags(options, environ)
    return options.kv_events_config if build.takes_config else None


def _events_from_flags(
    options: argparse.Namespace, environ: Mapping[str, str]
) -> EventsConfig | None:
    """The flags name no ports: they are the ones the AIBrix gateway connects to.

    TESTBED_FLAGS_ENDPOINTS (publish, comma, replay) moves them for tests that share one host.
    """
    if not options.enable_kv_cache_events:
        return None
    both = environ.get("TESTBED_FLAGS_ENDPOINTS", f"{FLAGS_ENDPOINT},{FLAGS_REPLAY_ENDPOINT}")
    endpoint, _, replay_endpoint = both.partition(",")
    return EventsConfig(
        enable_kv_cache_events=True,
        publisher="zmq",
        endpoint=endpoint,
        replay_endpoint=replay_endpoint or None,
        buffer_steps=options.kv_events_buffer_steps,
        topic=options.kv_events_topic,
    )


def _hash_seed(build: Build, environ: Mapping[str, str]) -> bytes:
    if build.version >= SAME_HASHES_SINCE:
        return bytes(32)
    given = environ.get("PYTHONHASHSEED", "random")
    if given in ("", "random"):
        return os.urandom(32)
    return zlib.crc32(given.encode()).to_bytes(4, "big")


def _int_hashes(build: Build, environ: Mapping[str, str]) -> bool:
    if build.version < BYTES_HASHES_SINCE:
        return True
    return environ.get("VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES", "1") not in ("0", "false", "False")
