"""A bare loop: the same JSON patches to the same Deployments, and nothing else. ``python -m … KUBECONFIG``.

It watches nothing, asks nothing, and knows nothing of rollouts. A line of JSON on stdin holds what to
send, ``[[path, patch], …]``; it answers once all are ready to be sent, and once all were answered.
"""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp

from testbed.api import JSON_PATCH, entrance

AT_ONCE = 16


async def send_all(session: aiohttp.ClientSession, wanted: list[tuple[str, str]]) -> None:
    """Send each once, some at a time; a refusal ends it."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def send(path: str, body: str) -> None:
        async with slots, session.patch(path, data=body) as answer:
            await answer.read()
            answer.raise_for_status()

    await asyncio.gather(*(send(path, body) for path, body in wanted))


def opened(kubeconfig: str) -> aiohttp.ClientSession:
    """A session with the API server that sends JSON patches."""
    server, tls, proof = entrance(Path(kubeconfig))
    return aiohttp.ClientSession(
        server,
        headers={**proof, "Content-Type": JSON_PATCH},
        connector=aiohttp.TCPConnector(ssl=tls, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=1 << 20,
    )


async def main(kubeconfig: str) -> None:
    """Do it once."""
    wanted = [(path, json.dumps(patch)) for path, patch in json.loads(sys.stdin.readline())]
    async with opened(kubeconfig) as session:
        print("ready", flush=True)
        sys.stdin.readline()
        await send_all(session, wanted)
        print("sent", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
