"""What a check found, and what all of them come to."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass


class Mark(enum.StrEnum):
    """How a finding counts."""

    GOOD = "good"
    """As it should be."""
    WRONG = "wrong"
    """Not as it should be: something does not work, or will not."""
    OPEN = "open"
    """Not known from here, under way, or a matter of choice."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what was seen. ``check`` is the stable name of the check; ``subject`` what it is about,
    as ``namespace/name``, empty for the installation. ``remedy`` is empty only where all is good."""

    check: str
    mark: Mark
    seen: str
    remedy: str = ""
    subject: str = ""


def good(check: str, seen: str, subject: str = "") -> Finding:
    """As it should be."""
    return Finding(check, Mark.GOOD, seen, subject=subject)


def wrong(check: str, seen: str, remedy: str, subject: str = "") -> Finding:
    """Not as it should be."""
    return Finding(check, Mark.WRONG, seen, remedy, subject)


def left_open(check: str, seen: str, remedy: str, subject: str = "") -> Finding:
    """Not known, or no fault."""
    return Finding(check, Mark.OPEN, seen, remedy, subject)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in their order. ``seen_from``: where it was asked from, and as whom."""

    seen_from: str
    findings: tuple[Finding, ...]
    no_access: bool = False
    """Whether the API server could not be asked at all."""

    @property
    def counts(self) -> Counter[Mark]:
        """How many findings have each mark."""
        return Counter(finding.mark for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong. 1: something is. 2: nothing could be asked."""
        if self.no_access:
            return 2
        return 1 if self.counts[Mark.WRONG] else 0
