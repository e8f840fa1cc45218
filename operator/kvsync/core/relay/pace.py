"""How fast something may go: so many a second, and not much at once."""

from __future__ import annotations


class Pace:
    """``rate`` is events a second; what was not used is kept for ``hold`` seconds. Times in seconds."""

    def __init__(self, rate: float, hold: float = 0.25) -> None:
        self.rate = rate
        self._hold = hold
        self._saved = 0.0
        self._since: float | None = None

    def allowance(self, now: float) -> int:
        """How many may go now."""
        if self._since is not None:
            most = max(1.0, self.rate * self._hold)
            self._saved = min(most, self._saved + (now - self._since) * self.rate)
        self._since = now
        return max(0, int(self._saved))

    def use(self, count: int) -> None:
        """So many went; more than were allowed are missing later."""
        self._saved -= count

    def start(self, now: float) -> None:
        """Begin anew with what may go at once."""
        self._saved = max(1.0, self.rate * self._hold)
        self._since = now
