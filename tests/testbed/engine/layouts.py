"""The wire layout of each vLLM release, as data: which fields, in which order, in which form.

Source: ``vllm/distributed/kv_events.py`` of the releases, and ``data/vllm_golden.jsonl``, which a
test holds against this table byte for byte.
"""

from dataclasses import dataclass

from testbed.engine.versions import Version

_BATCH_0_9_0 = ("ts", "events")
_BATCH = (*_BATCH_0_9_0, "data_parallel_rank")

_STORED_0_9 = ("block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id")
_STORED_0_10_2 = (*_STORED_0_9, "medium")
_STORED_0_14 = (*_STORED_0_10_2, "lora_name")
_STORED_0_17 = (*_STORED_0_14, "extra_keys")
_STORED_0_20 = (*_STORED_0_17, "group_idx")
_STORED_0_22 = (*_STORED_0_20, "kv_cache_spec_kind", "kv_cache_spec_sliding_window")
_STORED_0_26 = (*_STORED_0_22, "locality")
_STORED_0_29 = (*_STORED_0_26, "ownership")
_STORED_0_30 = (*_STORED_0_29, "session_id")
_STORED_0_33 = (*_STORED_0_30, "lookahead_token_ids")

_REMOVED_0_9 = ("block_hashes",)
_REMOVED_0_10_2 = (*_REMOVED_0_9, "medium")
_REMOVED_0_20 = (*_REMOVED_0_10_2, "group_idx")
_REMOVED_0_26 = (*_REMOVED_0_20, "locality")
_REMOVED_0_29 = (*_REMOVED_0_26, "ownership")

ALWAYS_WRITTEN = frozenset(_STORED_0_14)
"""Fields without a default: a map event carries them even at None, and omits all others then."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a release puts on the wire; ``since`` is the first release that does."""

    since: Version
    batch: tuple[str, ...]
    stored: tuple[str, ...]
    removed: tuple[str, ...]
    events_are_maps: bool = False
    replay_names_topic: bool = False
    always_written: frozenset[str] = ALWAYS_WRITTEN


# fmt: off
LAYOUTS = (
    Layout(Version(0, 9),     _BATCH_0_9_0, _STORED_0_9,    _REMOVED_0_9),
    Layout(Version(0, 9, 1),  _BATCH,       _STORED_0_9,    _REMOVED_0_9),
    Layout(Version(0, 10, 2), _BATCH,       _STORED_0_10_2, _REMOVED_0_10_2),
    Layout(Version(0, 14),    _BATCH,       _STORED_0_14,   _REMOVED_0_10_2),
    Layout(Version(0, 17),    _BATCH,       _STORED_0_17,   _REMOVED_0_10_2),
    Layout(Version(0, 20),    _BATCH,       _STORED_0_20,   _REMOVED_0_20),
    Layout(Version(0, 22),    _BATCH,       _STORED_0_22,   _REMOVED_0_20),
    Layout(Version(0, 24),    _BATCH,       _STORED_0_22,   _REMOVED_0_20, events_are_maps=True),
    Layout(Version(0, 26),    _BATCH,       _STORED_0_26,   _REMOVED_0_26, events_are_maps=True,
           replay_names_topic=True),
    Layout(Version(0, 29),    _BATCH,       _STORED_0_29,   _REMOVED_0_29, events_are_maps=True,
           replay_names_topic=True),
    Layout(Version(0, 30),    _BATCH,       _STORED_0_30,   _REMOVED_0_29, events_are_maps=True,
           replay_names_topic=True),
    Layout(Version(0, 33),    _BATCH,       _STORED_0_33,   _REMOVED_0_29, events_are_maps=True,
           replay_names_topic=True),
)
# fmt: on


def layout_for(version: Version) -> Layout:
    """The layout of a release; a build older than 0.9.0 (see ``Build``) writes the oldest one."""
    fitting = [layout for layout in LAYOUTS if layout.since <= version]
    return fitting[-1] if fitting else LAYOUTS[0]
