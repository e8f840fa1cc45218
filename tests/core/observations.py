"""Anything that can be seen of a source, up to the moment 1,000."""

from hypothesis import strategies as st

from kvsync.model.events import EventLayout
from kvsync.model.source import Failure, Observation, Traffic

NOW = 1_000.0
_TIMES = st.none() | st.floats(0, NOW) | st.floats(NOW - 70, NOW)
_FEW = st.integers(0, 4)

OBSERVATIONS = st.builds(
    Observation,
    since=st.floats(0, NOW),
    handshake_at=_TIMES,
    failure=st.none() | st.sampled_from(Failure),
    failed_at=_TIMES,
    messages=_FEW,
    last_batch_at=_TIMES,
    last_sequence=st.none() | st.integers(0, 9),
    rate=st.none() | st.floats(0, 1e6),
    layout=st.none() | st.sampled_from(EventLayout),
    block_size=st.none() | st.just(16),
    restarted_at=_TIMES,
    missing=_FEW,
    gap_streak=_FEW,
    recent_gaps=_FEW,
    undecodable=st.none() | st.just("bad"),
    undecoded=_FEW,
    undecodable_streak=_FEW,
    wrong_topic=st.none() | st.just("x"),
    replay_answered_at=_TIMES,
    interrupted_at=st.none() | st.none() | st.just(NOW),
)

TRAFFIC = st.none() | st.builds(
    Traffic,
    looked_at=st.floats(0, NOW) | st.floats(NOW - 70, NOW),
    prefix_caching=st.none() | st.booleans(),
    silent_windows=_FEW,
    silent_tokens=st.integers(0, 100_000),
)
