"""A short digest of plain data: to know it again, not to protect it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_LENGTH = 16


def digest(content: Any) -> str:
    """16 hexadecimal digits that stand for JSON values, whatever the order of their keys.

    They are kept on objects and in statuses: another form of them is a change of everything.
    """
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
