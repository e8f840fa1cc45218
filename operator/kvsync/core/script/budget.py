"""What reading a script may cost: hostile text is normal."""

from __future__ import annotations

MAX_LENGTH = 64 * 1024
"""Characters of a script, as written and as pasted, that are still parsed."""


class Budget:
    """What a script may cost in all: hostile text is lexed over and over, and expands without end."""

    def __init__(self) -> None:
        self.steps = 8192  # chunks lexed, or some nodes of a tree
        self.characters = 8 * MAX_LENGTH  # of values put in

    def takes(self, characters: int) -> bool:
        """Take so many characters, if they are left."""
        self.characters -= characters
        return self.characters >= 0
