"""One operator among several: which objects are its own, and what it tells and hears before it acts.

Each operator knows all objects, and makes passes over its own alone. What an own object is to the others
stands in its status before anything is done by it, and the statuses of all objects are read after that:
of two operators that take the last common place at once, at least one sees the other and steps back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kvsync.adapters.log_lines import about
from kvsync.core.leadership import Sight, Terms, look
from kvsync.core.shards import (
    FIELD,
    Serving,
    claims_of,
    entry_in,
    entry_of,
    is_given_up,
    let_go,
    server_of,
    serving,
    standing_of,
    taken,
)
from kvsync.model.errors import ApiError, Forbidden
from kvsync.model.lease import Lease
from kvsync.model.observed import KVEventSync
from kvsync.model.shard import Shard
from kvsync.model.standing import Standing
from kvsync.shell.standings import Standings
from kvsync.shell.world import World

log = logging.getLogger(__name__)

Key = tuple[str, str]
Json = Mapping[str, Any]

LOOK = 2.0
"""Seconds between looks at an object that another operator has still to let go of."""

LONG_LOOK = 60.0
"""The same where the other one's Lease may not be read."""


@dataclass(frozen=True, slots=True)
class Served:
    """Whether an object is ours; if not, whether its status was written, and when to look again."""

    ours: bool
    acted: bool = False
    look_again: float | None = None


class Writer(Protocol):
    """What writes a status (``shell.writer``)."""

    async def write_status(
        self, sync: KVEventSync, status: Mapping[str, Any], *, unchanged: bool = False
    ) -> None:
        """Replace the status; ``unchanged``: only of the object as it was read. Raises ApiError."""


ReadLease = Callable[[str, str], Awaitable[Lease | None]]
"""The Lease of that namespace and name, or None. Raises ApiError."""


class OtherLeases:
    """Whether anybody leads by another shard's Lease. ``timer`` is a clock that only grows, in seconds."""

    def __init__(self, read: ReadLease, terms: Terms, timer: Callable[[], float]) -> None:
        self._read = read
        self._terms = terms
        self._timer = timer
        self._sights: dict[str, Sight] = {}
        self._answers: dict[str, tuple[float, bool | ApiError]] = {}

    async def is_given_up(self, shard: str) -> bool:
        """Whether nobody has led by it for long enough; asked for once for all of its objects.

        Raises ApiError: it cannot be read.
        """
        at, answer = self._answers.get(shard, (0.0, None))
        if answer is None or self._timer() - at >= LOOK:
            answer = await self._ask(shard)
            self._answers[shard] = (self._timer(), answer)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def _ask(self, shard: str) -> bool | ApiError:
        namespace, _, name = shard.partition("/")
        try:
            lease = await self._read(namespace, name)
        except ApiError as error:
            return error
        now = self._timer()
        self._sights[shard] = look(self._sights.get(shard), lease, now)
        return is_given_up(self._sights[shard], self._terms, now)


