"""``python -m bench.meter PORT``: a port that leads to another, and how many bytes went either way.

Its first line is its own port; it answers each line with the bytes to the server and from it. What
is counted is what the wire carries: with TLS, and compressed where both sides agreed on that.
"""

import asyncio
import json
import sys
from dataclasses import dataclass

from testbed.forward import CHUNK
from testbed.partner import Partner


@dataclass(frozen=True, slots=True)
class Carried:
    """Bytes to the server and from it."""

    sent: int
    received: int


class Meter:
    """One such process."""

    def __init__(self, port: int) -> None:
        self._partner = Partner("bench.meter", port)
        self.port = int(self._partner.hear())

    def read(self) -> Carried:
        """What was carried since it started."""
        self._partner.say("?")
        return Carried(*json.loads(self._partner.hear()))

    def end(self) -> None:
        """End it; its connections end with it."""
        self._partner.end()


class _Counter:
    def __init__(self, port: int) -> None:
        self._port = port
        self._carried = [0, 0]

    async def run(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(self._carried), flush=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._carry(reader, back, 0), self._carry(there, writer, 1))

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int
    ) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                self._carried[way] += len(chunk)
                writer.write(chunk)
                await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()


if __name__ == "__main__":
    asyncio.run(_Counter(int(sys.argv[1])).run())
