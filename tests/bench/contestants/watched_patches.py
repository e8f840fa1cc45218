"""The same patches by a loop that also waits: it lists and watches Deployments and pods, and sees that each
Deployment is rolled out. ``python -m … KUBECONFIG``, spoken with as ``bare_patches``.

It decides nothing and writes nothing else: what it costs to send and to notice.
"""

import asyncio
import json
import sys

import aiohttp

from bench.contestants.bare_patches import opened, send_all
from testbed.api import Object, rolled_out

KINDS = ("/apis/apps/v1/deployments", "/api/v1/pods")


class Seen:
    """What there is of both kinds, as it was told last."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._bodies: dict[str, dict[str, Object]] = {kind: {} for kind in KINDS}
        self._stirred = asyncio.Event()

    async def begin(self, kind: str) -> asyncio.Task[None]:
        """List them, and watch from then on."""
        async with self._session.get(kind) as answer:
            listed = await answer.json()
        for body in listed["items"]:
            self._bodies[kind][body["metadata"]["uid"]] = body
        return asyncio.create_task(self._watch(kind, listed["metadata"]["resourceVersion"]))

    async def _watch(self, kind: str, since: str) -> None:
        query = {"watch": "1", "resourceVersion": since}
        async with self._session.get(kind, params=query) as answer:
            async for line in answer.content:
                event = json.loads(line)
                body = event["object"]
                if event["type"] == "DELETED":
                    self._bodies[kind].pop(body["metadata"]["uid"], None)
                else:
                    self._bodies[kind][body["metadata"]["uid"]] = body
                self._stirred.set()

    async def until_rolled_out(self, paths: set[str]) -> None:
        """Wait for the Deployments at these paths, each once more patched than it was made."""
        while not all(map(rolled_out, self._patched(paths))) or len(self._patched(paths)) < len(
            paths
        ):
            self._stirred.clear()
            await self._stirred.wait()

    def _patched(self, paths: set[str]) -> list[Object]:
        return [
            body
            for body in self._bodies[KINDS[0]].values()
            if body["metadata"]["generation"] > 1 and path_of(body) in paths
        ]


def path_of(body: Object) -> str:
    """Where a Deployment is."""
    metadata = body["metadata"]
    return f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{metadata['name']}"


async def main(kubeconfig: str) -> None:
    """Do it once."""
    wanted = [(path, json.dumps(patch)) for path, patch in json.loads(sys.stdin.readline())]
    async with opened(kubeconfig) as session:
        seen = Seen(session)
        watches = [await seen.begin(kind) for kind in KINDS]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await send_all(session, wanted)
        await seen.until_rolled_out({path for path, _ in wanted})
        print("sent", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for watch in watches:
            watch.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
