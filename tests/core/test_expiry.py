"""Until it expires a verdict stands: no rule looks at a time that is not foreseen."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from core.observations import OBSERVATIONS, TRAFFIC
from kvsync.core.expiry import stands_until
from kvsync.core.judge import Policy, judge
from kvsync.model.relaying import Relaying
from kvsync.model.source import Observation, SourceKey, Target, Traffic

POLICY = Policy()
TARGET = Target(SourceKey("ns", "pod", "uid"), "10.0.0.1", 5557, 5558, "")
TARGETS = st.sampled_from([
    TARGET,
    replace(TARGET, interval=3.0),
    replace(TARGET, active_check=False),
    replace(TARGET, replay_port=0),
])  # fmt: skip
CONNECTED = OBSERVATIONS.map(
    lambda seen: replace(
        seen,
        handshake_at=seen.handshake_at or 1.0,
        failure=None,
        interrupted_at=None,
        undecodable=None,
        wrong_topic=None,
    )
)
SEEN = OBSERVATIONS | CONNECTED
"""Most of what can be seen is decided by the first rules; what is connected comes to the later ones."""
RELAYED = st.sampled_from([
    replace(TARGET, relay_port=9464),
    replace(TARGET, relay_port=9464, active_check=False),
])  # fmt: skip
MOMENTS = st.floats(0, 1000)
RELAYINGS = st.builds(
    Relaying,
    looked_at=MOMENTS,
    answered_at=st.none() | MOMENTS,
    missing=st.sampled_from([(), (0,)]),
    missing_looks=st.integers(0, 3),
    connected_once=st.booleans(),
    heard=st.booleans(),
    restarts=st.lists(MOMENTS, max_size=2).map(lambda found: tuple(sorted(found))),
)
RELAY_TRAFFIC = st.none() | st.builds(Traffic, looked_at=MOMENTS, relay=RELAYINGS)


def stands(
    target: Target, seen: Observation, now: float, part: float, known: Traffic | None
) -> bool:
    """Whether the verdict of now is that of a moment before it expires, so far on the way."""
    until = stands_until(target, seen, now, POLICY, known)
    assert until >= now
    then = now + part * (min(until, now + 10_000) - now)
    if then >= until:
        return True
    return judge(target, seen, now, POLICY, known) == judge(target, seen, then, POLICY, known)


@settings(max_examples=500)
@given(seen=SEEN, now=MOMENTS, part=st.floats(0, 1), target=TARGETS, known=TRAFFIC)
def test_a_verdict_stands_until_it_expires(
    seen: Observation, now: float, part: float, target: Target, known: Traffic | None
) -> None:
    assert stands(target, seen, now, part, known)


@settings(max_examples=500)
@given(seen=SEEN, now=MOMENTS, part=st.floats(0, 1), target=RELAYED, known=RELAY_TRAFFIC)
def test_so_does_one_on_a_source_behind_a_relay(
    seen: Observation, now: float, part: float, target: Target, known: Traffic | None
) -> None:
    assert stands(target, seen, now, part, known)


def test_what_hangs_on_no_time_stands_for_ever() -> None:
    passive = replace(TARGET, active_check=False)
    seen = Observation(since=0.0, handshake_at=1.0)
    assert stands_until(passive, seen, 5.0, POLICY) == math.inf


def test_an_idle_one_that_is_asked_stands_as_long_as_its_answer() -> None:
    seen = Observation(since=0.0, handshake_at=1.0, replay_answered_at=20.0)
    assert stands_until(TARGET, seen, 27.0, POLICY) == 20.0 + POLICY.replay * TARGET.interval
