"""Connecting to a port and nothing more."""

from __future__ import annotations

import asyncio

from kvsync.adapters.reach import reach


async def test_an_open_port_a_closed_one_and_a_name_that_is_none() -> None:
    said = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        writer.close()
        said.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    assert await reach("127.0.0.1", port) == ""
    await asyncio.wait_for(said.wait(), 5)
    server.close()
    await server.wait_closed()
    assert "refused" in (await reach("127.0.0.1", port)).lower()
    assert await reach("no..such", port)
