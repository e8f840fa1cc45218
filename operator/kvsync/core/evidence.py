"""What one verdict is made of: what was seen, the time, and how long things may be so."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.source import Observation, SourceReason, Target, Traffic, Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """How long, in seconds, and how often things may be so before they mean something."""

    grace: float = 5.0
    """Before a connection that fails is called a failure: engines and addresses come up slowly."""
    publishing: float = 60.0
    """After the last batch before a publisher counts as idle."""
    replay: float = 5.0
    """Windows for which an answer of the replay socket counts: one that is heard is asked each third
    window, and once more where that failed."""
    patience: float = 6.0
    """For an answer of the replay socket before it counts as missing."""
    restarted: float = 60.0
    """After a sequence began anew in which its source is called restarted."""
    traffic: float = 60.0
    """What an engine's metrics said accuses it for this long."""
    samples: int = 2
    """Samples with a gap, or with nothing that could be decoded: one alone is no news."""
    silent_windows: int = 2
    """Looks at the metrics with prompts and no event."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one verdict is made of, and the forms that a verdict can have."""

    target: Target
    seen: Observation
    traffic: Traffic | None
    now: float
    policy: Policy

    @property
    def address(self) -> str:
        """Where it publishes, for sentences."""
        return f"{self.target.host}:{self.target.port}"

    @property
    def checked(self) -> bool:
        """Whether the publisher is to be proven by its replay socket."""
        return self.target.active_check and self.target.replay_port > 0

    @property
    def answered(self) -> bool:
        """Whether the replay socket answered of late."""
        at = self.seen.replay_answered_at
        return at is not None and self.now - at <= self.policy.replay * self.target.interval

    @property
    def publishing(self) -> bool:
        """Whether a batch came of late."""
        at = self.seen.last_batch_at
        return at is not None and self.now - at <= self.policy.publishing

    @property
    def proven(self) -> bool:
        """Whether the publisher was heard on this connection, or answers where it is asked."""
        batch, handshake = self.seen.last_batch_at, self.seen.handshake_at
        heard = batch is not None and handshake is not None and batch >= handshake
        return self.answered if self.checked else heard or self.publishing

    @property
    def answers(self) -> bool:
        """Whether it is reached now, and proven."""
        seen = self.seen
        lost = seen.failure is not None or seen.interrupted_at is not None
        return seen.handshake_at is not None and not lost and self.proven

    def fault(self, reason: SourceReason, message: str, remedy: str) -> Verdict:
        """Something is to be done before it counts as a source."""
        return self._verdict(reason, message, remedy=remedy)

    def good(self, reason: SourceReason, message: str, remedy: str = "") -> Verdict:
        """It is a source, verified where it is proven."""
        return self._verdict(reason, message, remedy=remedy, verified=self.proven)

    def open(self, message: str, reason: SourceReason = SourceReason.CONNECTING) -> Verdict:
        """It is too early to tell."""
        return self._verdict(reason, message, settled=False)

    def _verdict(
        self,
        reason: SourceReason,
        message: str,
        *,
        remedy: str = "",
        verified: bool = False,
        settled: bool = True,
    ) -> Verdict:
        return Verdict(
            self.target.key,
            reason,
            verified=verified,
            settled=settled,
            message=message,
            remedy=remedy,
            answers=self.answers,
            layout=self.seen.layout,
            block_size=self.seen.block_size,
        )
