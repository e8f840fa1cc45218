"""A deterministic tokenizer: the same text gives the same tokens in every process, always.

Pieces are at most four characters with the space before them, so a text and its continuation
share their leading tokens, as prefix caching needs.
"""

import re
import zlib
from typing import Any

VOCABULARY = 32_000
_RESERVED = 10
_PIECE = re.compile(r" ?\S{1,4}|\s")
_WORDS = ("alfa", "echo", "golf", "kilo", "lima", "mike", "papa", "zulu")


def encode(text: str) -> list[int]:
    """The token ids of a text."""
    return [_token(piece) for piece in _PIECE.findall(text)]


def render_chat(messages: list[dict[str, Any]]) -> str:
    """The prompt that a list of chat messages becomes, open for the assistant's turn."""
    turns = (f"<|{m.get('role')}|>\n{_content(m.get('content'))}\n" for m in messages)
    return "".join(turns) + "<|assistant|>\n"


def continuation(prompt: list[int], count: int) -> str:
    """What the "model" answers: ``count`` words that depend on the prompt; each is one token."""
    seed = zlib.crc32(repr(prompt).encode())
    return "".join(f" {_WORDS[(seed >> index % 29) % len(_WORDS)]}" for index in range(count))


def _token(piece: str) -> int:
    return _RESERVED + zlib.crc32(piece.encode()) % (VOCABULARY - _RESERVED)


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)
