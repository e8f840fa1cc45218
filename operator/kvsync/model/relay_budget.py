"""How fast relays tell everything again: what each may be told, and what one gateway takes.

The operator shares out one budget per gateway, for a gateway that restarts has all relays announce
at once. It tells each relay over HTTP, never by the pod template: a change there restarts the pod.
"""

from __future__ import annotations

PATH = "/budget"
"""Where a relay takes its budget (``POST``): a number, events a second."""

LEAST, MOST = 10.0, 10_000.0
"""Events a second that a relay may be told. One that is told too little heals slowly, never not."""

KEPT = 900.0
"""Seconds for which a relay keeps what it was told; then its own setting holds again."""
