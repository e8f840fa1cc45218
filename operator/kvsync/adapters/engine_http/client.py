"""Asking a running engine: what it is, what it counted, and for one completion."""

from __future__ import annotations

import asyncio

import aiohttp

from kvsync.adapters.asking import Asker, url_of
from kvsync.adapters.engine_http.answers import page_size_of, prompt_tokens_of, version_of
from kvsync.adapters.engine_http.counters import NAMES, metrics_of
from kvsync.adapters.engine_http.exposition import Sieve, samples_of
from kvsync.model.observed import EngineAnswers
from kvsync.model.traffic import Completion, EngineMetrics

PATIENCE = 2.0
"""Seconds for one answer."""

COMPLETION_PATIENCE = 30.0
"""Seconds for one completion: the first one may compile kernels."""

MOST_BYTES = 1 << 20
MOST_METRICS_BYTES = 8 << 20
"""An engine with 64 ranks writes about 2 MiB."""


class EngineHTTP:
    """Asks engines; never raises."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._asker = Asker(patience)

    async def close(self) -> None:
        """Close its connections."""
        await self._asker.close()

    async def ask(self, host: str, port: int) -> EngineAnswers:
        """Version and block size; None where it did not say.

        vLLM: ``GET /version`` and ``GET /metrics``. SGLang has no ``/version`` and tells both in
        ``GET /server_info`` (since 0.5.6) or ``/get_server_info``.
        """
        version, metrics = await asyncio.gather(
            self._get(host, port, "/version"), self.metrics(host, port)
        )
        size = metrics.block_size if metrics is not None else None
        if version:
            return EngineAnswers(version_of(version), size)
        for path in ("/server_info", "/get_server_info"):
            info = await self._get(host, port, path)
            if info:
                return EngineAnswers(version_of(info), page_size_of(info))
        return EngineAnswers(None, size)

    async def metrics(self, host: str, port: int) -> EngineMetrics | None:
        """What it counted so far (``GET /metrics``); None where it does not answer."""
        sieve = Sieve(NAMES)
        status = await self._asker.ask(
            "GET", url_of(host, port, "/metrics"), sieve.feed, MOST_METRICS_BYTES
        )
        if status != 200:
            return None
        sieve.finish()
        return metrics_of(samples_of(sieve.lines))

    async def complete(self, host: str, port: int, model: str, prompt: str) -> Completion:
        """Have it complete a prompt by one token (``POST /v1/completions`` of both engines).

        An empty ``model`` is left out: vLLM and SGLang then take what they serve. The text of the
        answer is thrown away.
        """
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0}
        data = bytearray()
        status = await self._asker.ask(
            "POST",
            url_of(host, port, "/v1/completions"),
            data.extend,
            MOST_BYTES,
            json=body | ({"model": model} if model else {}),
            timeout=aiohttp.ClientTimeout(total=COMPLETION_PATIENCE),
        )
        if status == 0:
            return Completion(problem="no answer")
        if status != 200:
            return Completion(problem=f"HTTP status {status}")
        return Completion(prompt_tokens_of(data.decode(errors="replace")))

    async def _get(self, host: str, port: int, path: str) -> str:
        data = bytearray()
        status = await self._asker.ask("GET", url_of(host, port, path), data.extend, MOST_BYTES)
        return data.decode(errors="replace") if status == 200 else ""
