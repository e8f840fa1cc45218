"""What `make bench-relay` found, as a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import Page, Plot

GOALS = {"p99": 3.0, "cpu": 0.1, "resident": 64e6}
"""At 200 batches a second: milliseconds, parts of a core, bytes."""

TOLD = """
An engine's stand-in publishes batches of 64 blocks of 16 tokens, 100,000 of which
are resident. The relay runs as it is injected, with metrics and a journal; beside it, in the same
run, a bare forwarder (`zmq_proxy`). While the cache fills, 64 blocks come in with each batch; then
64 come and 64 go; then somebody new subscribes and is told everything while that goes on. Latency
is from the engine's own time of the batch to the reader: three processes on few cores. CPU and
memory are of what stands between; the last column is what others took of the machine meanwhile, in
parts of one core."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One line: milliseconds, parts of a core, bytes."""

    layout: str
    who: str
    rate: int
    load: str
    p50: float
    p99: float
    cpu: float
    resident: int
    heard: int
    sent: int
    others: float


def page(found: Sequence[Measured], said: Sequence[str], loads: Sequence[float] = ()) -> Page:
    """What is told of it."""
    rows = [
        [
            each.layout,
            each.who,
            f"{each.rate:,}/s",
            each.load,
            f"{each.p50:.1f} ms",
            f"{each.p99:.1f} ms",
            f"{each.cpu:.0%}",
            f"{each.resident / 1e6:.0f} MB",
            f"{each.heard:,} of {each.sent:,}",
            f"{each.others:.0%}",
        ]
        for each in found
    ]
    layout = found[0].layout
    lines = {
        f"{who}, {load}": [
            (each.rate, each.p99)
            for each in found
            if (each.who, each.load, each.layout) == (who, load, layout)
        ]
        for who, load in dict.fromkeys((each.who, each.load) for each in found)
    }
    title = "What the relay adds"
    columns = ["events", "", "batches", "load", "p50", "p99", "CPU", "memory", "heard", "others"]
    plot = Plot("batches a second", f"p99, ms ({layout})", lines)
    return Page("relay", title, TOLD, columns, rows, [plot], [_goals(found), *said], loads)


def _goals(found: Sequence[Measured]) -> str:
    """What the goals come to, at their rate."""
    ours = [each for each in found if (each.who, each.rate) == ("relay", 200)]
    steady = [each for each in ours if each.load != "telling all"]
    beside = [each.p99 for each in found if (each.who, each.rate) == ("forwarder", 200)]
    worst = {
        "p99": max(each.p99 for each in steady),
        "cpu": max(each.cpu for each in steady),
        "resident": float(max(each.resident for each in ours)),
    }
    words = {
        name: "reached" if worst[name] < goal else "not reached" for name, goal in GOALS.items()
    }
    return (
        f"Goals at 200 batches a second: p99 less than 3 ms, **{words['p99']}** ({worst['p99']:.1f} ms; the "
        f"forwarder {max(beside, default=0.0):.1f} ms); "
        f"less than 10 % of a core, **{words['cpu']}** ({worst['cpu']:.0%}); less than 64 MB, "
        f"**{words['resident']}** ({worst['resident'] / 1e6:.0f} MB)."
    )
