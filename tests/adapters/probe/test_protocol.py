"""What workers say is distrusted: the right things come through whole, anything else is an error."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.adapters.probe import protocol
from kvsync.adapters.probe.protocol import ProtocolError
from kvsync.model.events import EventLayout
from kvsync.model.source import EventCounts, Failure, Observation, SourceKey, Target

COUNTS = st.integers(0, 1 << 60)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=200)
OBSERVATIONS = st.builds(
    Observation,
    since=TIMES,
    handshake_at=st.none() | TIMES,
    failure=st.none() | st.sampled_from(Failure),
    messages=COUNTS,
    events=st.builds(EventCounts, COUNTS, COUNTS, COUNTS, COUNTS),
    last_sequence=st.none() | st.integers(0, 2**64 - 1),
    rate=st.none() | TIMES,
    layout=st.none() | st.sampled_from(EventLayout),
    undecodable=st.none() | TEXTS,
)


def body_of(message: bytes) -> bytes:
    assert protocol.length_of(message[: protocol.WIDTH]) == len(message) - protocol.WIDTH
    return message[protocol.WIDTH :]


@given(st.dictionaries(COUNTS, OBSERVATIONS, max_size=5))
def test_news_come_through_whole(news: dict[int, Observation]) -> None:
    kind, content = protocol.unpack(body_of(protocol.seen(news)))
    assert kind == "seen"
    assert protocol.read_seen(content) == news


def test_orders_come_through_without_whose_source_it_is() -> None:
    key = SourceKey("ns", "pod", "uid")
    targets = {n: Target(key, "10.0.0.1", 5557, 5558, "kv", interval=2.5) for n in range(1, 1202)}
    messages = list(protocol.watch(targets))
    assert len(messages) == 3
    found: dict[int, Target] = {}
    for message in messages:
        kind, content = protocol.unpack(body_of(message))
        assert kind == "watch"
        found |= protocol.read_watch(content)
        assert b"uid" not in message
    assert found[7] == Target(protocol.key_of(7), "10.0.0.1", 5557, 5558, "kv", interval=2.5)
    assert len(found) == 1201


def row(**changes: Any) -> list[Any]:
    """The news of source 1, with some fields replaced by what is given."""
    content = protocol.unpack(body_of(protocol.seen({1: Observation(since=1.0)})))[1]
    names = ["number", *Observation.__dataclass_fields__]
    return [changes.get(name, value) for name, value in zip(names, content[0], strict=True)]


@pytest.mark.parametrize(
    "changes",
    [
        {"number": -1},
        {"number": "1"},
        {"since": None},
        {"since": float("nan")},
        {"since": float("inf")},
        {"messages": -1},
        {"messages": 1.5},
        {"messages": True},
        {"failure": "bored"},
        {"layout": 1},
        {"events": [1, 2, 3]},
        {"events": [1, 2, 3, -4]},
        {"undecodable": "x" * 513},
        {"undecodable": b"x"},
    ],
)
def test_a_field_of_another_type_is_an_error(changes: dict[str, Any]) -> None:
    content = msgpack.unpackb(msgpack.packb([row(**changes)]), use_list=False)
    with pytest.raises(ProtocolError):
        protocol.read_seen(content)


@pytest.mark.parametrize("content", [None, 1, "x", (1,), ((),), ((1, 2),), ((),) * 501])
def test_news_of_another_form_are_an_error(content: Any) -> None:
    with pytest.raises(ProtocolError):
        protocol.read_seen(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_the_error(data: bytes) -> None:
    try:
        kind, content = protocol.unpack(data)
        if kind == "seen":
            protocol.read_seen(content)
    except ProtocolError:
        pass


def test_a_length_that_no_message_has_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        protocol.length_of(b"\xff\xff\xff\xff")
