"""Which SGLang the stand-in is, and what each release does with KV events, as data.

Source: ``python/sglang/srt/disaggregation/kv_events.py``, ``mem_cache/radix_cache.py`` (later
``mem_cache/events.py``) and ``managers/scheduler.py`` of the releases; what fourteen of them send
stands in ``data/sglang_golden.jsonl``, which tests hold against this table.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from testbed.engine.layouts import Layout
from testbed.engine.versions import Version, split_image

_NUMBERS = re.compile(r"(?:^|[-_])v?(\d+)\.(\d+)\.(\d+)(?:\.?post(\d+))?")


class Release(NamedTuple):
    """A release of SGLang; post releases count: 0.4.6.post5 has KV events, 0.4.6 has none."""

    major: int
    minor: int
    patch: int
    post: int = 0

    def __str__(self) -> str:
        number = f"{self.major}.{self.minor}.{self.patch}"
        return f"{number}.post{self.post}" if self.post else number


NEWEST = Release(0, 5, 23)
FIRST_EVENTS = Release(0, 4, 6, 5)
FIRST_SERVE = Release(0, 5, 5)
"""The first release with the ``sglang`` program (``sglang serve``)."""


def release_from(environ: Mapping[str, str]) -> Release:
    """The release that TESTBED_SGLANG_VERSION (first) or the tag in TESTBED_IMAGE names, or the newest."""
    _, tag = split_image(environ.get("TESTBED_IMAGE", ""))
    return parse_release(environ.get("TESTBED_SGLANG_VERSION") or tag) or NEWEST


def parse_release(text: str) -> Release | None:
    """The first release in a tag such as ``v0.5.5.post3-cu129``, or None."""
    found = _NUMBERS.search(text)
    return Release(*(int(number) for number in found.groups(default="0"))) if found else None


class Cut(enum.Enum):
    """What one BlockStored tells of."""

    NODE = "a node of the radix tree, as one block of the node's length"
    PAGE = "one page"
    CHAIN = "as many pages as follow on each other"


class Split(enum.Enum):
    """What is said when a node is cut in two, which changes nothing of what is cached."""

    RETOLD = "its blocks are removed, and stored again as those of two nodes"
    REMOVED = "its blocks are removed, though they stay"
    SILENT = "nothing"


class Publishing(enum.Enum):
    """Which processes of the engine open a publisher, and on which port."""

    EVERY_PROCESS = "each of them, on the same ports"
    EVERY_PROCESS_BY_RANK = "each of them, by its attention-DP rank"
    FIRST_TP = "those of tensor rank 0, by their attention-DP rank"
    FIRST_ATTENTION_TP = "the first of each attention-DP rank, by that rank"
    EACH_RANK = "one of each data-parallel rank, by that rank"


class Parent(enum.Enum):
    """What the first page of a prompt, or of a node, names as its parent."""

    EMPTY_HASH = "the hash of no tokens"
    NOTHING_AT_NODES = "nothing, also in the middle of a prompt"
    BEFORE = "what stands before it, if anything"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a release does; a row holds from ``since`` until the next one."""

    since: Release
    layout: Layout
    cut: Cut = Cut.NODE
    publishing: Publishing = Publishing.EVERY_PROCESS
    split: Split = Split.RETOLD
    parent: Parent = Parent.EMPTY_HASH
    chained: bool = False
    """Whether hashes are a chain of SHA-256; before, Python's hash of the page's tokens alone."""
    removed_by_node: bool = False
    """Whether one BlockRemoved tells of a whole node; before, of one block."""
    binds_zero: bool = False
    """Whether ``tcp://0.0.0.0:…`` is listened on; before, it was connected to."""
    bind_key: bool = False
    """Whether the configuration has ``bind``."""


def _next(
    before: Behaviour, since: Release, layout: Mapping[str, Any] = {}, **more: Any
) -> Behaviour:
    changed = replace(before.layout, since=Version(*since[:3]), **layout)
    return replace(before, since=since, layout=changed, **more)


_STORED = ("block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id")
# SGLang calls the third element attn_dp_rank; an array carries no names.
_RANKED = ("ts", "events", "data_parallel_rank")
_OLDEST = Layout(
    Version(0, 4, 6),
    ("ts", "events"),
    _STORED,
    ("block_hashes",),
    always_written=frozenset(_STORED),
)
_WITH_MEDIUM = {"stored": (*_STORED, "medium"), "removed": ("block_hashes", "medium")}
_WITH_SESSION = (*_STORED, "medium", "cache_salt", "session_id")

_0_4_6_5 = Behaviour(FIRST_EVENTS, _OLDEST)
_0_4_7 = _next(
    _0_4_6_5,
    Release(0, 4, 7),
    {"batch": _RANKED},
    publishing=Publishing.EVERY_PROCESS_BY_RANK,
)
_0_4_8 = _next(_0_4_7, Release(0, 4, 8), cut=Cut.PAGE)
_0_5_1 = _next(_0_4_8, Release(0, 5, 1), parent=Parent.NOTHING_AT_NODES)
_0_5_3 = _next(_0_5_1, Release(0, 5, 3), publishing=Publishing.FIRST_TP)
_0_5_6 = _next(
    _0_5_3,
    Release(0, 5, 6),
    split=Split.REMOVED,
    parent=Parent.BEFORE,
    chained=True,
)
_0_5_7 = _next(_0_5_6, Release(0, 5, 7), split=Split.SILENT)
_0_5_8 = _next(_0_5_7, Release(0, 5, 8), publishing=Publishing.FIRST_ATTENTION_TP)
_0_5_9 = _next(_0_5_8, Release(0, 5, 9), _WITH_MEDIUM)
_0_5_13 = _next(_0_5_9, Release(0, 5, 13), binds_zero=True)
_0_5_15 = _next(_0_5_13, Release(0, 5, 15), publishing=Publishing.EACH_RANK, removed_by_node=True)
_0_5_18 = _next(_0_5_15, Release(0, 5, 18), cut=Cut.CHAIN)
_0_5_20 = _next(_0_5_18, Release(0, 5, 20), {"stored": _WITH_SESSION, "events_are_maps": True})
_0_5_22 = _next(
    _0_5_20,
    Release(0, 5, 22),
    {"stored": (*_WITH_SESSION, "lora_name"), "replay_names_topic": True},
    bind_key=True,
)

BEHAVIOURS = (
    *(_0_4_6_5, _0_4_7, _0_4_8, _0_5_1, _0_5_3, _0_5_6, _0_5_7),
    *(_0_5_8, _0_5_9, _0_5_13, _0_5_15, _0_5_18, _0_5_20, _0_5_22),
)


def behaviour_of(release: Release) -> Behaviour:
    """The row that holds for a release; one without KV events gets the oldest, and never uses it."""
    fitting = [row for row in BEHAVIOURS if row.since <= release]
    return fitting[-1] if fitting else BEHAVIOURS[0]
