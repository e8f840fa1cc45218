"""Where the words and redirections of a simple command stand, and whether that is certain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tree_sitter import Node

from kvsync.core.script.budget import MAX_LENGTH

OPAQUE_NODES = frozenset(
    {
        "ansi_c_string",
        "arithmetic_expansion",
        "command_substitution",
        "expansion",
        "process_substitution",
        "translated_string",
    }
)
"""Parts of words that only a running shell can tell."""

WORD_NODES = OPAQUE_NODES | {
    "concatenation",
    "number",
    "raw_string",
    "simple_expansion",
    "string",
    "word",
}

REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})
_CONTINUED = re.compile(r"(?:\\\n)*")
_BLANK = re.compile(r"(?:[ \t]|\\\n)*")
_END = re.compile(r"(?:\\\n)*(?:[ \t](?:[ \t]|\\\n)*#|(?:[ \t]|\\\n)*(?:[\n;&|<>)`]|\Z))")
_OPERATOR = re.compile(r"\d?(?:&>>?|>>|>\||[<>]&-?|<>|<<<|<<-?|[<>])(?:[ \t]|\\\n)*")
_DESCRIPTOR = re.compile(r"(?:\d+|\{\w+\})[<>]")

Span = tuple[int, int]
"""A stretch of a layer's text: its start, and the place behind its end."""


@dataclass(frozen=True, slots=True)
class _Redirect:
    start: int
    target: int  # where the word behind the operator starts
    end: int


@dataclass(slots=True)
class Command:
    """Where the words of a simple command stand, in a layer's text."""

    start: int
    inside: str
    pieces: list[Span] = field(default_factory=list)  # of words
    redirects: list[_Redirect] = field(default_factory=list)
    ambiguous_from: int = MAX_LENGTH
    """From where on shells disagree on what is a word of the command."""

    def words(self, masked: str) -> list[Span]:
        """The words; what stands together without a blank is one, whatever tree-sitter says."""
        return _joined(sorted(self.pieces), masked)

    def is_closed(self, masked: str, words: Sequence[Span]) -> bool:
        """Whether nothing but blanks stands between its parts, and it ends where it seems to."""
        if not words or words[-1][1] > self.ambiguous_from or self._is_escaped(masked):
            return False
        parts = sorted([*words, *((each.start, each.end) for each in self.redirects)])
        blank = all(_BLANK.fullmatch(masked, a[1], b[0]) for a, b in pairwise(parts))
        signs = all(_OPERATOR.fullmatch(masked, r.start, r.target) for r in self.redirects)
        # A number before a redirection is a part of it, and tree-sitter does not always know.
        joined = any(_DESCRIPTOR.match(masked, start) for start, _ in words)
        return blank and signs and not joined and _END.match(masked, parts[-1][1]) is not None

    def _is_escaped(self, masked: str) -> bool:
        """Whether what looks like a blank before it is a word: tree-sitter overlooks that."""
        start = self.start
        while start and masked[start - 1] in " \t":
            start -= 1
        return masked[start - 1 : start] == "\\"

    def add_redirect(self, node: Node, masked: str) -> None:
        """Note a redirection, and the words that tree-sitter takes for further targets of it."""
        spans = [span_of(child) for child in node.children if child.type in WORD_NODES]
        words = _joined(spans, masked)
        # A here-document's target is its mark; closing a descriptor (2>&-) has none.
        marks = [span_of(child) for child in node.children if child.type == "heredoc_start"]
        closed = [child.end_byte for child in node.children if child.type in (">&-", "<&-")]
        targets = [(closed[0], closed[0])] if closed else [*marks, *words, span_of(node)]
        self.redirects.append(_Redirect(node.start_byte, *targets[0]))
        self.ambiguous_from = min(self.ambiguous_from, _ambiguous_from(node))
        self.pieces += [span for span in words if span[0] >= targets[0][1]]
        for child in node.children:
            if child.type in REDIRECTS:  # behind a here-document's mark
                self.add_redirect(child, masked)


def _ambiguous_from(redirect: Node) -> int:
    """From where on only bash sees one redirection: ``&> file``, and ``10> file``, a word in others."""
    for child in redirect.children:
        if child.type in ("&>", "&>>"):
            return child.start_byte
        if child.type == "file_descriptor" and child.end_byte - child.start_byte > 1:
            return 0
    return MAX_LENGTH


def _joined(spans: Sequence[Span], masked: str) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if joined and _CONTINUED.fullmatch(masked, joined[-1][1], start):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def span_of(node: Node) -> Span:
    """Where a node stands in the text; a masked one is ASCII, so its bytes are its characters."""
    return node.start_byte, node.end_byte
