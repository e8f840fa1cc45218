"""The fields of each kind of event, by vLLM's names (vllm/distributed/kv_events.py)."""

from __future__ import annotations

STORED = (
    "block_hashes",
    "parent_block_hash",
    "token_ids",
    "block_size",
    "lora_id",
    "medium",
    "lora_name",
    "extra_keys",
    "group_idx",
    "kv_cache_spec_kind",
    "kv_cache_spec_sliding_window",
    "locality",
    "ownership",
    "session_id",
    "lookahead_token_ids",
)
REMOVED = ("block_hashes", "medium", "group_idx", "locality", "ownership")
FIELDS: dict[str, tuple[str, ...]] = {
    "BlockStored": STORED,
    "BlockRemoved": REMOVED,
    "AllBlocksCleared": (),
}
"""In the order of the array form, after the type."""

REQUIRED: dict[str, frozenset[str]] = {
    "BlockStored": frozenset(STORED[:4]),
    "BlockRemoved": frozenset(REMOVED[:1]),
    "AllBlocksCleared": frozenset[str](),
}
"""What every release sends."""
