"""Release versions of engines and gateways, as far as they decide anything: three numbers."""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(r"^v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?![\d])")


class Version(NamedTuple):
    """A release, ordered as releases are. A fourth number (0.9.0.1) is a re-release of the third."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Version | None:
    """Read ``v0.11.0``, ``0.10.2-cu128``, ``0.9.0.1`` or ``0.12.0rc1+local``; None for anything else."""
    match = _VERSION.match(text.strip())
    if match is None:
        return None
    major, minor, patch = match.groups()
    return Version(int(major), int(minor), int(patch or 0))
