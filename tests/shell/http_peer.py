"""Talks HTTP to a port by hand, well or badly."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kvsync.model.address import Address

DEADLINE = 10.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: str
    body: bytes


async def get(address: Address, path: str, method: str = "GET", headers: str = "") -> Answer:
    """One request on a connection of its own, read to the end of the connection."""
    said = await send(address, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    head, _, body = said.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), head.decode(), body)


async def send(address: Address, request: bytes) -> bytes:
    """Send these bytes; whatever comes back until the other end closes."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()
