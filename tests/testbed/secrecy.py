"""What token ids would look like where they must not stand."""

import re

_LIST = re.compile(r"\d+(?:[,\s]+\d+){7,}")
_MOST = 5


def number_lists(text: str) -> list[str]:
    """The first few lists of eight numbers and more: engines count their blocks in eights of tokens."""
    return [found.group()[:80] for found in _LIST.finditer(text)][:_MOST]