class Shards:
    """``hear`` lists all objects anew, so that `world` knows them. ``timer`` is a clock that only grows, in
    seconds."""

    def __init__(
        self,
        shard: Shard,
        world: World,
        standings: Standings,
        writer: Writer,
        hear: Callable[[], Awaitable[None]],
        leases: OtherLeases,
        timer: Callable[[], float],
    ) -> None:
        self._shard = shard
        self._world = world
        self._standings = standings
        self._writer = writer
        self._hear = hear
        self._leases = leases
        self._timer = timer
        self._claims: dict[Key, frozenset[str]] = {}
        """What of an object was told to the others before they were heard last."""
        self._said: dict[Key, tuple[Json, float]] = {}
        """What others say of their objects, and since when it has been the same."""
        self._waits: dict[Key, str] = {}
        """The shard that still holds an object of ours: it is told once in the log."""

    def is_ours(self, sync: KVEventSync) -> bool:
        """Whether this operator serves it now."""
        return serving(sync, self._shard) is Serving.OURS

    async def serve(self, sync: KVEventSync) -> Served:
        """Take an object that is ours and free, and let go of one that is not ours any more.

        Raises:
            ApiError: the status could not be written; come again.
        """
        what = serving(sync, self._shard)
        key = (sync.namespace, sync.name)
        if what is Serving.OURS:
            self._waits.pop(key, None)
            self._said.pop(key, None)
            return Served(ours=True)
        self._claims.pop(key, None)
        acted, again = False, None
        if what is Serving.FREE:
            acted = await self._write(sync, taken(sync, self._shard))
        elif what is Serving.LEAVING:
            acted = await self._write(sync, let_go(sync))
            log.info("let go: its labels are of another shard now", extra=about(*key))
        elif what is Serving.HELD:
            acted, again = await self._wait(key, sync)
        self._note(self._world.sync(key) or sync)
        return Served(ours=False, acted=acted, look_again=again)

    async def announce(self, sync: KVEventSync, standing: Standing) -> bool:
        """Have the others know what is about to be done, and hear them after that.

        True where that was still to be done: then the pass is made again, with what was heard.

        Raises:
            ApiError: it could not be told, or the others not be heard; come again.
        """
        if not self._shard.is_part:
            return False
        key = (sync.namespace, sync.name)
        entry = entry_of(standing, self._shard)
        told = claims_of(entry_in(sync))
        if claims_of(entry) <= told & self._claims.get(key, frozenset()):
            return False
        self._claims.pop(key, None)
        if entry_in(sync) != entry:
            await self._writer.write_status(sync, {**sync.status, FIELD: entry})
        await self._hear()
        for other in self._world.objects():
            if not self.is_ours(other):
                self._note(other)
        self._claims[key] = claims_of(entry)
        return True

    def with_entry(
        self, sync: KVEventSync, status: Mapping[str, Any], standing: Standing
    ) -> Mapping[str, Any]:
        """A status with what the others are to know of the object."""
        if not self._shard.is_part:
            return status
        key = (sync.namespace, sync.name)
        entry = entry_of(standing, self._shard)
        if key in self._claims:  # what is not told any more must be told anew before it counts
            self._claims[key] &= claims_of(entry)
        return {**status, FIELD: entry}

    def forget(self, key: Key) -> None:
        """Forget an object that is gone."""
        self._claims.pop(key, None)
        self._said.pop(key, None)
        self._waits.pop(key, None)

    def _note(self, sync: KVEventSync) -> None:
        """What an object of another operator is to ours."""
        key, entry, now = (sync.namespace, sync.name), entry_in(sync), self._timer()
        said, since = self._said.get(key, (entry, now))
        self._said[key] = (entry, since if said == entry else now)
        spec = self._world.spec(sync)
        permitted = spec is not None and self._world.may_manage(sync, spec)
        age = now - self._said[key][1]
        self._standings.note(key, standing_of(sync, spec, age, permitted=permitted))

    async def _wait(self, key: Key, sync: KVEventSync) -> tuple[bool, float]:
        """Take an object from an operator that is gone; else wait until that one lets go of it."""
        server = server_of(sync)
        try:
            given_up = await self._leases.is_given_up(server)
        except ApiError as error:
            self._tell(key, server, f" (its Lease cannot be read: {error})")
            return False, LONG_LOOK if isinstance(error, Forbidden) else LOOK
        if not given_up:
            self._tell(key, server, "")
            return False, LOOK
        log.info("taken over: nobody leads shard %s any more", server, extra=about(*key))
        return await self._write(sync, taken(sync, self._shard)), LOOK

    async def _write(self, sync: KVEventSync, status: Mapping[str, Any]) -> bool:
        await self._writer.write_status(sync, status, unchanged=True)
        return True

    def _tell(self, key: Key, server: str, why: str) -> None:
        if self._waits.get(key) != server + why:
            self._waits[key] = server + why
            log.warning("waits until shard %s lets go of it%s", server, why, extra=about(*key))
