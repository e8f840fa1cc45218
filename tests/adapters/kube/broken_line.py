"""A line between a client and a real API server that a test can cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import yaml


class BrokenLine:
    """Forwards bytes from ``port`` on loopback to the server of a kubeconfig, TLS and all.

    While ``down`` is set, new connections are closed at once; `cut` ends those that are open.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
        self._address = urlsplit(self._config["clusters"][0]["cluster"]["server"])
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self.connections = 0
        self.down = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End every open connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def kubeconfig(self, path: Path) -> str:
        """A kubeconfig, written to ``path``, that goes through this line."""
        port = self._server.sockets[0].getsockname()[1]
        self._config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path.write_text(json.dumps(self._config))
        return str(path)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.down:
            writer.close()
            return
        there = await asyncio.open_connection(self._address.hostname, self._address.port)
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
