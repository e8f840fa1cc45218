"""The syntax tree that tree-sitter-bash makes of a text, within a budget."""

from __future__ import annotations

import tree_sitter_bash
from tree_sitter import Language, Node, Parser, Point

from kvsync.core.script.budget import MAX_LENGTH, Budget

_LANGUAGE = Language(tree_sitter_bash.language())
_CHUNK = 1024
_NODES = 16  # are read in the time that a chunk is lexed in

# tree-sitter's time and memory grow with the square of the length where these are strung together:
# 4,000 backquotes take seconds and gigabytes, 400 take milliseconds.
_COSTLY = {"|": 1, "&": 1, "(": 1, "<": 1, ">": 1, "`": 5}


def parse(masked: str, budget: Budget) -> Node | None:
    """The text's syntax tree; None where it would cost too much."""
    budget.steps -= sum(masked.count(sign) * weight for sign, weight in _COSTLY.items()) ** 2 // 512
    if budget.steps <= 0 or len(masked) > MAX_LENGTH:
        return None
    source = masked.encode("ascii")

    def chunk(offset: int, _: Point) -> bytes:
        budget.steps -= 1
        return source[offset : offset + _CHUNK] if budget.steps > 0 else b""

    def exhausted(_offset: int, _has_error: bool) -> bool:
        return budget.steps <= 0

    try:
        tree = Parser(_LANGUAGE).parse(chunk, progress_callback=exhausted)
    except ValueError:  # cancelled
        return None
    budget.steps -= tree.root_node.descendant_count // _NODES
    return tree.root_node if budget.steps > 0 else None
