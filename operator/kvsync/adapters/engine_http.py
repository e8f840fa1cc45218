"""Asking a running engine over its own HTTP port; everything it says is bounded and distrusted."""

from __future__ import annotations

import asyncio
import json

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from kvsync.model.observed import EngineAnswers

PATIENCE = 2.0
"""Seconds for one answer."""

MOST_BYTES = 1 << 20
_CACHE_INFO = "vllm:cache_config_info"
_LARGEST_BLOCK = 65536


class EngineHTTP:
    """Asks engines. One session, no redirects, no cookies; never raises."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, host: str, port: int) -> EngineAnswers:
        """Version and block size; None where it did not say.

        vLLM: ``GET /version`` and ``GET /metrics``. SGLang has no ``/version`` and tells both in
        ``GET /server_info`` (since 0.5.6) or ``/get_server_info``.
        """
        version, metrics = await asyncio.gather(
            self._get(host, port, "/version"), self._get(host, port, "/metrics")
        )
        if version:
            return EngineAnswers(version_of(version), block_size_of(metrics))
        for path in ("/server_info", "/get_server_info"):
            info = await self._get(host, port, path)
            if info:
                return EngineAnswers(version_of(info), page_size_of(info))
        return EngineAnswers(None, block_size_of(metrics))

    async def _get(self, host: str, port: int, path: str) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=PATIENCE), cookie_jar=aiohttp.DummyCookieJar()
            )
        address = f"[{host}]" if ":" in host else host
        try:
            async with self._session.get(
                f"http://{address}:{port}{path}", allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    return ""
                return await _read(answer.content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return ""


async def _read(content: aiohttp.StreamReader) -> str:
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > MOST_BYTES:
            return ""
    return data.decode(errors="replace")


def version_of(text: str) -> str | None:
    """The version in the answer of ``/version`` (vLLM ``api_server.py``), or of SGLang's info."""
    version = _field(text, "version")
    return version[:64] if isinstance(version, str) else None


def page_size_of(text: str) -> int | None:
    """Tokens a cache block, from SGLang's ``/server_info`` (``http_server.py``)."""
    size = _field(text, "page_size")
    return size if type(size) is int and 0 < size <= _LARGEST_BLOCK else None


def _field(text: str, name: str) -> object:
    try:
        return json.loads(text)[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def block_size_of(text: str) -> int | None:
    """Tokens a cache block, from the label of ``vllm:cache_config_info`` (vLLM ``metrics``)."""
    lines = [
        line
        for line in text.splitlines()
        if line.startswith((_CACHE_INFO, f"# TYPE {_CACHE_INFO}"))
    ]
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                size = sample.labels.get("block_size", "")
                if size.isdigit() and 0 < int(size) <= _LARGEST_BLOCK:
                    return int(size)
    except (ValueError, IndexError):
        return None
    return None
