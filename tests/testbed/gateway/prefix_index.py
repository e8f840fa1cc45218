"""The gateway's prefix index, with the limits it really has.

After AIBrix `pkg/utils/syncprefixcacheindexer/sync_hash.go`. Pure: the time is an argument.
Keys are chained hashes of token bytes; the seed and the hash function differ from AIBrix's, which
nobody outside can see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

Context = tuple[str, int]
"""Model name and LoRA id (-1: none); events and requests meet only within one context."""

NO_LORA = -1
FORGET_AFTER = 20 * 60.0
MAX_PREFIXES = 10_000


class MismatchError(ValueError):
    """An event whose hashes and token blocks are not equal in number."""


@dataclass
class _Entries:
    last_access: float
    pods_of: dict[bytes, set[str]] = field(default_factory=dict)
    prefix_of: dict[int, bytes] = field(default_factory=dict)


class PrefixIndex:
    """Which pods hold which prefixes, in blocks of `block_size` bytes."""

    def __init__(self, block_size: int, seed: bytes = b"gateway") -> None:
        self._block_size = block_size
        self._seed = seed
        self._contexts: dict[Context, _Entries] = {}

    def store(
        self,
        context: Context,
        pod: str,
        hashes: Sequence[int],
        parent: int | None,
        blocks: Sequence[bytes],
        now: float,
    ) -> None:
        """Takes one BlockStored event.

        As in the gateway, every block of the event hangs on the event's parent, so only the first
        one chains right, and a block hash that is known keeps its first meaning.

        Raises:
            MismatchError: the numbers of hashes and blocks differ.
        """
        if not hashes:
            return
        if len(hashes) != len(blocks):
            raise MismatchError(
                f"block hashes and tokens length mismatch: {len(hashes)} vs {len(blocks)}"
            )
        entries = self._entries(context, now)
        for engine_hash, tokens in zip(hashes, blocks, strict=True):
            prefix = entries.prefix_of.get(engine_hash)
            if prefix is None:
                above = self._seed if parent is None else entries.prefix_of.get(parent, self._seed)
                prefix = self._chain(above, tokens)
                entries.prefix_of[engine_hash] = prefix
            entries.pods_of.setdefault(prefix, set()).add(pod)

    def remove(self, context: Context, hashes: Sequence[int]) -> None:
        """Takes one BlockRemoved event: the prefix goes for all pods, not only the sender."""
        entries = self._contexts.get(context)
        if entries is None:
            return
        for engine_hash in hashes:
            prefix = entries.prefix_of.pop(engine_hash, None)
            if prefix is not None:
                entries.pods_of.pop(prefix, None)

    def remove_pod(self, context: Context, pod: str) -> None:
        """Forgets all that one pod holds (pod deleted, or its cache cleared)."""
        entries = self._contexts.get(context)
        if entries is None:
            return
        for prefix in [known for known, pods in entries.pods_of.items() if pod in pods]:
            entries.pods_of[prefix].discard(pod)
            if not entries.pods_of[prefix]:
                del entries.pods_of[prefix]

    def match(
        self, context: Context, tokens: bytes, ready: AbstractSet[str], now: float
    ) -> tuple[dict[str, int], list[bytes]]:
        """Per ready pod the percentage of whole blocks it holds from the start, and all prefixes.

        A trailing partial block does not count.
        """
        held, prefixes = self.held(context, tokens, ready)
        if context in self._contexts:
            self._contexts[context].last_access = now
        return {pod: count * 100 // len(prefixes) for pod, count in held.items()}, prefixes

    def held(
        self, context: Context, tokens: bytes, ready: AbstractSet[str]
    ) -> tuple[dict[str, int], list[bytes]]:
        """As `match`, with the number of blocks; to look is no use, and keeps nothing in mind."""
        prefixes = self.prefixes(tokens)
        entries = self._contexts.get(context)
        found: dict[str, int] = {}
        if entries is None:
            return found, prefixes
        for number, prefix in enumerate(prefixes, start=1):
            holders = entries.pods_of.get(prefix, set()) & ready
            if not holders:
                break
            found.update(dict.fromkeys(holders, number))
        return found, prefixes

    def add(self, context: Context, pod: str, prefixes: Sequence[bytes], now: float) -> None:
        """Takes note of a prompt that the router itself has just sent to a pod."""
        entries = self._entries(context, now)
        entries.last_access = now
        for prefix in prefixes:
            if prefix not in entries.pods_of and len(entries.pods_of) >= MAX_PREFIXES:
                break
            entries.pods_of.setdefault(prefix, set()).add(pod)

    def evict(self, now: float) -> None:
        """Forgets what no request has asked for within 20 minutes.

        As in the gateway this is per model, and events alone do not count as use.
        """
        for context, entries in list(self._contexts.items()):
            if entries.last_access < now - FORGET_AFTER:
                del self._contexts[context]

    def prefixes(self, tokens: bytes) -> list[bytes]:
        """The chained key of every whole block of `tokens`."""
        found: list[bytes] = []
        above = self._seed
        for end in range(self._block_size, len(tokens) + 1, self._block_size):
            above = self._chain(above, tokens[end - self._block_size : end])
            found.append(above)
        return found

    def __len__(self) -> int:
        return sum(len(entries.pods_of) for entries in self._contexts.values())

    def _entries(self, context: Context, now: float) -> _Entries:
        return self._contexts.setdefault(context, _Entries(last_access=now))

    def _chain(self, above: bytes, tokens: bytes) -> bytes:
        return hashlib.blake2b(tokens, digest_size=8, key=above).digest()
