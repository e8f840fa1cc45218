"""The radix cache: prompts as pages in a tree, whole leaves evicted, and the events of each release.

Source: ``python/sglang/srt/mem_cache/radix_cache.py``, since 0.5.12 ``mem_cache/events.py`` and
``mem_cache/utils.py`` (hashes). Requests with a ``cache_salt`` have a tree of their own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Optional

from testbed.engine.cache import CacheFullError, Outcome
from testbed.engine.sglang.releases import Behaviour, Cut, Parent, Split
from testbed.engine.wire import AllBlocksCleared, BlockRemoved, BlockStored, Event

Page = tuple[int, ...]


@dataclass(eq=False, slots=True)
class Node:
    """A stretch of pages that follow on its parent's; a root has none."""

    pages: list[Page] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    parent: Optional["Node"] = None
    children: dict[Page, "Node"] = field(default_factory=dict)
    used: int = 0

    @property
    def tokens(self) -> list[int]:
        """All its token ids."""
        return [token for page in self.pages for token in page]


class RadixCache:
    """The KV pages of one data-parallel rank."""

    def __init__(
        self, pages: int, page_size: int, behaviour: Behaviour, *, reuse: bool = True
    ) -> None:
        self._pages, self._size, self._reuse = pages, page_size, reuse
        self._behaviour = behaviour
        self._roots: dict[str, Node] = {}
        self._clock = count(1)
        self._queue: list[Event] = []

    def run(self, prompt: list[int], output: list[int], salt: str = "") -> Outcome:
        """Prefill ``prompt``, then decode ``output``; raises CacheFullError if it cannot fit.

        SGLang hands events over once its scheduler is idle again: here, all of them in the last step.
        """
        pages = self._paged(prompt + output[:-1])  # the last sampled token is never computed
        if len(pages) > self._pages:
            raise CacheFullError(f"{len(pages)} pages, room for {self._pages}")
        if not self._reuse:
            return Outcome(0, [[], []])
        root = self._roots.setdefault(salt, Node())
        cached, path = self._match(root, self._paged(prompt[:-1]))
        self._evict(len(pages) - cached, path)
        for end in (len(prompt) // self._size, len(pages)):
            self._insert(root, pages[:end])
        return Outcome(cached * self._size, [[], self._taken()])

    def clear(self) -> list[Event]:
        """Forget every page."""
        self._roots.clear()
        return [AllBlocksCleared()] if self._reuse else []

    def _taken(self) -> list[Event]:
        """The events so far, as they are sent: since 0.5.18 those that go together are one."""
        events, self._queue = self._queue, []
        return _joined(events) if self._behaviour.cut is Cut.CHAIN else events

    def _paged(self, tokens: list[int]) -> list[Page]:
        """The full pages of a sequence."""
        ends = range(self._size, len(tokens) + 1, self._size)
        return [tuple(tokens[end - self._size : end]) for end in ends]

    def _match(self, root: Node, pages: list[Page]) -> tuple[int, list[Node]]:
        """How many pages are there already, and the nodes that hold them."""
        node, found, path = root, 0, [root]
        while found < len(pages) and (child := node.children.get(pages[found])):
            child.used = next(self._clock)
            same = _common(child.pages, pages[found:])
            node = child if same == len(child.pages) else self._split(child, same)
            path.append(node)
            found += same
        return found, path

    def _split(self, node: Node, at: int) -> Node:
        """Cut a node in two; the new one has its first ``at`` pages."""
        said = self._behaviour.split
        if said is not Split.SILENT:
            self._tell_removed(node)
        assert node.parent is not None
        head = Node(
            node.pages[:at], node.hashes[:at], node.parent, {node.pages[at]: node}, node.used
        )
        node.parent.children[node.pages[0]] = head
        node.pages, node.hashes, node.parent = node.pages[at:], node.hashes[at:], head
        if said is Split.RETOLD:
            self._tell_stored(head)
            self._tell_stored(node)
        return head

    def _insert(self, root: Node, pages: list[Page]) -> None:
        found, path = self._match(root, pages)
        if found < len(pages):
            parent, new = path[-1], pages[found:]
            node = Node(new, _chain(parent, new), parent, used=next(self._clock))
            parent.children[new[0]] = node
            self._tell_stored(node)

    def _evict(self, wanted: int, kept: list[Node]) -> None:
        """Whole leaves, the one used longest ago first, until there is room."""
        while self._pages - self._held() < wanted:
            leaves = [n for n in self._nodes() if not n.children and n not in kept]
            leaf = min(leaves, key=lambda node: node.used)
            assert leaf.parent is not None
            del leaf.parent.children[leaf.pages[0]]
            self._tell_removed(leaf)

    def _held(self) -> int:
        return sum(len(node.pages) for node in self._nodes())

    def _nodes(self) -> Iterator[Node]:
        waiting = [child for root in self._roots.values() for child in root.children.values()]
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            yield node

    def _tell_stored(self, node: Node) -> None:
        parent = self._before(node)
        whole = self._behaviour.cut is Cut.NODE
        pieces = [node.tokens] if whole else [list(page) for page in node.pages]
        for block_hash, tokens in zip(self._outside(node), pieces, strict=True):
            self._queue.append(BlockStored([block_hash], parent, tokens, len(tokens)))
            parent = block_hash

    def _tell_removed(self, node: Node) -> None:
        hashes = self._outside(node)
        together = [hashes] if self._behaviour.removed_by_node else [[one] for one in hashes]
        self._queue += [BlockRemoved([*some]) for some in together]

    def _before(self, node: Node) -> int | None:
        """What the node's first block names as its parent."""
        assert node.parent is not None
        rule = self._behaviour.parent
        if rule is Parent.NOTHING_AT_NODES or (rule is Parent.BEFORE and not node.parent.pages):
            return None
        return self._outside(node.parent)[-1] if node.parent.pages else hash(())

    def _outside(self, node: Node) -> list[int]:
        """The signed 64-bit hashes of a node's blocks, as others see them."""
        if self._behaviour.chained:
            return [int.from_bytes(h[:8], "big", signed=True) for h in node.hashes]
        if self._behaviour.cut is Cut.NODE:
            return [hash(tuple(node.tokens))]
        return [hash(page) for page in node.pages]


def _common(one: list[Page], other: list[Page]) -> int:
    """How many leading pages are the same."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _chain(parent: Node, pages: list[Page]) -> list[bytes]:
    """Each page's SHA-256 over its tokens (4 bytes, little-endian) and the page before it."""
    before = parent.hashes[-1] if parent.hashes else b""
    hashes = []
    for page in pages:
        text = b"".join(token.to_bytes(4, "little") for token in page)
        before = hashlib.sha256(before + text).digest()
        hashes.append(before)
    return hashes


def _joined(events: list[Event]) -> list[Event]:
    joined: list[Event] = []
    for event in events:
        match (joined[-1] if joined else None), event:
            case BlockRemoved() as last, BlockRemoved():
                last.block_hashes.extend(event.block_hashes)
            case BlockStored() as last, BlockStored() if _follows(last, event):
                last.block_hashes.extend(event.block_hashes)
                last.token_ids.extend(event.token_ids)
            case _:
                joined.append(event)
    return joined


def _follows(last: BlockStored, event: BlockStored) -> bool:
    same = (last.block_size, last.medium) == (event.block_size, event.medium)
    return same and event.parent_block_hash == last.block_hashes[-1]
