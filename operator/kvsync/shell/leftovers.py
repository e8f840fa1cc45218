"""Gateways that are configured for nobody any more: given back although no pass would look at them.

An object that is deleted by force (its finalizer taken off by hand, or while the operator was down)
leaves its mark on the gateway. Where others are left their passes take it off; where none is, nobody
would. Nothing is remembered: what is left over is found by the marks.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from kvsync.core.actions import handback_action, leave_action
from kvsync.model.decision import Action
from kvsync.model.errors import ApiError, NotLeading
from kvsync.model.workload import Deployment
from kvsync.shell.world import World

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds before the next try after a write that failed."""


class Writer(Protocol):
    """What carries out an action (``shell.writer``)."""

    async def patch(self, action: Action) -> None:
        """Apply one action. Raises ApiError."""

    def announce_alone(self, action: Action) -> None:
        """Record a Kubernetes Event on the object of an action, best effort."""


class Leftovers:
    """Looks when it is told to: at the start, when an object is gone, and once in a while."""

    def __init__(self, world: World, writer: Writer) -> None:
        self._world = world
        self._writer = writer
        self._stirred = asyncio.Event()

    def look(self) -> None:
        """Have it look soon."""
        self._stirred.set()

    async def run(self) -> None:
        """Look whenever it is told to, until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            if not await self.sweep():
                await asyncio.sleep(PAUSE)
                self.look()

    async def sweep(self) -> bool:
        """Give back what is left over. Returns whether all of it could be."""
        done = True
        for deployment in tuple(self._world.marked()):
            action = leave_action(deployment, self._world.gone([deployment]))
            if action is not None:
                done &= await self._give_back(deployment, action)
        return done

    async def _give_back(self, deployment: Deployment, action: Action) -> bool:
        where = f"{deployment.namespace}/{deployment.name}"
        try:
            await self._writer.patch(action)
            log.info("%s: %s: %s", where, action.reason, action.note)
            self._writer.announce_alone(action)
            last = handback_action(self._world.deployment(deployment.namespace, deployment.name))
            if last is not None:
                await self._writer.patch(last)
        except (ApiError, NotLeading) as error:
            log.warning("%s: cannot give it back: %s; again in %.0f s", where, error, PAUSE)
            return False
        return True
