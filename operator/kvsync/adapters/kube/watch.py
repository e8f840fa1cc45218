"""`Watch`: the last known state of every object of one kind, and a call for each change of it.

It replaces kopf for Deployments and pods: kopf keeps ghosts of objects deleted while its watch
was away, and one 403 or 404 on any watched kind ends its process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic

from kvsync.adapters.kube.answer import Json
from kvsync.adapters.kube.by_namespace import Key
from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.follow import Follow
from kvsync.adapters.kube.mirror import Mirror, OnChange, Projected
from kvsync.adapters.kube.pace import Backoff, Timing
from kvsync.adapters.kube.resource import Resource
from kvsync.model.errors import Forbidden, KvsyncError

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
_QUICK = 1.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a watch sees nothing for now: a sentence with the way out, and the next attempt."""

    resource: Resource
    namespace: str | None
    error: Exception
    message: str
    retry_in: float


def _log(trouble: Trouble) -> None:
    log.warning("%s; next attempt in %.1f s", trouble.message, trouble.retry_in)


class Watch(Generic[Projected]):
    """Follows one kind: make it, start `run` as a task, await ``synced``, read ``store``.

    ``project`` turns an object as the server sent it into what is kept of it; memory is paid per
    object, so keep only what is needed. ``on_change(key, old, new)`` is called after the store
    changed: ``old`` is None for a new object, ``new`` for a deleted one. No call is made when the
    projection stayed equal: one without ``resourceVersion`` keeps churn away. Objects that were
    deleted while the watch was away are found missing by the next list; one deleted and made again
    meanwhile shows as one change. Both run in the event loop and must be quick; what they raise is
    logged and costs that one object its update.

    ``namespaces`` None watches the cluster; a set needs no more than a Role in each of them.
    Errors never end it: they are given to ``on_trouble`` and tried again after a growing pause.
    """

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        *,
        project: Callable[[Json], Projected],
        on_change: OnChange[Projected],
        namespaces: Collection[str] | None = None,
        label_selector: str = "",
        on_trouble: Callable[[Trouble], None] = _log,
        timing: Timing | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self.lists = 0
        """Complete lists so far, of all namespaces together."""
        mirror = Mirror(project, on_change)
        self.store: Mapping[Key, Projected] = mirror.objects
        self._on_trouble = on_trouble
        self._timing = timing = timing or Timing()
        query = {"labelSelector": label_selector}
        self._follows = [
            Follow(kube, resource, scope, query, mirror, self, timing)
            for scope in ([None] if namespaces is None else sorted(set(namespaces)))
        ]
        self._unlisted = {each.namespace for each in self._follows}
        self._blind = set(self._unlisted)
        self._troubles: dict[str | None, Trouble] = {}
        self._healthy_since: float | None = None
        self._note_health()

    @property
    def unlisted(self) -> frozenset[str | None]:
        """The namespaces (None: the cluster) whose objects are not known yet."""
        return frozenset(self._unlisted)

    @property
    def troubles(self) -> list[Trouble]:
        """Why this watch sees nothing now, one entry per namespace; empty when all is well."""
        return list(self._troubles.values())

    @property
    def healthy_since(self) -> float | None:
        """Reading of ``clock`` since when everything is listed and followed, or None."""
        return self._healthy_since

    def silence(self) -> float:
        """Seconds since the API server last sent anything on the quietest of its watches.

        A live one ends and is opened again within 10 minutes: more than that means deaf.
        """
        return max((self._timing.clock() - each.heard_at for each in self._follows), default=0.0)

    def idle(self) -> float:
        """Seconds since the laziest of its watches heard something or tried to: one that lives does
        either within minutes, also while the API server does not answer."""
        return max((self._timing.clock() - each.stirred_at for each in self._follows), default=0.0)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for follow in self._follows:
                group.create_task(self._keep_up(follow))

    def listed(self, follow: Follow) -> None:
        """A complete list of one namespace is in the store (called by `Follow`)."""
        self.lists += 1
        self._unlisted.discard(follow.namespace)
        self._note_health()

    def opened(self, follow: Follow) -> None:
        """The server accepted a watch (called by `Follow`)."""
        self._blind.discard(follow.namespace)
        self._troubles.pop(follow.namespace, None)
        self._note_health()

    async def _keep_up(self, follow: Follow) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, self._timing.jitter)
        while True:
            started = follow.tried_at = self._timing.clock()
            error: Exception | None = None
            heard = False
            try:
                heard = await follow.step()
            except KvsyncError as refused:
                error = refused
            except Exception as bug:  # must not leave the operator up and deaf
                log.exception("the watch of %s failed", self.resource)
                error = bug
            quick = self._timing.clock() - started < _QUICK
            if heard or not (error or quick):
                backoff.reset()
            if error or quick:
                await self._rest(follow, error, backoff.pause())

    async def _rest(self, follow: Follow, error: Exception | None, pause: float) -> None:
        if error:
            message = explain(error, self.resource, follow.namespace)
            trouble = Trouble(self.resource, follow.namespace, error, message, pause)
            self._troubles[follow.namespace] = trouble
            self._blind.add(follow.namespace)
            self._note_health()
            self._report(trouble)
        await self._timing.sleep(pause)

    def _report(self, trouble: Trouble) -> None:
        try:
            self._on_trouble(trouble)
        except Exception:
            log.exception("trouble with %s was not taken: %s", self.resource, trouble.message)

    def _note_health(self) -> None:
        if not self._unlisted:
            self.synced.set()
        healthy = not self._unlisted and not self._blind
        if not healthy:
            self._healthy_since = None
        elif self._healthy_since is None:
            self._healthy_since = self._timing.clock()


def explain(error: Exception, resource: Resource, namespace: str | None) -> str:
    """What stopped a watch, with what to do about it where that is known."""
    if isinstance(error, Forbidden):
        group = f'API group "{resource.group}"' if resource.group else "the core API group"
        rule = f"Role in namespace {namespace}" if namespace else "ClusterRole"
        return (
            f"cannot watch {resource}: {error.message}; grant the operator's service account the "
            f'verbs "list" and "watch" on {resource.plural} of {group} with a {rule}'
        )
    return f"cannot watch {resource.where(namespace)}: {error}"
