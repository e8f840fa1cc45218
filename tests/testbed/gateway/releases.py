"""What each gateway release does differently towards KV events: one table.

Sources: AIBrix `pkg/constants`, `pkg/cache/kvcache`, `pkg/kvevent` and
`pkg/plugins/gateway/algorithms` at the releases named, and runs of their binaries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class EnvNames:
    """The environment variables that a release reads for KV event sync."""

    sync: str
    remote_tokenizer: str
    endpoint: str
    tokenizer_type: str = "AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE"


OLD_NAMES = EnvNames(
    sync="AIBRIX_KV_EVENT_SYNC_ENABLED",
    remote_tokenizer="AIBRIX_USE_REMOTE_TOKENIZER",
    endpoint="AIBRIX_REMOTE_TOKENIZER_ENDPOINT",
)
NEW_NAMES = EnvNames(
    sync="AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED",
    remote_tokenizer="AIBRIX_PREFIX_CACHE_USE_REMOTE_TOKENIZER",
    endpoint="AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT",
)


@dataclass(frozen=True)
class Release:
    """One gateway release as data; every branch of the stand-in asks here."""

    name: str
    version: tuple[int, int, int]
    names: EnvNames = NEW_NAMES
    decodes_arrays: bool = True
    """False: expects a batch as a map, which no vLLM release publishes."""
    replay_delimiter: bool = True
    """False: asks for replay in one bare frame, which vLLM's publisher never answers."""
    shared_index: bool = True
    """False: events fill one index, the router asks another."""
    purges_on_clear: bool = False
    zmq_metrics: bool = False


_NEWEST = (1 << 30, 0, 0)
RELEASES: tuple[Release, ...] = (
    Release(
        "v0.4.1",
        (0, 4, 1),
        names=OLD_NAMES,
        decodes_arrays=False,
        replay_delimiter=False,
        shared_index=False,
        zmq_metrics=True,
    ),
    Release("v0.5.0", (0, 5, 0), decodes_arrays=False, replay_delimiter=False, shared_index=False),
    Release("v0.6.0", (0, 6, 0), shared_index=False),
    Release("v0.7.0", (0, 7, 0)),
    Release("main", _NEWEST, purges_on_clear=True),
)


def release_of(image: str) -> Release:
    """The release that an image reference names; a tag between two releases is the older one.

    A reference without a tag, and any tag that is not a version (`main`, `nightly`, `latest`),
    is the development branch.

    Raises:
        ValueError: the tag names a version older than v0.4.0, which knows no KV events.
    """
    version = _version_of(image)
    if version is None:
        return RELEASES[-1]
    if version < (0, 4, 0):
        raise ValueError(f"{image}: the stand-in knows v0.4.0 and later; use a newer tag")
    older = [release for release in RELEASES if release.version <= version]
    return older[-1] if older else RELEASES[0]


def _version_of(image: str) -> tuple[int, int, int] | None:
    _, colon, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", tag) if colon else None
    if found is None:
        return None
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch
