"""From a host's name to the address that is connected to."""

from __future__ import annotations

import asyncio
import socket

from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError

PATIENCE = 2.0
"""Seconds for one address to accept a connection before the next is tried."""


async def resolve(address: Address) -> str:
    """The IP address behind a host: the first that accepts a connection, or the first of all.

    libzmq tries one only, so that ``localhost`` would be ::1 where the publisher is on 127.0.0.1.
    Raises KvsyncError where the name is unknown.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise KvsyncError(f"the host {address.host} is not known: {error.strerror}") from error
    hosts = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if len(hosts) > 1:
        for host in hosts:
            if await _accepts(host, address.port):
                return host
    return hosts[0]


async def _accepts(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
