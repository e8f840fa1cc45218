"""How the router turns a request into bytes: an engine's `/tokenize`, or plain characters.

After AIBrix `algorithms/tokenizer_pool.go`: when no fitting pod answers, the gateway falls back to
characters and only one counter shows it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import aiohttp

from testbed.gateway.metrics import GatewayMetrics
from testbed.gateway.pods import Pod

_TIMEOUT = aiohttp.ClientTimeout(total=5)


def text_of(body: dict[str, Any]) -> str:
    """The prompt of a completion, or the contents of a chat's messages, as one text."""
    if "messages" not in body:
        prompt = body.get("prompt", "")
        return prompt if isinstance(prompt, str) else str(prompt)
    contents = (message.get("content") for message in body["messages"])
    return "".join(content if isinstance(content, str) else str(content) for content in contents)


class Characters:
    """The built-in tokenizer: one byte is one token."""

    async def tokens(self, body: dict[str, Any], pods: Iterable[Pod]) -> bytes:
        """The bytes of the request's text; asks no pod."""
        return text_of(body).encode()


class Remote:
    """Asks a ready vLLM pod of the model, at the address that the template makes of its IP."""

    def __init__(
        self, session: aiohttp.ClientSession, template: str, metrics: GatewayMetrics
    ) -> None:
        self._session = session
        self._template = template
        self._metrics = metrics

    async def tokens(self, body: dict[str, Any], pods: Iterable[Pod]) -> bytes:
        """The token ids, 4 bytes each, big-endian; the text's bytes when no pod answers."""
        for pod in pods:
            if pod.tokenizes:
                found = await self._ask(self._template.replace("%s", pod.ip), body)
                if found is not None:
                    return struct.pack(f">{len(found)}I", *found)
                break
        self._metrics.tokenizer_failures.inc()
        return text_of(body).encode()

    async def _ask(self, endpoint: str, body: dict[str, Any]) -> list[int] | None:
        url = f"{endpoint}/tokenize"
        try:
            async with self._session.post(url, json=_question(body), timeout=_TIMEOUT) as response:
                response.raise_for_status()
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        found = answer.get("tokens")
        return found if isinstance(found, list) else None


def _question(body: dict[str, Any]) -> dict[str, Any]:
    if "messages" in body:
        return {
            "model": body.get("model"),
            "messages": body["messages"],
            "add_special_tokens": False,
            "add_generation_prompt": True,
        }
    return {
        "model": body.get("model"),
        "prompt": text_of(body),
        "add_special_tokens": True,
    }
