"""The gist of a message: what it says, and what only a full decoding refuses."""

from typing import Any

import msgpack
import pytest

from core.golden_messages import CAPTURE, GOLDEN, Row, batches, published
from kvsync.core.gist import gist_of, read_gist
from kvsync.core.wire import WireLimits, decode_batch
from kvsync.model.events import EventLayout, WireError
from kvsync.model.source import EventCounts, Gist


def message(batch: Any) -> list[bytes]:
    return [b"kv", (7).to_bytes(8, "big"), msgpack.packb(batch)]


STORED: dict[str, Any] = {"type": "BlockStored", "block_hashes": [5], "parent_block_hash": None}
STORED |= {"token_ids": [1, 2], "block_size": 16}


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: row["version"])
def test_the_gist_of_every_release(row: Row) -> None:
    assert [read_gist(frames) for frames in published(row)] == [gist_of(b) for b in batches(row)]


def test_the_gist_of_a_real_stream() -> None:
    gists = [read_gist(frames) for frames in CAPTURE]
    assert gists == [gist_of(decode_batch(frames)) for frames in CAPTURE]
    assert sum(gist.events.stored for gist in gists) == 126
    assert sum(gist.events.removed for gist in gists) == 337
    assert sum(gist.events.cleared for gist in gists) == 1
    assert {gist.block_size for gist in gists} == {32, None}


def test_a_message_in_full() -> None:
    events = [["AllBlocksCleared"], {**STORED, "block_size": 32}, STORED, {"type": "Moved"}]
    counts = EventCounts(stored=2, cleared=1, unknown=1)
    gist = read_gist(message([2.5, events, 3]))
    assert gist == Gist("kv", 7, 2.5, 3, counts, EventLayout.ARRAY, 16)


def test_the_size_may_stand_before_the_type() -> None:
    turned = dict(reversed(STORED.items()))
    assert read_gist(message({"events": [turned], "ts": 1})).block_size == 16
    of_another_kind = {"block_size": 16, "type": "BlockRemoved", "block_hashes": []}
    assert read_gist(message([1.0, [of_another_kind]])).block_size is None


def test_what_stands_in_an_event_of_a_later_kind_is_not_read() -> None:
    moved = {"type": "Moved", "block_size": ["a list"]}
    assert read_gist(message([1.0, [moved]])).events == EventCounts(unknown=1)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ([], "event 0 is empty"),
        (["BlockStored", [5], None, []], "has no block_size"),
        (["BlockStored", [5], None, [], "16"], "str in place of an integer"),
        ({"block_size": 16}, "without 'type'"),
        ({"type": "BlockStored"}, "has no block_size"),
        ({**STORED, "block_size": None}, "NoneType in place of an integer"),
        ({"type": "a b"}, "type that is no name"),
        (7, "layout"),
        ({str(number): 0 for number in range(65)}, "at most 64"),
    ],
)
def test_refusals(event: Any, error: str) -> None:
    for read in (read_gist, decode_batch):
        with pytest.raises(WireError, match=error if read is read_gist else None):
            read(message([1.0, [event]]))


def test_what_only_a_full_decoding_refuses() -> None:
    for event in ({**STORED, "block_hashes": "x"}, ["BlockRemoved"]):
        assert read_gist(message([1.0, [event]])).layout
        with pytest.raises(WireError):
            decode_batch(message([1.0, [event]]))


def test_limits_are_the_callers() -> None:
    with pytest.raises(WireError, match="goes beyond the 9 values"):
        read_gist(message([1.0, [STORED]]), limits=WireLimits(values=9))
