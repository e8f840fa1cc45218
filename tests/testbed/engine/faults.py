"""Faults that a test orders through TESTBED_FAULT: engines that die, hang or say nothing.

``crash-after:5s`` exits 1 (``crash-after:5s:137`` any other status) that long after it is ready.
``silent`` accepts subscribers and requests, and never publishes nor answers a replay request.
``freeze`` or ``freeze:5s`` stops the whole process (SIGSTOP): sockets stay open, nothing answers.
"""

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass

_FAULT = re.compile(r"(crash-after|silent|freeze)(?::(\d+(?:\.\d+)?)(m?s))?(?::(\d+))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One ordered fault; ``after`` in seconds from readiness."""

    kind: str = "none"
    after: float = 0.0
    status: int = 1

    @property
    def silent(self) -> bool:
        """Whether publishers must stay mute."""
        return self.kind == "silent"

    @property
    def timed(self) -> bool:
        """Whether the fault strikes at a time."""
        return self.kind in ("crash-after", "freeze")

    def strike(self) -> None:
        """Do it now. Returns only after a frozen process was told to continue."""
        if self.kind == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        os._exit(self.status)


def fault_from(environ: Mapping[str, str]) -> Fault:
    """The ordered fault, or the one that never strikes; raises ValueError for an unknown order."""
    text = environ.get("TESTBED_FAULT", "")
    if not text:
        return Fault()
    found = _FAULT.fullmatch(text)
    if found is None:
        raise ValueError(
            f"TESTBED_FAULT={text!r}: use crash-after:5s[:STATUS], silent or freeze[:5s]"
        )
    kind, number, unit, status = found.groups()
    after = float(number or 0) / (1000 if unit == "ms" else 1)
    return Fault(kind, after, int(status or 1))
