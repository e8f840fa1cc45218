"""``python -m testbed.forward``: a port of the host's loopback becomes the API server inside.

The listening socket was made before the network was left and is inherited; a socket stays in the
network it was made in, so its connections come from the host, and are spliced to one inside.
"""

import argparse
import asyncio
import socket
import sys

CHUNK = 1 << 16


async def splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, and pass the end on."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, TimeoutError):
        writer.close()


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Accept on ``listener`` for ever; each connection gets one of its own to host:port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(splice(reader, inner_writer), splice(inner_reader, writer))
        for end in (writer, inner_writer):
            end.close()

    server = await asyncio.start_server(connected, sock=listener)
    async with server:
        await server.serve_forever()


def main() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m testbed.forward", description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    asyncio.run(serve(socket.socket(fileno=options.listener), host, int(port)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
