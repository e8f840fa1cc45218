"""Which namespaces carry the label that lets their objects have a gateway changed, followed by a watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.pace import Timing
from kvsync.adapters.kube.resource import NAMESPACES
from kvsync.adapters.kube.watch import Trouble, Watch
from kvsync.core.gateway_access import Labelled, is_labelled
from kvsync.model.errors import Forbidden

log = logging.getLogger(__name__)


class NamespaceLabels:
    """What is known of the label. ``on_change(namespace)`` is called when that changed.

    ``settled`` is set when the picture is as whole as it gets: all are listed, or reading them is not
    permitted. ``on_listed`` is called at the first list, so that what was decided without it is looked
    at again.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        on_change: Callable[[str], None],
        on_listed: Callable[[], None],
        timing: Timing | None = None,
    ) -> None:
        self.settled = asyncio.Event()
        self._on_listed = on_listed
        self._refusal = ""
        self._watch: Watch[bool] = Watch(
            kube,
            NAMESPACES,
            project=is_labelled,
            on_change=lambda key, *_: on_change(key[1]),
            on_trouble=self._troubled,
            timing=timing,
        )

    @property
    def followed(self) -> Mapping[str, Watch[bool]]:
        """Its watch by what it follows, once it had a list: where it may not read it does without."""
        return {"namespaces": self._watch} if self._watch.lists else {}

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run())
            group.create_task(self._await_list())

    def of(self, namespace: str) -> Labelled:
        """Whether a namespace carries the label.

        Once all were listed the last known state stands, also while the watch is refused: a right that
        is away for a moment must not restart a gateway.
        """
        labelled = self._watch.store.get(("", namespace))
        if labelled is not None:
            return Labelled(labelled)
        return Labelled(None, self._refusal or f"namespace {namespace} has not been listed yet")

    async def _await_list(self) -> None:
        await self._watch.synced.wait()
        self._refusal = ""
        self.settled.set()
        self._on_listed()

    def _troubled(self, trouble: Trouble) -> None:
        if not isinstance(trouble.error, Forbidden):
            log.warning("%s; next attempt in %.1f s", trouble.message, trouble.retry_in)
            return
        if trouble.message != self._refusal:
            self._refusal = trouble.message
            log.warning(
                "%s. Until then gateways stay as they are for all objects that a label would let in",
                trouble.message,
            )
        self.settled.set()
