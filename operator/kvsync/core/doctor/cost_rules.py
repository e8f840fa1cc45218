"""What events cost, measured: the product text's "high memory usage" and "performance impact"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvsync.core.doctor.facts import Facts, ObjectFacts
from kvsync.core.doctor.finding import Finding, good, left_open

MUCH_MEMORY = 128 << 20
"""Bytes of one engine's replay buffer from which on it is worth a word."""

BATCH_OVERHEAD = 160
"""Bytes that Python keeps beside a batch's own in the buffer: a tuple, an int and the header of bytes
(vLLM ``ZmqEventPublisher._buffer``, a deque of ``(sequence, payload)``)."""

TEXT_BANDWIDTH = 1_000_000.0
"""Bytes a second of one pod "at high load", as the product text says."""

_NO_COMPRESSION = "No known release of vLLM or SGLang can compress events."


@dataclass(frozen=True, slots=True)
class Usual:
    """What was seen of the sources of one model. ``rate``: of the busiest one, None where none has any."""

    octets: float
    rate: float | None


def memory(facts: Facts) -> Iterator[Finding]:
    """What the replay buffers come to, by the size of the batches that were seen."""
    for each in facts.syncs:
        for model, engines in each.engines.items():
            steps = max((engine.buffer_steps for engine in engines), default=0)
            title = f"{each.found.namespace}/{model}"
            usual = _usual(each, model)
            if usual is None:
                yield from _unmeasured(steps, title)
            elif steps:
                yield _memory(steps, usual.octets, title)


def _unmeasured(steps: int, title: str) -> Iterator[Finding]:
    if steps:
        yield left_open(
            "memory",
            f"A replay buffer of {steps} batches; none was seen, so their size is not known.",
            "Ask again while requests are served.",
            title,
        )


def _memory(steps: int, octets: float, title: str) -> Finding:
    full = steps * (octets + BATCH_OVERHEAD)
    seen = (
        f"A full replay buffer takes about {size_words(full)} of each engine: {steps} batches of "
        f"{octets:.0f} bytes as seen now."
    )
    if full < MUCH_MEMORY:
        return good("memory", seen, title)
    fitting = max(1000, int(MUCH_MEMORY / (octets + BATCH_OVERHEAD)) // 1000 * 1000)
    return left_open(
        "memory",
        f"{seen} {_NO_COMPRESSION}",
        f"Where memory is short set spec.events.bufferSteps: {fitting}; a gateway that was away longer than "
        "that many batches misses some.",
        title,
    )


def bandwidth(facts: Facts) -> Iterator[Finding]:
    """What the busiest source of each model sends, beside the product text's figure."""
    for each in facts.syncs:
        for model in each.engines:
            usual = _usual(each, model)
            if usual is None or usual.rate is None:
                continue
            flow = usual.rate * usual.octets
            seen = (
                f"The busiest source sends {usual.rate:.1f} batches/s of {usual.octets:.0f} bytes: "
                f"{size_words(flow)}/s to each subscriber."
            )
            title = f"{each.found.namespace}/{model}"
            if flow <= TEXT_BANDWIDTH:
                yield good("bandwidth", seen, title)
            else:
                yield left_open(
                    "bandwidth",
                    f"{seen} That is more than the usual 1 MB/s of a pod at high load. {_NO_COMPRESSION}",
                    "A larger --block-size of the engine makes fewer events; every gateway pod subscribes.",
                    title,
                )


def _usual(each: ObjectFacts, model: str) -> Usual | None:
    """Of the model's sources together; None where no message came."""
    found = next((m for m in each.found.models if m.name == model), None)
    keys = [source.verdict.key for source in found.sources] if found else []
    streams = [each.streams[key] for key in keys if key in each.streams]
    messages = sum(stream.messages for stream in streams)
    if not messages:
        return None
    rates = [stream.rate for stream in streams if stream.rate is not None]
    octets = sum(stream.octets for stream in streams) / messages
    return Usual(octets, max(rates, default=None))


def size_words(octets: float) -> str:
    """Bytes in the unit that fits, decimal."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= size:
            return f"{octets / size:.1f} {unit}"
    return f"{octets:.0f} bytes"
