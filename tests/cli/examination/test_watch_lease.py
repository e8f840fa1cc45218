"""Whether the leader lives is told by one clock: the Lease is seen renewed, or it is not."""

from __future__ import annotations

from typing import Any

import pytest

from kvsync.cli.examination.operator import watch_lease
from kvsync.core.doctor.facts import LeaseFacts
from kvsync.model.errors import NotFound


class Cluster:
    """A Lease that is renewed every ``every`` seconds of its own clock, or never; written by a machine
    whose clock is years off."""

    def __init__(self, every: float | None, holder: str = "pod-1", duration: int = 10) -> None:
        self.now = 1000.0
        self._every, self._holder, self._duration = every, holder, duration

    async def get(self, _resource: Any, _namespace: str, _name: str) -> dict[str, Any]:
        count = 0 if self._every is None else int(self.now / self._every)
        spec = {"holderIdentity": self._holder, "leaseDurationSeconds": self._duration}
        return {"spec": spec | {"renewTime": f"1999-01-01T00:00:{count}"}}

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def watched(cluster: Any, patience: float = 60.0) -> LeaseFacts:
    return await watch_lease(
        cluster, "ns", "lease", patience, clock=cluster.clock, sleep=cluster.sleep
    )


async def test_a_living_leader_is_seen_as_soon_as_it_renews() -> None:
    facts = await watched(Cluster(every=2.0))
    assert (facts.name, facts.holder, facts.quiet) == ("ns/lease", "pod-1", 0.0)
    assert facts.watched <= 2.5


async def test_a_dead_one_is_waited_for_until_its_lease_would_have_ended() -> None:
    facts = await watched(Cluster(every=None))
    assert facts.quiet is None
    assert facts.watched == pytest.approx(12.0)


async def test_patience_ends_the_look() -> None:
    facts = await watched(Cluster(every=None, duration=600), patience=5.0)
    assert (facts.quiet, facts.watched, facts.duration) == (None, 5.0, 600.0)


async def test_a_lease_that_nobody_holds_is_not_called_renewed() -> None:
    facts = await watched(Cluster(every=2.0, holder=""))
    assert (facts.holder, facts.quiet) == ("", None)


async def test_a_missing_lease_is_an_error_for_the_caller() -> None:
    class Empty(Cluster):
        async def get(self, *_: Any) -> dict[str, Any]:
            raise NotFound("leases not found", status=404)

    with pytest.raises(NotFound):
        await watched(Empty(None))
