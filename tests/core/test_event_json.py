"""Batches as JSON: valid whatever was decoded, and nothing that was kept is lost."""

import dataclasses
import json
import math
from contextlib import suppress
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from kvsync.core.event_json import batch_json, event_json
from kvsync.core.wire import Keep, decode_batch
from kvsync.model.events import (
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    BlockStored,
    KVEvent,
    UnknownEvent,
    WireError,
)

HASHES = st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(max_size=8)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
NUMBERS = st.none() | st.integers(-(2**63), 2**64 - 1)
TOKENS = st.lists(st.integers(0, 2**32), max_size=4).map(tuple)
TEXTS = st.none() | st.text(max_size=8)
STORED = st.builds(
    BlockStored,
    block_hashes=st.lists(HASHES, max_size=3).map(tuple),
    parent_block_hash=st.none() | HASHES,
    token_count=st.just(0),
    block_size=st.integers(1, 512),
    lora_id=NUMBERS,
    medium=TEXTS,
    lora_name=TEXTS,
    group_idx=NUMBERS,
    kv_cache_spec_kind=TEXTS,
    kv_cache_spec_sliding_window=NUMBERS,
    locality=SCALARS,
    ownership=SCALARS,
    session_id=SCALARS,
    token_ids=st.none() | TOKENS,
    extra_keys=VALUES,
    lookahead_token_ids=st.none() | TOKENS,
)
REMOVED = st.builds(
    BlockRemoved,
    block_hashes=st.lists(HASHES, max_size=3).map(tuple),
    medium=TEXTS,
    group_idx=NUMBERS,
    locality=SCALARS,
    ownership=SCALARS,
)
EVENTS = STORED | REMOVED | st.just(AllBlocksCleared()) | st.just(UnknownEvent("Moved"))
BATCHES = st.builds(
    Batch,
    topic=st.text(max_size=8),
    sequence=st.integers(0, 2**64 - 1),
    timestamp=st.floats(allow_nan=False, allow_infinity=False),
    events=st.lists(EVENTS, max_size=3).map(tuple),
    rank=NUMBERS,
)
KINDS = {kind.__name__: kind for kind in (BlockStored, BlockRemoved, AllBlocksCleared)}


def read_back(shown: dict[str, Any]) -> Batch:
    """The way back, which only a test needs: by it nothing can have been lost."""
    events = tuple(_event(dict(event)) for event in shown.pop("events"))
    return Batch(events=events, **shown)


def _event(shown: dict[str, Any]) -> KVEvent:
    kind = KINDS.get(shown["type"])
    if kind is None:
        return UnknownEvent(shown["type"])
    fields = {name: _value(value) for name, value in shown.items() if name != "type"}
    if "block_hashes" in fields:
        fields["block_hashes"] = tuple(_hash(each) for each in fields["block_hashes"])
    if kind is BlockStored:
        fields |= {"parent_block_hash": _hash(fields["parent_block_hash"]), "token_count": 0}
    event: KVEvent = kind(**fields)
    return event


def _hash(value: Any) -> Any:
    return bytes.fromhex(value) if isinstance(value, str) else value


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(each) for each in value)
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if "hex" in value else float(value["float"])
    return value


@given(BATCHES)
def test_nothing_that_was_kept_is_lost(batch: Batch) -> None:
    text = json.dumps(batch_json(batch), allow_nan=False)
    assert text.isascii()
    # Not ==: a NaN is not equal to itself, True is equal to 1 and 0.0 to -0.0; reprs tell apart.
    assert repr(read_back(json.loads(text))) == repr(batch)


ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(extra=ANYTHING, topic=st.binary(max_size=8), time=st.floats(), rank=ANYTHING, later=ANYTHING)
def test_whatever_is_decoded_is_json(
    extra: Any, topic: bytes, time: float, rank: Any, later: Any
) -> None:
    event: dict[str, Any] = {"type": "BlockStored", "block_hashes": [1], "parent_block_hash": None}
    event |= {"token_ids": [1], "block_size": 1, "extra_keys": extra, "session_id": later}
    data = msgpack.packb([time, [event], rank], unicode_errors="surrogatepass")
    with suppress(WireError):
        batch = decode_batch([topic, bytes(8), data], keep=Keep(True, True))
        json.loads(json.dumps(batch_json(batch), allow_nan=False))


def test_names_are_the_engines_and_no_field_is_made_up() -> None:
    stored = BlockStored((1, b"\xab"), None, 4, 4, token_ids=(1, 2, 3, 4), medium="GPU")
    assert event_json(stored) == {
        "type": "BlockStored",
        "block_hashes": [1, "ab"],
        "parent_block_hash": None,
        "block_size": 4,
        "medium": "GPU",
        "token_ids": [1, 2, 3, 4],
    }
    assert event_json(BlockRemoved((-5,))) == {"type": "BlockRemoved", "block_hashes": [-5]}
    assert event_json(AllBlocksCleared()) == {"type": "AllBlocksCleared"}


def test_what_json_has_no_form_of() -> None:
    stored = BlockStored((), b"", 0, 1, extra_keys=((b"\x00", "00"), (math.inf, None)))
    assert event_json(stored)["extra_keys"] == [[{"hex": "00"}, "00"], [{"float": "inf"}, None]]
    assert event_json(stored)["parent_block_hash"] == ""


def test_every_field_of_an_event_is_shown() -> None:
    values: dict[str, Any] = {field.name: 1 for field in dataclasses.fields(BlockStored)}
    full = BlockStored(**{**values, "block_hashes": ()})
    names = {field.name for field in dataclasses.fields(BlockStored)} - {"token_count"}
    assert event_json(full).keys() == names | {"type"}
