"""Whether a tokenizer works that a gateway is to be told of: what is asked, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenizerQuestion:
    """One short text to be tokenized by ``POST`` to a URL; an empty ``model`` is not named."""

    url: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class TokenizerAnswer:
    """The status of its answer; 0 where there was none, and ``problem`` says why in a few words."""

    status: int = 0
    problem: str = ""

    @property
    def works(self) -> bool:
        """Whether it tokenized."""
        return self.status == 200
