"""A message read in one go says what the bounded reader says of it."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.golden_messages import CAPTURE, GOLDEN_FRAMES
from kvsync.core.relay.at_once import read_at_once
from kvsync.core.relay.happenings import Cleared, Reading, Removed, Stored
from kvsync.core.relay.reading import read_message, read_whole
from kvsync.core.relay.removals import join_removals
from kvsync.model.events import WireError


def message(batch: Any) -> list[bytes]:
    return [b"kv", (7).to_bytes(8, "big"), msgpack.packb(batch)]


STORED: dict[str, Any] = {"type": "BlockStored", "block_hashes": [5], "parent_block_hash": None}
STORED |= {"token_ids": [1, 2], "block_size": 2}


def plain(reading: Reading) -> Any:
    """Block by block, for like events may be one; lists and tuples are the same here."""
    events: list[Any] = []
    for event in reading.events:
        if isinstance(event, Removed):
            events += [("removed", block_hash, *event[1:]) for block_hash in event.hashes]
        elif isinstance(event, Stored):
            events += blocks_of(event)
        else:
            events.append("cleared")
    return reading._replace(events=events)


def blocks_of(event: Stored) -> list[Any]:
    """As an event of one block says each; an event that makes no sense stays what it is."""
    count, width = len(event.hashes), 4 * event.size
    if not count or event.tokens is None or len(event.tokens) != count * width or event.extra:
        return [event._replace(hashes=tuple(event.hashes), extra=tuple(event.extra))]
    parents = [event.parent, *event.hashes[:-1]]
    tokens = [event.tokens[n * width : (n + 1) * width] for n in range(count)]
    return [
        event._replace(hashes=(each,), parent=parent, tokens=some, extra=())
        for each, parent, some in zip(event.hashes, parents, tokens, strict=True)
    ]


@pytest.mark.parametrize("frames", [*GOLDEN_FRAMES, *CAPTURE[:40]])
def test_real_messages(frames: list[bytes]) -> None:
    assert plain(read_message(frames)) == plain(read_whole(frames))


def test_real_streams_are_read_at_once() -> None:
    not_at_once = [frames for frames in CAPTURE if read_at_once(frames) is None]
    assert len(not_at_once) < len(CAPTURE) / 10  # with salts


def test_the_fields_that_count() -> None:
    events = [
        {
            **STORED,
            "lora_name": "a",
            "medium": "CPU",
            "group_idx": 1,
            "kv_cache_spec_kind": "mamba",
        },
        {**STORED, "cache_salt": "s", "locality": "REMOTE"},
        ["BlockRemoved", [1, b"x"], "GPU", 3],
        ["AllBlocksCleared"],
        {"type": "Moved"},
    ]
    reading = read_message(message([1.5, events, 0]))
    assert (reading.sequence, reading.timestamp, reading.unknown) == (7, 1.5, 1)
    lora, salted, removed, cleared = reading.events
    assert isinstance(lora, Stored)
    assert (lora.tied, lora.medium, lora.group, lora.kind) == (True, "CPU", 1, "mamba")
    assert isinstance(salted, Stored)
    assert (salted.tied, salted.remote) == (True, True)
    assert isinstance(removed, Removed)
    assert (list(removed.hashes), removed.medium, removed.group) == ([1, b"x"], "GPU", 3)
    assert cleared == Cleared()


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
FIELDS = [
    *STORED,
    "lora_id",
    "medium",
    "lora_name",
    "extra_keys",
    "group_idx",
    "kv_cache_spec_kind",
]
FIELDS += ["kv_cache_spec_sliding_window", "locality", "ownership", "session_id", "cache_salt"]


@st.composite
def events(draw: st.DrawFn) -> Any:
    """Mostly an event, with something strange in one of its fields."""
    event: dict[str, Any]
    event = {**STORED, **draw(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=2))}
    if draw(st.booleans()):
        event = {"type": "BlockRemoved", "block_hashes": [draw(st.integers(0, 3))]}
        if draw(st.booleans()):
            event["group_idx"] = draw(anything)
    if draw(st.booleans()):
        return event
    kind, *values = event.values()
    return [kind, *values][: draw(st.integers(0, 6))]


@given(st.lists(events() | anything, max_size=3), st.none() | st.integers(0, 3) | anything)
def test_any_message_is_read_alike(sent: list[Any], rank: Any) -> None:
    frames = message([1.0, sent, rank])
    at_once = read_at_once(frames)
    if at_once is not None:
        assert plain(at_once) == plain(read_whole(frames))


@pytest.mark.parametrize(
    "frames", [[], [b"", b"", b""], [b"kv", bytes(8), b"\xc1"], [b"kv", bytes(7), b"\x90"]]
)
def test_what_is_none_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        read_message(frames)


hashes = st.integers(2**32, 2**64 - 1) | st.integers(2**63, 2**63 + 1) | st.integers(0, 300)


@st.composite
def evictions(draw: st.DrawFn) -> list[Any]:
    """Many removals that are mostly alike, and what an engine says after them."""
    other: dict[str, Any]
    other = draw(st.sampled_from([{}, {"medium": "GPU"}, {"medium": "GPU", "group_idx": 0}]))
    other = {**other, **draw(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=1))}
    found: list[Any] = [
        {"type": "BlockRemoved", "block_hashes": [draw(hashes)], **other}
        for _ in range(draw(st.integers(6, 20)))
    ]
    for _ in range(draw(st.integers(0, 2))):
        found.insert(draw(st.integers(0, len(found))), draw(events()))
    if draw(st.booleans()):
        found = [[*each.values()] if isinstance(each, dict) else each for each in found]
    return found


@given(evictions(), st.data())
def test_removals_in_front_are_told_by_their_bytes(sent: list[Any], data: st.DataObject) -> None:
    topic, sequence, payload = message([1.0, sent, 0])
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(payload) - 1))
        payload = (
            payload[:place] + data.draw(st.binary(min_size=1, max_size=9)) + payload[place + 1 :]
        )
    frames = [topic, sequence, payload]
    at_once = read_at_once(frames)
    if at_once is not None:
        assert plain(at_once) == plain(read_whole(frames))


@pytest.mark.parametrize("rest", [{}, {"medium": "GPU", "group_idx": 0}])
def test_like_removals_become_one(rest: dict[str, Any]) -> None:
    wanted = [2**63 + number for number in range(64)]
    sent: list[Any] = [{"type": "BlockRemoved", "block_hashes": [each], **rest} for each in wanted]
    for form in (sent, [[*each.values()] for each in sent]):
        frames = message([1.0, [*form, form[0]], 0])
        assert join_removals(frames[2])[0] == [*wanted, wanted[0]]
        reading = read_at_once(frames)
        assert reading is not None
        assert reading.sent == 65
        (event,) = reading.events
        assert event == Removed(
            [*wanted, wanted[0]], rest.get("medium"), False, rest.get("group_idx")
        )


def test_a_hash_is_not_mistaken_for_another_field_that_looks_like_it() -> None:
    sent = [
        {"type": "BlockRemoved", "other": [2**63], "block_hashes": [2**63 if n < 9 else 2**63 + n]}
        for n in range(20)
    ]
    frames = message([1.0, sent, 0])
    reading = read_at_once(frames)
    assert reading is not None
    assert plain(reading) == plain(read_whole(frames))


def test_like_stores_that_hang_on_each_other_become_one() -> None:
    sent = [
        {**STORED, "block_hashes": [n + 1], "parent_block_hash": n or None, "token_ids": [n, 7]}
        for n in range(9)
    ]
    reading = read_at_once(message([1.0, [*sent[:6], *sent[7:]], 0]))
    assert reading is not None
    assert [list(e.hashes) for e in reading.events if isinstance(e, Stored)] == [
        [1, 2, 3, 4, 5, 6],
        [8, 9],
    ]
