"""Asking a stranger over HTTP: one session, no redirects, no cookies, nothing unpacked, nothing endless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp

from kvsync.model.address import Address

_PLAIN = {"Accept-Encoding": "identity"}


class Asker:
    """Sends requests to pods; never raises. ``patience`` is seconds for one answer."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, method: str, url: str, take: Callable[[bytes], None], most: int, **more: Any
    ) -> int:
        """The answer's status, after its content was handed to ``take``; 0 where it failed or is longer
        than ``most`` bytes. ``more`` is aiohttp's."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A pod has one address: there is none to race it against, and that costs a tenth of a look.
                connector=aiohttp.TCPConnector(happy_eyeballs_delay=None),
                timeout=aiohttp.ClientTimeout(total=self._patience),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers=_PLAIN,
            )
        size = 0
        try:
            async with self._session.request(method, url, allow_redirects=False, **more) as answer:
                async for chunk in answer.content.iter_any():
                    size += len(chunk)
                    if size > most:
                        return 0
                    take(chunk)
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return 0


def url_of(host: str, port: int, path: str) -> str:
    """The URL of a page of a pod."""
    return f"http://{Address(host, port).authority}{path}"
