"""Publishers that mean harm: what is said of each, and that healthy ones beside them do not suffer.

The measured form, with more of the healthy and for longer, is `make bench-hostile`.
"""

import asyncio
import time
from collections.abc import Iterator

import pytest

from adapters.probe.publishers import until
from kvsync.adapters.probe.subscriber import Subscriber
from kvsync.core.judge import Policy, judge
from kvsync.model.source import HEALTHY, SourceReason, Verdict
from kvsync.shell.readers import READERS
from testbed.fleet import Fleet
from testbed.hostile import Hostile
from testbed.watching import Watching

R = SourceReason
POLICY = Policy(grace=0.2)
GROWTH = 64 << 20
"""Bytes that the operator's side may use more than beside the healthy alone."""
UNDER_ATTACK = 12.0

SAID = {
    "huge-frame": R.UNDECODABLE,
    "endless-small-parts": R.UNDECODABLE,
    "endless-large-parts": R.UNDECODABLE,
    "million-elements": R.UNDECODABLE,
    "deep-nesting": R.UNDECODABLE,
    "http-banner": R.NOT_ZMQ,
    "ssh-banner": R.NOT_ZMQ,
    "slow-handshake": R.NOT_ZMQ,
    "slow-frame": R.STALE,
    "half-message": R.STALE,
    "accept-and-close": R.NOT_ZMQ,
    "handshake-and-close": R.STALE,
    "flood": R.PUBLISHING,
    "garbage": R.UNDECODABLE,
    "never-reads": R.STALE,
    "pings-and-never-reads": R.UNDECODABLE,
    "endless-commands": R.UNDECODABLE,
    "pub-flood": R.PUBLISHING,
}


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as all_of_them:
        yield all_of_them


def test_each_of_them_has_its_word(hostile: Hostile) -> None:
    assert hostile.ports.keys() == SAID.keys()


@pytest.mark.parametrize("name", SAID)
async def test_it_is_called_what_it_is(name: str, hostile: Hostile) -> None:
    ((key, target),) = hostile.targets(name, interval=1.0).items()
    subscriber = Subscriber(READERS)

    def is_said() -> bool:
        verdict = judge(target, subscriber.observation(key), time.monotonic(), POLICY)
        return verdict.settled and verdict.reason is SAID[name]

    try:
        subscriber.set_targets({key: target})
        await until(is_said)
    finally:
        await subscriber.close()


async def test_healthy_publishers_beside_all_of_them_do_not_suffer(hostile: Hostile) -> None:
    with Fleet(40) as fleet:
        fleet.publish(2.0, 20)
        healthy = fleet.targets(interval=2.0)
        async with Watching() as watching:
            watching.watch(healthy)
            busy = dict(list(healthy.items())[:20])
            await until(lambda: watching.all_are(healthy, HEALTHY))
            await until(lambda: watching.all_are(busy, frozenset({R.PUBLISHING})))
            alone, before = watching.resident(), len(watching.changes)
            stood = {key: _gist(watching.verdict(key)) for key in healthy}
            watching.watch(hostile.targets(interval=1.0))
            most = await _most_resident(watching, UNDER_ATTACK)
            assert watching.restarts == 0
            assert most - alone <= GROWTH
            told = [c for c in watching.changes[before:] if c.source in healthy]
            assert [c for c in told if _gist(c.verdict) != stood[c.source]] == []
            assert watching.all_are(healthy, HEALTHY)


def _gist(verdict: Verdict) -> tuple[SourceReason, bool, bool]:
    return verdict.reason, verdict.verified, verdict.settled


async def _most_resident(watching: Watching, seconds: float) -> int:
    """The most bytes that it used meanwhile."""
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(0.05)
        most = max(most, watching.resident())
    return most
