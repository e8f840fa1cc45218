"""What a running engine counts of its own work, as its ``/metrics`` and answers tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EngineCounters:
    """Counters of one data-parallel rank since its engine started; None where it does not say."""

    prompt_tokens: int | None = None
    """Tokens of the prompts that got their first output token, whether computed or found cached."""
    cached_tokens: int | None = None
    """Prompt tokens that were found in a cache, at least: a waiting prompt may be counted again."""
    computed_tokens: int | None = None
    """Prompt tokens that were computed, where the engine counts them by themselves."""
    first_tokens: int | None = None
    """Requests that got their first output token: those whose prompts are counted."""
    finished: int | None = None
    """Requests that are done."""
    unfinished: int | None = None
    """Requests that run or wait at this moment; the only number here that may fall."""


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """One reading of an engine's metrics."""

    ranks: Mapping[int, EngineCounters] = field(default_factory=dict)
    """By data-parallel rank, where the engine tells its ranks apart."""
    whole: EngineCounters = EngineCounters()
    """Of all ranks together, and of what names no rank."""
    block_size: int | None = None
    """Tokens a KV cache block."""
    prefix_caching: bool | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What became of one completion that was asked for."""

    prompt_tokens: int | None = None
    """Tokens of its prompt as the engine counted them; None where it failed or does not say."""
    problem: str = ""
    """Why there is no completion; empty where there is one."""
