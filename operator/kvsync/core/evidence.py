"""What one verdict is made of: what was seen, the time, and how long things may be so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvsync.model.relaying import Relaying
from kvsync.model.source import Failure, Observation, SourceReason, Target, Traffic, Verdict


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
    def relay(self) -> Relaying | None:
        """What is known of its relay; None where it has none, or was not asked yet."""
        return self.traffic.relay if self.traffic is not None else None

    @property
    def relay_is_known(self) -> bool:
        """Whether its relay answered of late."""
        at = self.relay.answered_at if self.relay is not None else None
        return at is not None and self.now - at <= self.policy.traffic

    @property
    def engine_heard(self) -> bool:
        """Whether the engine ever sent anything. What a relay says is not all the engine's."""
        if self.target.relay_port:
            return self.relay is None or self.relay.heard
        return self.seen.last_batch_at is not None

    @property
    def upstream_seen(self) -> bool:
        """Whether there is an engine behind what answers: by itself without a relay; else all ranks are
        connected to that, or were, or its blocks came through (removals a relay says by itself, of what
        the one before it told)."""
        if not self.target.relay_port:
            return True
        relay = self.relay
        if relay is not None and self.relay_is_known:
            return relay.connected_once
        came = self._heard and self.seen.events.stored > 0
        if relay is None or relay.answered_at is None:
            return came
        if not relay.missing:
            return came or relay.connected_once
        return came and (self.seen.last_batch_at or 0.0) > relay.answered_at

    @property
    def _heard(self) -> bool:
        """Whether a batch came on this connection."""
        batch, handshake = self.seen.last_batch_at, self.seen.handshake_at
        return batch is not None and handshake is not None and batch >= handshake

    @property
    def proven(self) -> bool:
        """Whether the publisher was heard on this connection, or answers where it is asked."""
        return self.answered if self.checked else self._heard or self.publishing

    @property
    def answers(self) -> bool:
        """Whether it is reached now, and proven."""
        seen = self.seen
        lost = seen.failure is not None or seen.interrupted_at is not None
        return seen.handshake_at is not None and not lost and self.proven

    def is_early(self, failure: Failure) -> bool:
        """Whether a failure may pass by itself.

        One heartbeat that is not answered has had its time. A refusal after a connection is the second
        proof: lost, and nobody listens. A loss alone may be the network's.
        """
        seen = self.seen
        connected = seen.handshake_at is not None
        if failure is Failure.FROZEN or (failure is Failure.REFUSED and connected):
            return False
        lost = failure is Failure.LOST and connected
        began = seen.failed_at if lost and seen.failed_at is not None else seen.since
        return self.now - began < self.policy.grace

    def fault(self, reason: SourceReason, message: str, remedy: str) -> Verdict:
        """Something is to be done before it counts as a source."""
        return self._verdict(reason, message, remedy=remedy)

    def good(self, reason: SourceReason, message: str, remedy: str = "") -> Verdict:
        """It is a source, verified where it is proven."""
        if self.relay is not None and not self.relay_is_known:
            message += (
                f" The state of the engine's side is Unknown: the metrics of its relay on port "
                f"{self.target.relay_port} do not answer the operator."
            )
        seen = self.upstream_seen
        verdict = self._verdict(reason, message, remedy=remedy, verified=self.proven and seen)
        return replace(verdict, unknown=self.proven and not seen)

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
