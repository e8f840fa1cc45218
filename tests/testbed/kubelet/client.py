"""The kubelet's requests to the API server: raw JSON over aiohttp, and one list+watch."""

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
LONGEST_LINE = 64 << 20


class RefusedError(Exception):
    """The API server refused: ``code`` is the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Client:
    """The API server as one kubeconfig reaches it."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self.authority: bytes = base64.b64decode(cluster["certificate-authority-data"])
        self._tls = ssl.create_default_context(cadata=self.authority.decode())
        with tempfile.NamedTemporaryFile() as file:
            for part in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[part]))
            file.flush()
            self._tls.load_cert_chain(file.name)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, made in the running loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=64)
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"User-Agent": "testbed-kubelet"}
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self, method: str, path: str, body: object = None, content: str = "application/json"
    ) -> Object:
        """One request. Raises RefusedError."""
        async with self.session.request(
            method,
            self.server + path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content},
            timeout=aiohttp.ClientTimeout(total=30),
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise RefusedError(answer.status, text[:500])
            found: Object = json.loads(text)
            return found

    async def follow(self, path: str) -> AsyncIterator[tuple[str, Object]]:
        """News of the objects at a path, for ever: (SYNC, list), then (ADDED/MODIFIED/DELETED, it)."""
        while True:
            try:
                listed = await self.request("GET", path)
                yield "SYNC", listed
                version = listed["metadata"]["resourceVersion"]
                more = "&" if "?" in path else "?"
                url = f"{self.server}{path}{more}watch=1&resourceVersion={version}"
                timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
                async with self.session.get(
                    url, timeout=timeout, read_bufsize=LONGEST_LINE
                ) as stream:
                    async for line in stream.content:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        yield event["type"], event["object"]
            except (aiohttp.ClientError, RefusedError, TimeoutError):
                await asyncio.sleep(0.5)
