"""The story of one pass over one KVEventSync: observe, decide, carry out, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kvsync.core.actions import mark_of
from kvsync.core.decide import decide
from kvsync.core.render import TemplateRenderError, Templates
from kvsync.core.summary import invalid, refused
from kvsync.model.decision import WORKLOADS, Action, Announcement, Decision
from kvsync.model.errors import ApiError, Conflict, Invalid, NotFound, TooManyRequests
from kvsync.model.observed import KVEventSync, Observed
from kvsync.model.spec import KVEventSyncSpec, ModelSelection, SpecError
from kvsync.model.standing import Standing
from kvsync.shell.decision_log import log_action, log_refused, log_status
from kvsync.shell.inquiries import Inquiries
from kvsync.shell.probes import Probes
from kvsync.shell.shards import Shards
from kvsync.shell.standings import Standings
from kvsync.shell.world import Heard, World

Key = tuple[str, str]

_UNREADABLE = KVEventSyncSpec(models=ModelSelection())
"""Stands in for a spec that cannot be read when its object is deleted: what is ours is found by mark."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass came to: whether it changed anything, and the seconds after which to come again.

    ``seconds`` of the processor it took to decide. ``in_line``: whether models wait for their turn, or the
    object is to go.
    """

    acted: bool
    look_again: float | None
    seconds: float = 0.0
    in_line: bool = False


class Writer(Protocol):
    """What carries out a decision (``shell.writer``)."""

    async def patch(self, action: Action) -> None:
        """Apply one action. Raises ApiError."""

    async def write_status(self, sync: KVEventSync, status: Mapping[str, Any]) -> None:
        """Replace the status. Raises ApiError."""

    def announce(self, sync: KVEventSync, announcement: Announcement) -> None:
        """Record a Kubernetes Event, best effort."""


class Reconciler:
    """Runs passes. Holds no state of its own: everything is in the world, the probes and the cluster."""

    def __init__(
        self,
        world: World,
        probes: Probes,
        inquiries: Inquiries,
        standings: Standings,
        writer: Writer,
        templates: Templates,
        clock: Callable[[], float],
        shards: Shards | None = None,
    ) -> None:
        self._world = world
        self._shards = shards
        self._probes = probes
        self._inquiries = inquiries
        self._standings = standings
        self._writer = writer
        self._templates = templates
        self._clock = clock

    async def reconcile(self, key: Key) -> Outcome:
        """One pass.

        A pass that changed something reports nothing: the next one, at once, sees what came of it.
        Only what must not be forgotten is written before the change (``Action.counted``).

        Raises:
            ApiError: a write was refused or lost; come again.
        """
        sync = self._world.sync(key)
        if sync is None:
            self._probes.assign(key, {})
            self._standings.forget(key)
            self._inquiries.forget(key)
            if self._shards is not None:
                self._shards.forget(key)
            return Outcome(acted=False, look_again=None)
        if self._shards is not None:
            served = await self._shards.serve(sync)
            if not served.ours:
                self._probes.assign(key, {})
                self._inquiries.forget(key)
                return Outcome(served.acted, served.look_again)
        # No pass of another object may decide between these two: both would take the last place.
        began = time.thread_time()
        decision = self._decide(sync)
        seconds = time.thread_time() - began
        standing = decision.standing or Standing(mark_of(sync))
        self._standings.note(key, standing)
        if self._shards is not None and decision.status is not None:
            status = self._shards.with_entry(sync, decision.status, standing)
            decision = replace(decision, status=status)
        self._probes.assign(key, decision.targets)
        self._inquiries.ask(key, decision)
        if decision.actions:
            if self._shards is None or not await self._shards.announce(sync, standing):
                await self._carry_out(sync, decision)
            return Outcome(acted=True, look_again=None)
        await self._report(sync, decision.status, decision.announcements)
        return Outcome(
            acted=False,
            look_again=decision.look_again,
            seconds=seconds,
            in_line=decision.waits or sync.deleting,
        )

    def _observe(self, sync: KVEventSync, spec: KVEventSyncSpec) -> Observed:
        verdicts = self._probes.verdicts((sync.namespace, sync.name))
        heard = Heard(
            self._inquiries.interviews.answers,
            verdicts,
            self._inquiries.strangers.kinds,
            self._standings.others((sync.namespace, sync.name)),
            self._standings.unheard((sync.namespace, sync.name)),
            self._inquiries.gateway_logs.readings,
            self._inquiries.tokenizers.answers(),
            self._inquiries.last_words.answers,
        )
        return self._world.observe(sync, spec, heard, self._clock())

    def _decide(self, sync: KVEventSync) -> Decision:
        try:
            spec = KVEventSyncSpec.from_manifest(sync.body.get("spec") or {})
        except SpecError as error:
            if not sync.deleting:
                return Decision(status=invalid(sync, str(error), self._clock()))
            spec = _UNREADABLE
        try:
            return decide(self._observe(sync, spec), self._templates)
        except TemplateRenderError as error:
            return Decision(status=invalid(sync, str(error), self._clock()))

    async def _carry_out(self, sync: KVEventSync, decision: Decision) -> None:
        for announcement in decision.announcements if sync.deleting else ():
            self._writer.announce(sync, announcement)
        counted = False
        for action in decision.actions:
            if action.counted and not counted:
                await self._report(sync, decision.status, decision.announcements)
                counted = True
            try:
                await self._writer.patch(action)
            except ApiError as error:
                if action.evicts and is_refused_for_now(error):
                    log_refused(sync, action, error)
                    continue
                if decision.status is not None and not is_race(error):
                    status = refused(sync, decision.status, str(error), self._clock())
                    await self._report(sync, status, ())
                raise
            log_action(sync, action)
            if action.note:
                self._writer.announce(sync, announcement_of(action))

    async def _report(
        self,
        sync: KVEventSync,
        status: Mapping[str, Any] | None,
        announcements: Iterable[Announcement],
    ) -> None:
        if status is None or status == sync.status:
            return
        await self._writer.write_status(sync, status)
        self._world.note_said(sync)
        log_status(sync, status)
        for announcement in announcements:
            self._writer.announce(sync, announcement)


def announcement_of(action: Action) -> Announcement:
    """The Event of what an action did: also on its object, where that is a workload."""
    model = action.model if action.kind in WORKLOADS else ""
    return Announcement(action.warning, action.reason, action.note, model, action.namespace)


def is_refused_for_now(error: ApiError) -> bool:
    """Whether an eviction was refused by a PodDisruptionBudget, or its pod has gone by itself."""
    return isinstance(error, TooManyRequests | NotFound | Conflict)


def is_race(error: ApiError) -> bool:
    """Whether a refusal is the ordinary kind: the object changed or went while we decided."""
    # Conflict: what was to be created is there, or what was to be deleted is another by now.
    moved = isinstance(error, NotFound | Conflict)
    return moved or (isinstance(error, Invalid) and error.patch_did_not_fit)
