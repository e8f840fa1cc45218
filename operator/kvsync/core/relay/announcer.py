"""Everything that is resident is told again: at once to a new reader, and slowly for ever.

So a gateway that restarted, a lost message, another pod's removal and what a gateway forgot after
20 minutes all mend themselves.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from kvsync.core.relay.encoding import Key
from kvsync.core.relay.pace import Pace
from kvsync.core.relay.residency import Residency

LOOKS = 8
"""Blocks looked at for each event that may go; most of the rest were told meanwhile."""
AT_ONCE, AT_ONCE_SECONDS = 256, 0.02
"""Events told in one go, or those of so many seconds: what is new waits no longer than for them."""
AGAIN_FIRST = 1.0
"""Seconds from a loss to telling all again, twice as many each time that one follows soon."""
CALM = 4
"""Times so long without a loss until it counts as the first one again."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """``every`` is seconds from one slow pass to the next, 0 for none; ``budget`` events a second."""

    every: float = 300.0
    budget: float = 10_000.0


class Announcer:
    """Goes through the table. What changes in it meanwhile is told as it comes (``Residency``)."""

    def __init__(self, residency: Residency, rhythm: Rhythm, now: float) -> None:
        self._residency = residency
        self._rhythm = rhythm
        self._left: deque[Key] = deque()
        self._pace = Pace(rhythm.budget)
        self._wanted = 0.0
        self._began = now
        self._lost_at = -math.inf
        self._again_at: float | None = None
        self._wait = AGAIN_FIRST
        self.announced = 0
        """Blocks told again."""
        self.wants_anew = False
        """Whether all who listen should connect anew: one that was too slow cannot be seen to read again,
        and until it does it misses all, with no word of it (libzmq's XPUB, src/dist.cpp)."""

    @property
    def left(self) -> int:
        """Blocks that this pass has not come to yet."""
        return len(self._left)

    @property
    def is_busy(self) -> bool:
        """Whether a pass is under way."""
        return bool(self._left) or self._residency.has_gone

    @property
    def owes(self) -> bool:
        """Whether some reader may not have been told everything yet."""
        return self.is_busy or self._again_at is not None

    @property
    def budget(self) -> float:
        """Events a second, at most."""
        return self._rhythm.budget

    def limit_to(self, budget: float) -> None:
        """So many events a second from now on, also in the pass under way."""
        if budget != self._rhythm.budget:
            self._rhythm = replace(self._rhythm, budget=budget)
            self._pace.rate = min(self._wanted, budget)

    def greet(self, now: float) -> None:
        """Somebody new listens: tell all, from the beginning, as fast as the budget lets."""
        self._begin_fresh(now)

    def note_loss(self, now: float) -> None:
        """Somebody missed something: tell all again, the later the more often this happens."""
        if self._again_at is None:
            if now - self._lost_at > CALM * self._wait:
                self._wait = AGAIN_FIRST
            self._again_at = now + self._wait
            self._wait = min(2 * self._wait, max(self._rhythm.every, AGAIN_FIRST))
        self._lost_at = now

    def tick(self, now: float) -> None:
        """Tell what may be told now."""
        if self._again_at is not None and now >= self._again_at:
            self._again_at = None
            self.wants_anew = True
            self._begin_fresh(now)
        elif not self._left and self._rhythm.every and now - self._began >= self._rhythm.every:
            self._begin(now, max(10.0, 1.25 * self._due()))
        if self._residency.has_gone:
            self._residency.say_gone()
        if self._left:
            most = max(AT_ONCE, int(self._pace.rate * AT_ONCE_SECONDS))
            self._go_on(min(most, self._pace.allowance(now)))

    def _due(self) -> float:
        """Blocks a second of a slow pass."""
        return len(self._residency) / self._rhythm.every

    def _begin_fresh(self, now: float) -> None:
        """For readers that missed something. Not so the slow passes: a removal takes a prefix from all
        pods (AIBrix sync_hash.go), so none is said again without need."""
        self._residency.begin_repair()
        self._begin(now, math.inf)

    def _begin(self, now: float, rate: float) -> None:
        """Go through the table, at a rate that the budget limits."""
        self._residency.begin_pass()
        self._left = deque(self._residency.runs)
        self._wanted = rate
        self._pace = Pace(min(rate, self._rhythm.budget))
        self._pace.start(now)
        self._began = now

    def _go_on(self, allowed: int) -> None:
        looks = allowed * LOOKS
        while self._left and allowed > 0 and looks > 0:
            looks -= 1
            told = self._residency.tell_again(self._left.popleft())
            allowed -= told
            self.announced += told
            self._pace.use(told)
