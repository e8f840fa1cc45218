"""``python -m testbed.crowd.kubelet KUBECONFIG LOADING``: the status of every pod, and nothing behind it.

Each pod that is pending is running at an address of its own, and Ready ``LOADING`` seconds later. Pods
are on no node, so the API server deletes them by itself.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from testbed.api import Object, entrance
from testbed.crowd import address, running

AT_ONCE = 16
FIRST = 30_000
"""Its first address; those below are of pods that were there before it."""
PODS = "/api/v1/pods"
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}


class Kubelet:
    """Attends to the pods of one API server."""

    def __init__(self, session: aiohttp.ClientSession, loading: float) -> None:
        self._session = session
        self._loading = loading
        self._numbers = itertools.count(FIRST)
        self._attended: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Attend to each pod that is there or comes, until cancelled."""
        while True:
            async with self._session.get(PODS) as answer:
                listed = await answer.json()
            for pod in listed["items"]:
                self._see(pod)
            async for event in self._watch(listed["metadata"]["resourceVersion"]):
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._see(event["object"])

    async def _watch(self, since: str) -> AsyncIterator[Object]:
        query = {"watch": "1", "resourceVersion": since}
        async with self._session.get(PODS, params=query) as answer:
            if not self._attended and not self._tasks:
                print("up", flush=True)
            async for line in answer.content:
                yield json.loads(line)

    def _see(self, pod: Object) -> None:
        metadata = pod["metadata"]
        pending = (pod.get("status") or {}).get("phase") == "Pending"
        if not pending or "deletionTimestamp" in metadata or metadata["uid"] in self._attended:
            return
        self._attended.add(metadata["uid"])
        task = asyncio.create_task(self._attend(pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, pod: Object) -> None:
        own = address(next(self._numbers))
        if self._loading:
            await self._write(pod, own, ready=False)
            await asyncio.sleep(self._loading)
        await self._write(pod, own, ready=True)

    async def _write(self, pod: Object, own: str, *, ready: bool) -> None:
        metadata, (first, *_) = pod["metadata"], pod["spec"]["containers"]
        body = running(own, first["image"], container=first["name"], ready=ready)
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        async with (
            self._slots,
            self._session.patch(path, data=json.dumps(body), headers=STRATEGIC) as answer,
        ):
            if answer.status not in (200, 404, 409):  # it may be gone by now
                print(f"{path}: {answer.status} {await answer.text()}", file=sys.stderr)


async def main(kubeconfig: str, loading: str) -> None:
    """Attend until stdin ends, or the API server does."""
    server, tls, proof = entrance(Path(kubeconfig))
    async with aiohttp.ClientSession(
        server,
        headers=proof,
        connector=aiohttp.TCPConnector(ssl=tls, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=1 << 20,
    ) as session:
        attending = asyncio.create_task(Kubelet(session, float(loading)).run())
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait((attending, ended), return_when=asyncio.FIRST_COMPLETED)
        os._exit(0)  # a thread still reads stdin where the API server went first


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
