"""Lines of Prometheus' text format 0.0.4, for families with thousands of series.

The library spends 8 µs on a line (it checks and sorts each one's labels), which is 140 ms for a
thousand models. Here names and labels are the operator's own and written once for each model.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Labels = str
"""Pairs as :func:`labels` writes them, with commas between; empty for none."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. ``name`` is the one of its series: a counter's ends with ``_total``."""

    name: str
    kind: str
    text: str

    def lines(self, samples: Iterable[tuple[Labels, float | None]]) -> Iterable[str]:
        """Its HELP, its TYPE and its series; one whose value is None is left out."""
        yield f"# HELP {self.name} {self.text}"
        yield f"# TYPE {self.name} {self.kind}"
        name = self.name
        for labels, value in samples:
            if value is not None:
                yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def counter(name: str, text: str) -> Family:
    """A family of counters; ``name`` without ``_total``."""
    return Family(f"{name}_total", "counter", text)


def gauge(name: str, text: str) -> Family:
    """A family of gauges."""
    return Family(name, "gauge", text)


def labels(**pairs: str) -> Labels:
    """Labels as they stand between braces."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs.items())
