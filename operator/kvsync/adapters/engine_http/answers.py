"""JSON answers of an engine; None where it does not say."""

from __future__ import annotations

import json

LARGEST_BLOCK = 65536
"""Tokens; no engine has larger cache blocks."""

_MOST_TOKENS = 1 << 31


def version_of(text: str) -> str | None:
    """The version in the answer of ``/version`` (vLLM ``api_server.py``), or of SGLang's info."""
    version = _field(text, "version")
    return version[:64] if isinstance(version, str) else None


def page_size_of(text: str) -> int | None:
    """Tokens a cache block, from SGLang's ``/server_info`` (``http_server.py``)."""
    size = _field(text, "page_size")
    return size if type(size) is int and 0 < size <= LARGEST_BLOCK else None


def prompt_tokens_of(text: str) -> int | None:
    """How many tokens the prompt of a completion had (OpenAI's ``usage``, of both engines)."""
    count = _field(text, "usage", "prompt_tokens")
    return count if type(count) is int and 0 <= count < _MOST_TOKENS else None


def _field(text: str, *path: str) -> object:
    try:
        value = json.loads(text)
        for name in path:
            value = value[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return value
