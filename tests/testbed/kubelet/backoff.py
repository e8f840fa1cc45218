"""How long to wait before the next try. Pure: the caller's clock is an argument."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BackoffPolicy:
    """First delay, longest delay, and the quiet time after which counting starts anew (seconds).

    A real kubelet's are 10, 300 and 600 (Kubernetes pkg/kubelet/kubelet.go).
    """

    first: float = 1.0
    longest: float = 10.0
    quiet: float = 600.0


@dataclass
class Backoff:
    """The delays of one thing that keeps failing: none at first, then doubling up to the longest.

    The first restart is immediate because a kubelet records a failure only when it restarts.
    """

    policy: BackoffPolicy
    _delay: float = field(default=0.0, init=False)

    def next_delay(self, worked_for: float = 0.0) -> float:
        """Return the seconds to wait now, after the thing had worked for ``worked_for``."""
        if worked_for >= self.policy.quiet:
            self._delay = 0.0
        now = self._delay
        self._delay = min(self.policy.longest, max(self.policy.first, self._delay * 2))
        return now
