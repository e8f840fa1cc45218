"""What a few messages tell: numbers that hold whatever the engine says, in bounded size."""

import json
import math
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.layout import layout_of
from kvsync.core.tally import Tally
from kvsync.model.events import (
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    EventLayout,
    KVEvent,
    UnknownEvent,
)

DATA = Path(__file__).parents[1] / "testbed" / "data"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


@pytest.mark.parametrize("name", ["vllm_golden.jsonl", "sglang_golden.jsonl"])
def test_the_layout_of_every_release(name: str) -> None:
    for row in rows(name):
        wanted = EventLayout.ARRAY if row["array_like"]["BlockStored"] else EventLayout.MAP
        for frames in row["pub_frames_hex"]:
            assert layout_of(bytes.fromhex(frames[2])) is wanted, row["version"]


@pytest.mark.parametrize(
    ("batch", "layout"),
    [
        ([1.0, []], None),
        ([1.0], None),
        ([], None),
        ([1.0, [7]], None),
        ({"ts": 1, "events": [{"type": "X"}]}, EventLayout.MAP),
        ({"events": [["X"]], "ts": 1}, EventLayout.ARRAY),
        ({"ts": 1}, None),
        (7, None),
    ],
)
def test_the_layout_of_a_batch(batch: Any, layout: EventLayout | None) -> None:
    assert layout_of(msgpack.packb(batch)) is layout


@given(st.binary(max_size=64))
def test_any_bytes_have_a_layout_or_none(data: bytes) -> None:
    assert layout_of(data) in (None, *EventLayout)


def batch(sequence: int, time: float, *events: KVEvent) -> Batch:
    return Batch("t", sequence, time, events)


def told(*batches: Batch) -> Tally:
    tally = Tally()
    for number, each in enumerate(batches):
        tally.take([b"t", bytes(8), b"\x92\x01\x90"], each, 100.0 + number)
    return tally


def test_the_rate_counts_batches_that_were_not_seen() -> None:
    tally = told(batch(10, 98.0), batch(50, 100.0))
    assert (tally.rate, tally.first_sequence, tally.batches) == (20.0, 10, 2)
    assert (tally.lag, tally.began_at) == (1.0, 100.0)


def test_a_restarted_engine_is_counted_anew() -> None:
    tally = told(batch(50, 90.0), batch(0, 95.0), batch(3, 96.5))
    assert (tally.rate, tally.first_sequence) == (2.0, 0)


def test_one_batch_or_a_clock_that_stands_has_no_rate() -> None:
    assert told().rate is None
    assert told(batch(1, 1.0)).rate is None
    assert told(batch(1, 1.0), batch(2, 1.0)).rate is None
    assert told(batch(1, 2.0), batch(2, 1.0)).rate is None


def test_types_are_counted_and_unknown_ones_bounded() -> None:
    many = [UnknownEvent(f"Kind{number}") for number in range(1000)]
    tally = told(batch(0, 1.0, AllBlocksCleared(), BlockRemoved((1,)), *many))
    assert tally.events["AllBlocksCleared"] == tally.events["BlockRemoved"] == 1
    assert (len(tally.events), tally.events["(others)"]) == (19, 984)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)),
        max_size=4,
    )
)
def test_numbers_are_finite_or_none(sent: list[tuple[int, float]]) -> None:
    tally = told(*(batch(*each) for each in sent))
    for number in (tally.rate, tally.lag):
        assert number is None or math.isfinite(number)
    assert told(batch(0, 0.0), batch(2**64 - 1, 5e-324)).rate is None
