"""Leadership by a Lease: standing by, leading, and the end of it. The rules are `core.leadership`'s."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from kvsync.adapters.kube.events import micro_time
from kvsync.adapters.kube.pace import Timing
from kvsync.core.leadership import (
    Choice,
    Sight,
    Terms,
    as_leader,
    as_standby,
    claim,
    look,
    may_write,
    release,
    written,
)
from kvsync.model.errors import ApiError, Conflict, Forbidden, KvsyncError, NotFound
from kvsync.model.lease import Lease, read_lease

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

LEADERSHIP = "leadership"
"""Its task's name: it ends after all others."""

POLL = 1.0
"""Seconds between two looks of a standby, give or take a fifth."""

BRIEF = 0.05
"""Seconds between two tries at least, however little is left."""

RELEASE_WITHIN = 1.5
"""Seconds that letting go may take."""


class Door(Protocol):
    """Where the Lease is (``adapters.kube.lease``)."""

    async def read(self) -> Json | None:
        """The object, or None. Raises ApiError."""

    async def create(self, spec: Json) -> Json:
        """Make it. Raises ApiError."""

    async def replace(self, body: Json) -> Json:
        """Write it as a whole. Raises Conflict where another wrote meanwhile, else ApiError."""


class LeadershipLostError(KvsyncError):
    """Another process may write by now; the message says why."""


def boot_clock() -> float:
    """Seconds since the machine started, the time included in which it was suspended: others go on
    meanwhile (clock_gettime(2), CLOCK_BOOTTIME)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leadership:
    """One process's part in it: `start`, wait for ``acquired``, `release` at the end.

    ``me`` is a name that no other process has or had. ``on_lost`` is called once, with the reason, as
    soon as leadership is lost, and should end the process; `holds` is False by then, without any
    call. ``leader`` is who held the Lease when it was last seen, empty for nobody, and
    ``transitions`` how often it changed hands by then.
    """

    def __init__(
        self,
        door: Door,
        me: str,
        terms: Terms,
        *,
        on_lost: Callable[[str], None],
        timing: Timing | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.acquired = asyncio.Event()
        self.leader = ""
        self.transitions = 0
        self._door = door
        self._me = me
        self._terms = terms
        self._on_lost = on_lost
        self._timing = timing or Timing(clock=boot_clock)
        self._wall = wall
        self._body: Json | None = None
        self._renewed: float | None = None
        self._over = False
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    def holds(self) -> bool:
        """Whether this process may write now."""
        return not self._over and may_write(self._renewed, self._terms, self._timing.clock())

    def start(self) -> asyncio.Task[None]:
        """Stand by, and lead when it is our turn; the task is to run as long as the operator does."""
        self._task = asyncio.create_task(self._run(), name=LEADERSHIP)
        return self._task

    async def release(self) -> None:
        """Write no more, and let the next one begin at once. Only after all that writes has stopped."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._renewed is None:
            return
        try:
            async with asyncio.timeout(RELEASE_WITHIN):
                await self._let_go()
        except (ApiError, TimeoutError) as error:
            log.warning(
                "the Lease was not released (%s): the next leader waits %.0f s",
                str(error) or "no answer in time",
                self._terms.duration,
            )

    async def _run(self) -> None:
        try:
            await self._stand_by()
            self.acquired.set()
            await self._lead()
        except LeadershipLostError as lost:
            self._lose(str(lost))
        except Exception:  # a bug here must not leave a process that believes it leads
            log.exception("leadership failed")
            self._lose("a bug, see the lines above")

    def _lose(self, why: str) -> None:
        self._over = True
        self._on_lost(why)

    async def _stand_by(self) -> None:
        sight: Sight | None = None
        while True:
            try:
                async with asyncio.timeout(self._terms.patience):
                    body = await self._door.read()
                    now = self._timing.clock()
                    lease = None if body is None else read_lease(body)
                    self._see(lease)
                    sight = look(sight, lease, now)
                    choice = as_standby(sight, self._me, self._terms, now)
                    if choice is not Choice.WAIT and await self._claim(body):
                        return
                self._trouble = ""
            except (ApiError, TimeoutError) as error:
                self._note(error)
            await self._timing.sleep(POLL * (0.8 + 0.4 * self._timing.jitter()))

    async def _lead(self) -> None:
        while True:
            await self._pause(self._terms.renew_every)
            while not await self._renew():
                await self._pause(self._terms.renew_every / 2)

    async def _pause(self, seconds: float) -> None:
        await self._timing.sleep(max(BRIEF, min(seconds, self._left())))
        if self._left() <= 0:
            raise LeadershipLostError(self._stale())

    def _left(self) -> float:
        """Seconds until nothing may be written any more."""
        assert self._renewed is not None, "only a leader renews"
        return self._renewed + self._terms.deadline - self._timing.clock()

    def _stale(self) -> str:
        age = self._terms.deadline - self._left()
        why = self._trouble or "this process stood still"
        return f"the Lease was not renewed for {age:.1f} s: {why}"

    async def _renew(self) -> bool:
        """One try. Raises LeadershipLostError where another holds the Lease."""
        try:
            async with asyncio.timeout(min(self._terms.patience, max(0.0, self._left()))):
                if not await self._claim(self._body):
                    await self._look_again()
                    return False
        except (ApiError, TimeoutError) as error:
            self._note(error)
            return False
        self._trouble = ""
        return True

    async def _look_again(self) -> None:
        """Somebody else wrote the Lease, or took it away."""
        body = await self._door.read()
        lease = None if body is None else read_lease(body)
        if as_leader(lease, self._me) is Choice.LOST:
            assert lease is not None
            self._see(lease)
            raise LeadershipLostError(f"{lease.holder or 'nobody'} holds the Lease now")
        self._body = body

    async def _claim(self, body: Json | None) -> bool:
        """Take or renew the Lease; False where another was faster.

        What counts is when it was asked for: the server took it later, and whoever waits began to
        wait later still.
        """
        asked = self._timing.clock()
        lease = None if body is None else read_lease(body)
        spec = claim(lease, self._me, self._terms, micro_time(self._wall()))
        try:
            if body is None:
                self._body = await self._door.create(spec)
            else:
                self._body = await self._door.replace(written(body, spec))
        except (Conflict, NotFound):
            return False
        self._renewed = asked
        self._see(read_lease(self._body))
        return True

    async def _let_go(self) -> None:
        for _ in range(3):
            if self._body is None or read_lease(self._body).holder != self._me:
                return
            spec = release(micro_time(self._wall()))
            with suppress(Conflict):  # the answer to our last renewal was lost
                await self._door.replace(written(self._body, spec))
                return
            self._body = await self._door.read()

    def _see(self, lease: Lease | None) -> None:
        leader = lease.holder if lease else ""
        if leader and leader != self.leader:
            log.info("%s leads%s", leader, ", this process" if leader == self._me else "")
        self.leader = leader
        self.transitions = lease.transitions if lease else 0

    def _note(self, error: Exception) -> None:
        """Say what keeps us from the Lease, once as long as it is the same."""
        said = f"{self._door}: {str(error) or 'no answer in time'}"
        if isinstance(error, Forbidden):
            said += (
                '; grant the operator\'s service account "get", "create" and "update" on leases of '
                'API group "coordination.k8s.io" with a Role in its namespace'
            )
        if said != self._trouble:
            self._trouble = said
            log.warning("cannot hold the Lease: %s", said)
