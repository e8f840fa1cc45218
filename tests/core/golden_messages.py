"""The recorded frames of vLLM and SGLang (tests/testbed/data), and the values that were put in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kvsync.model.events import (
    AllBlocksCleared,
    Batch,
    BlockRemoved,
    BlockStored,
    EventLayout,
    KVEvent,
)

DATA = Path(__file__).parents[1] / "testbed" / "data"

Row = dict[str, Any]
Frames = list[bytes]


def rows(name: str) -> list[Row]:
    """The lines of a file of recorded data."""
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


VLLM = rows("vllm_golden.jsonl")
SGLANG = rows("sglang_golden.jsonl")
GOLDEN = [*VLLM, *SGLANG]
CAPTURE = [
    [row["topic"].encode(), bytes.fromhex(row["seq_hex"]), bytes.fromhex(row["payload_hex"])]
    for row in rows("vllm_capture_0.32.0.jsonl")
]


def out_of_hex(messages: list[list[str]]) -> list[Frames]:
    """Messages as the golden rows have them."""
    return [[bytes.fromhex(frame) for frame in message] for message in messages]


def published(row: Row) -> list[Frames]:
    """What the release's publisher sent."""
    return out_of_hex(row["pub_frames_hex"])


def replayed(row: Row) -> list[Frames]:
    """What the release answered when asked from sequence 1."""
    return out_of_hex(row["replay_from_1_frames_hex"])


GOLDEN_FRAMES = [frames for row in GOLDEN for frames in published(row)]

# What the generators put in, by the engines' names; a release sends the fields it has.
_VLLM: list[list[Row]] = [
    [
        {
            "block_hashes": (111, 222),
            "parent_block_hash": None,
            "token_ids": tuple(range(1, 9)),
            "block_size": 4,
            "medium": "GPU",
            "extra_keys": (None, None),
            "group_idx": 0,
            "kv_cache_spec_kind": "full_attention",
        }
    ],
    [
        {
            "block_hashes": (b"\x01" * 32,),
            "parent_block_hash": 222,
            "token_ids": (9, 10, 11, 12),
            "block_size": 4,
            "lora_id": 3,
            "medium": "GPU",
            "lora_name": "ad",
            "extra_keys": (("ad",),),
            "group_idx": 0,
            "kv_cache_spec_kind": "full_attention",
        },
        {"block_hashes": (111,), "medium": "GPU", "group_idx": 0},
    ],
    [{}],
]
_SGLANG: list[list[Row]] = [
    [
        {},
        {
            "block_hashes": (-7,),
            "parent_block_hash": None,
            "token_ids": (1, 2, 3, 4),
            "block_size": 4,
            "medium": "GPU",
        },
    ],
    [
        {
            "block_hashes": (2**63 - 1,),
            "parent_block_hash": -7,
            "token_ids": (5, 6, 7, 8),
            "block_size": 4,
            "medium": "GPU",
        },
        {"block_hashes": (-(2**63),), "medium": "GPU"},
    ],
    [{}],
]


def batches(row: Row) -> Iterator[Batch]:
    """The three batches of a release as they must be read, with all that is private."""
    fields = row["fields"]
    of_batch = {*fields.get("EventBatch", ()), *fields.get("KVEventBatch", ())}
    rank = 0 if of_batch & {"data_parallel_rank", "attn_dp_rank"} else None
    layout = EventLayout.ARRAY if row["array_like"]["BlockStored"] else EventLayout.MAP
    for index, events in enumerate(_VLLM if row in VLLM else _SGLANG):
        built = tuple(_event(values, fields) for values in events)
        yield Batch("t", index, 1.5 + index, built, rank, layout)


def _event(values: Row, fields: dict[str, list[str]]) -> KVEvent:
    if "token_ids" in values:
        sent = {name: values[name] for name in fields["BlockStored"] if name in values}
        return BlockStored(token_count=len(values["token_ids"]), **sent)
    if values:
        return BlockRemoved(**{n: values[n] for n in fields["BlockRemoved"] if n in values})
    return AllBlocksCleared()
