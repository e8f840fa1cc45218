"""``python -m testbed.crowd.kubelet KUBECONFIG LOADING``: the status of every pod, and nothing behind it.

Each pod that is pending is running at an address of its own, and Ready ``LOADING`` seconds later. Pods
are on no node, so the API server deletes them by itself.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from testbed.api import Object
from testbed.crowd import address, running
from testbed.kubelet.client import STRATEGIC, Client, RefusedError

AT_ONCE = 16
FIRST = 30_000
"""Its first address; those below are of pods that were there before it."""


class Kubelet:
    """Attends to the pods of one API server."""

    def __init__(self, client: Client, loading: float) -> None:
        self._client = client
        self._loading = loading
        self._numbers = itertools.count(FIRST)
        self._attended: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Attend to each pod that is there or comes, until cancelled; the first list is told as ``up``."""
        up = False
        async for kind, body in self._client.follow("/api/v1/pods"):
            if kind != "DELETED":
                for pod in body["items"] if kind == "SYNC" else [body]:
                    self._see(pod)
            if not up:
                up = True
                print("up", flush=True)

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
        try:
            async with self._slots:
                await self._client.request("PATCH", path, body, STRATEGIC)
        except RefusedError as error:
            if error.code not in (404, 409):  # it may be gone by now
                print(f"{path}: {error}", file=sys.stderr)


async def main(kubeconfig: str, loading: str) -> None:
    """Attend until stdin ends."""
    attending = asyncio.create_task(Kubelet(Client(Path(kubeconfig)), float(loading)).run())
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait((attending, ended), return_when=asyncio.FIRST_COMPLETED)
    os._exit(int(attending.done()))  # a thread may still read stdin


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
