"""StormServices and their pods, followed from the moment that the cluster serves the kind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.mirror import OnChange
from kvsync.adapters.kube.pace import Timing
from kvsync.adapters.kube.resource import STORMSERVICES
from kvsync.adapters.kube.watch import Trouble, Watch
from kvsync.model.errors import ApiError, Forbidden, NotFound
from kvsync.shell.projection import PROJECTED_PODS, project_pod, project_workload

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

LOOK_AGAIN = 180.0
"""Seconds between two looks whether the kind has come: AIBrix may be installed after us."""

ASK_AGAIN = 5.0
"""Seconds between two looks while the API server does not say."""

_FINAL = (Forbidden, NotFound)
"""Refusals that waiting does not help."""


class StormWatch:
    """What is known of StormServices and of the pods that their controllers made.

    ``settled`` is set when the picture is as whole as it gets: all is listed, or the kind is not
    served, or reading it is not permitted. ``on_listed`` is called at each first list, so that what
    was decided without it is looked at again.
    """

    def __init__(
        self,
        kube: Kube,
        namespaces: tuple[str, ...],
        *,
        on_storm: OnChange[Json],
        on_pod: OnChange[Json],
        on_listed: Callable[[], None],
        timing: Timing | None = None,
    ) -> None:
        self.settled = asyncio.Event()
        self._kube = kube
        self._on_listed = on_listed
        self._timing = timing = timing or Timing()
        self._told: set[str] = set()
        self.storms: Watch[Json] = Watch(
            kube,
            STORMSERVICES,
            project=project_workload,
            on_change=on_storm,
            namespaces=namespaces or None,
            on_trouble=self._troubled,
            timing=timing,
        )
        self.pods: Watch[Json] = Watch(
            kube,
            PROJECTED_PODS,
            project=project_pod,
            on_change=on_pod,
            namespaces=namespaces or None,
            label_selector="storm-service-name",
            on_trouble=self._troubled,
            timing=timing,
        )
        self._watches = (self.storms, self.pods)

    @property
    def followed(self) -> Mapping[str, Watch[Json]]:
        """Its watches by what they follow, once they had a list: a kind that is not served, or may
        not be read, is none that should be heard of."""
        watches = {"stormservices": self.storms, "pods of stormservices": self.pods}
        return {name: watch for name, watch in watches.items() if watch.lists}

    async def run(self) -> None:
        """Wait for the kind, then follow it, until cancelled."""
        while not await self._is_served():
            await self._timing.sleep(LOOK_AGAIN if self.settled.is_set() else ASK_AGAIN)
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())
                group.create_task(self._await_list(watch))

    async def _is_served(self) -> bool:
        """Whether to begin; without an answer nothing is settled."""
        try:
            if await self._kube.serves(STORMSERVICES):
                return True
        except Forbidden as error:
            self._say_once(
                f"cannot see which kinds the API server serves: {error}; bind the service account "
                "to ClusterRole system:discovery. Until then there are no StormServices"
            )
        except ApiError as error:
            log.warning("cannot see whether the API server serves StormServices: %s", error)
            return False
        self.settled.set()
        return False

    async def _await_list(self, watch: Watch[Json]) -> None:
        await watch.synced.wait()
        self._settle()
        self._on_listed()

    def _troubled(self, trouble: Trouble) -> None:
        """Say what is refused once, and go on without it: the watch keeps trying."""
        if isinstance(trouble.error, _FINAL):
            self._say_once(f"{trouble.message}. Until then its StormServices are not configured")
        else:
            log.warning("%s; next attempt in %.1f s", trouble.message, trouble.retry_in)
        self._settle()

    def _settle(self) -> None:
        if all(_is_settled(watch) for watch in self._watches):
            self.settled.set()

    def _say_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            log.warning("%s", message)


def _is_settled(watch: Watch[Json]) -> bool:
    """Whether all is listed but what is refused."""
    refused = {each.namespace for each in watch.troubles if isinstance(each.error, _FINAL)}
    return watch.unlisted <= refused
