"""What a gateway reads of its environment at its start, as far as that can be told from its Deployment.

Source: AIBrix ``pkg/utils`` (LoadEnvBool, LoadEnvInt), ``pkg/constants``, ``pkg/kvevent/manager.go``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kvsync.core.environment import effective_value
from kvsync.model.workload import Container

SYNC = "AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED"
REMOTE_TOKENIZER = "AIBRIX_PREFIX_CACHE_USE_REMOTE_TOKENIZER"
TOKENIZER_TYPE = "AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE"
ENDPOINT = "AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT"
BLOCK_SIZE = "AIBRIX_PREFIX_CACHE_BLOCK_SIZE"
TOKENIZER_TEMPLATE = "AIBRIX_VLLM_TOKENIZER_ENDPOINT_TEMPLATE"

TOKEN_BYTES = 4
"""Bytes that the gateway counts for one token where it compares blocks."""

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_DEFAULT_BLOCK_SIZE = 16
_DEFAULT_TEMPLATE = "http://%s:8000"
_NUMBER = re.compile(r"\+?0*([0-9]{1,12})")
_PORT = re.compile(r"https?://%s:([0-9]{1,5})(?:/.*)?", re.DOTALL)
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The texts of the variables; empty where one is absent, None where its value stands elsewhere."""

    sync: str | None
    remote_tokenizer: str | None
    tokenizer_type: str | None
    endpoint: str | None
    block_size: str | None
    tokenizer_template: str | None

    @property
    def block_bytes(self) -> int | None:
        """The block that it compares, in bytes; what is no positive number means the default."""
        if self.block_size is None:
            return None
        found = _NUMBER.fullmatch(self.block_size)
        return (int(found[1]) if found else 0) or _DEFAULT_BLOCK_SIZE

    @property
    def tokenizer_port(self) -> int | None:
        """The port on which it asks pods to tokenize; None where that cannot be told."""
        if self.tokenizer_template is None:
            return None
        found = _PORT.fullmatch(self.tokenizer_template or _DEFAULT_TEMPLATE)
        return int(found[1]) if found else None

    @property
    def hidden(self) -> tuple[str, ...]:
        """The variables whose values stand elsewhere. Few set the tokenizer's template: it is not one."""
        texts = (
            self.sync,
            self.remote_tokenizer,
            self.tokenizer_type,
            self.endpoint,
            self.block_size,
        )
        return tuple(
            name for name, text in zip(NAMES.values(), texts, strict=False) if text is None
        )

    @property
    def unmet(self) -> tuple[str, ...]:
        """What keeps it from subscribing to any pod, each as a clause: all four must hold."""
        return tuple(self._unmet())

    def _unmet(self) -> Iterator[str]:
        for name, holds, wanted in _NEEDED:
            text = getattr(self, name)
            if text is None or holds(text):
                continue
            # An endpoint may hold what is nobody's business; this one is only ever empty here.
            found = f"is {text[:_SHOWN]!r}" if text else "is not set"
            yield f"{NAMES[name]} {found} and must be {wanted}"


NAMES = {
    "sync": SYNC,
    "remote_tokenizer": REMOTE_TOKENIZER,
    "tokenizer_type": TOKENIZER_TYPE,
    "endpoint": ENDPOINT,
    "block_size": BLOCK_SIZE,
    "tokenizer_template": TOKENIZER_TEMPLATE,
}
"""The variable of each setting."""

_NEEDED: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    ("sync", _TRUE.__contains__, "true"),
    ("remote_tokenizer", _TRUE.__contains__, "true"),
    ("tokenizer_type", "remote".__eq__, "remote"),
    ("endpoint", bool, "a URL"),
)


def read_settings(container: Container) -> GatewaySettings:
    """What a gateway's container gives it."""
    return GatewaySettings(**{key: effective_value(container, name) for key, name in NAMES.items()})
