"""The gateway's environment, read once at start, and what it makes of it.

Pure: takes a mapping, returns data. Booleans follow Go's `strconv.ParseBool`; anything else is the
default (AIBrix `utils.LoadEnvBool`), so `yes` means false.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from testbed.gateway.releases import Release

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
DEFAULT_BLOCK_SIZE = 16
DEFAULT_TEMPLATE = "http://%s:8000"


class Verdict(Enum):
    """What a gateway does about KV events after reading its environment; it stays Ready in all."""

    OFF = "off"
    NO_TOKENIZER = "no remote tokenizer"
    MISCONFIGURED = "misconfigured"
    START = "start"


@dataclass(frozen=True)
class Settings:
    """The variables of one gateway process.

    `block_size` is in bytes on the sync path (4 per token); nothing validates it.
    """

    release: Release
    sync: bool
    remote_tokenizer: bool
    tokenizer_type: str
    endpoint: str
    block_size: int
    tokenizer_template: str
    routing: str

    @property
    def router_tokenizes_remotely(self) -> bool:
        """The router turns the remote tokenizer on by itself when sync is asked for."""
        return self.remote_tokenizer or self.sync


def read(env: Mapping[str, str], release: Release) -> Settings:
    """The settings in `env` under the names that `release` reads; other names change nothing."""
    names = release.names
    return Settings(
        release=release,
        sync=env.get(names.sync, "") in _TRUE,
        remote_tokenizer=env.get(names.remote_tokenizer, "") in _TRUE,
        tokenizer_type=env.get(names.tokenizer_type) or "character",
        endpoint=env.get(names.endpoint, ""),
        block_size=_positive(env.get("AIBRIX_PREFIX_CACHE_BLOCK_SIZE", ""), DEFAULT_BLOCK_SIZE),
        tokenizer_template=env.get("AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE") or DEFAULT_TEMPLATE,
        routing=env.get("ROUTING_ALGORITHM", ""),
    )


def judge(settings: Settings) -> tuple[Verdict, str]:
    """The verdict and the words that the gateway logs for it (empty when it says nothing)."""
    names = settings.release.names
    if not settings.sync:
        return Verdict.OFF, ""
    if not settings.remote_tokenizer:
        return Verdict.NO_TOKENIZER, (
            "KV event sync requires remote tokenizer. "
            "Remote tokenizer will be automatically enabled."
        )
    if settings.tokenizer_type != "remote":
        return Verdict.MISCONFIGURED, _invalid(
            f'{names.tokenizer_type}=remote (got "{settings.tokenizer_type}")'
        )
    if not settings.endpoint:
        return Verdict.MISCONFIGURED, _invalid(f"{names.endpoint} to be set")
    return Verdict.START, ""


def _invalid(requirement: str) -> str:
    return (
        "Failed to initialize KV event sync: invalid KV event sync configuration: "
        f"KV event sync requires {requirement}"
    )


def _positive(text: str, default: int) -> int:
    try:
        number = int(text)
    except ValueError:
        return default
    return number if number > 0 else default
