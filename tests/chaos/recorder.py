"""Every version of every Deployment and KVEventSync, by watches of its own beside the operator's.

A watch that breaks goes on where it ended. Where the API server has forgotten that place, as after its
restart, the revisions between are read from etcd one by one, so that nothing is left out.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

import urllib3

from chaos.history import DEPLOYMENTS, SYNCS, Key, Version, revision_of
from testbed.api import Api, ApiError, Object
from testbed.waiting import wait_for

KINDS = {
    DEPLOYMENTS: "/apis/apps/v1/deployments",
    SYNCS: "/apis/kvsync.aibrix.ai/v1alpha1/kveventsyncs",
}
MOST_REVISIONS = 2000
"""Read one by one; more are a gap that nobody judges over."""
_CATCH_UP = 20.0
_PAUSE = 0.1
_SERVER_AWAY = (urllib3.exceptions.HTTPError, OSError)


class Recorder:
    """Records the whole cluster from ``start`` on; ``api`` is an admin's. A context manager."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._lock = threading.Lock()
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._known: dict[str, dict[Key, int]] = {kind: {} for kind in KINDS}
        self._seen: dict[str, int] = {}
        self._stopped = threading.Event()
        self.gaps: list[str] = []
        """Places where versions may be missing."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Read what is there, and watch from then on."""
        for kind in KINDS:
            self._list(kind)
            threading.Thread(target=self._watch, args=(kind,), daemon=True).start()

    def stop(self) -> None:
        """Let the watches end; each does with its next event or at its time."""
        self._stopped.set()

    def versions(self, namespace: str) -> tuple[Version, ...]:
        """What was seen of a namespace. Call :meth:`catch_up` first."""
        with self._lock:
            return tuple(self._versions[namespace])

    def forget(self, namespace: str) -> None:
        """Give up what was seen of a namespace, to save memory."""
        with self._lock:
            self._versions.pop(namespace, None)

    def catch_up(self, deadline: float = _CATCH_UP) -> None:
        """Wait until all that was written before this call has been seen. Raises TimeoutError."""
        for kind, path in KINDS.items():
            answer = self.api.request("GET", path)
            there = {_key(kind, item): revision_of(item) for item in answer["items"]}
            now = int(answer["metadata"]["resourceVersion"])
            wait_for(
                lambda kind=kind, there=there, now=now: self._has(kind, there, now),  # type: ignore[misc]
                deadline,
                what=f"the recorder to see all {kind}",
            )

    def _has(self, kind: str, there: dict[Key, int], now: int) -> bool:
        """Whether it saw at least these versions, and the rest go, as a list of that revision says."""
        with self._lock:
            known = self._known[kind]
            # Events come in order: whoever saw the newest saw the others.
            newest = self._seen[kind] >= max(there.values(), default=0)
            return newest and all(known[key] > now for key in known.keys() - there.keys())

    def _note(self, kind: str, key: Key, revision: int, body: Object | None) -> None:
        with self._lock:
            if body is None:
                self._known[kind].pop(key, None)
            else:
                self._known[kind][key] = revision
            self._versions[key[1]].append(Version(key, revision, body))
            self._seen[kind] = max(revision, self._seen.get(kind, 0))

    def _list(self, kind: str) -> None:
        # A CRD that has just been created is served a moment later.
        answer = wait_for(
            lambda: self.api.request("GET", KINDS[kind]),
            _CATCH_UP,
            what=f"a list of {kind}",
            ignore=(ApiError,),
        )
        for item in answer["items"]:
            self._note(kind, _key(kind, item), revision_of(item), item)
        self._seen[kind] = int(answer["metadata"]["resourceVersion"])

    def _watch(self, kind: str) -> None:
        while not self._stopped.is_set():
            try:
                for event in self.api.watch(KINDS[kind], self._seen[kind]):
                    self._take(kind, event)
                    if self._stopped.is_set():
                        return
            except ApiError as error:
                if error.code == 410:
                    self._bridge(kind)
                else:
                    time.sleep(_PAUSE)
            except _SERVER_AWAY:
                time.sleep(_PAUSE)

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        body = event["object"]
        if event["type"] == "ERROR":
            raise ApiError("WATCH", KINDS[kind], int(body.get("code", 500)), b"{}")
        if event["type"] == "BOOKMARK":
            self._seen[kind] = revision_of(body)
            return
        gone = event["type"] == "DELETED"
        self._note(kind, _key(kind, body), revision_of(body), None if gone else body)

    def _bridge(self, kind: str) -> None:
        """Read each revision between the last one seen and now from etcd."""
        now = self._seen[kind]
        try:
            now = int(self.api.request("GET", KINDS[kind])["metadata"]["resourceVersion"])
            first = self._seen[kind] + 1
            if now - first > MOST_REVISIONS:
                self.gaps.append(f"{kind}: {first} to {now}")
                first = now
            for revision in range(first, now + 1):
                self._as_of(kind, revision)
        except ApiError as error:
            if error.code == 410:
                self.gaps.append(f"{kind}: behind {self._seen[kind]}, which etcd has forgotten")
                self._seen[kind] = now - 1
            time.sleep(_PAUSE)
        except _SERVER_AWAY:
            time.sleep(_PAUSE)

    def _as_of(self, kind: str, revision: int) -> None:
        query = f"?resourceVersion={revision}&resourceVersionMatch=Exact"
        items = self.api.request("GET", KINDS[kind] + query)["items"]
        there = {_key(kind, item): item for item in items}
        for key, body in there.items():
            if self._known[kind].get(key) != revision_of(body):
                self._note(kind, key, revision_of(body), body)
        for key in [key for key in self._known[kind] if key not in there]:
            self._note(kind, key, revision, None)
        self._seen[kind] = revision


def _key(kind: str, body: Object) -> Key:
    metadata = body["metadata"]
    return (kind, metadata["namespace"], metadata["name"])
