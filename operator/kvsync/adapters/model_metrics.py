"""The metrics of models: counters of what was looked at, gauges of how their sources stand."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from kvsync.adapters.exposition import counter, gauge, labels
from kvsync.model.metering import Reading

_COUNTERS = {
    "messages": counter(
        "kvsync_messages",
        "Messages (one batch each) that were looked at, decodable or not: busy publishers are "
        "sampled.",
    ),
    "octets": counter(
        "kvsync_received_bytes",
        "Bytes of the messages that were looked at: busy publishers are sampled.",
    ),
    "undecoded": counter(
        "kvsync_undecodable_messages",
        "Messages that were looked at and could not be decoded.",
    ),
    "missing": counter(
        "kvsync_missing_batches",
        "Batches that were missing inside of samples, by the sequence; what is missing between "
        "samples is not seen.",
    ),
    "restarts": counter(
        "kvsync_engine_restarts",
        "Times that a sequence began anew while its pod stayed: the engine restarted.",
    ),
}
"""By the name of their count."""

_EVENTS = counter(
    "kvsync_events",
    "KV events by type, in messages that were looked at: busy publishers are sampled.",
)
_TYPES = {
    "stored": "BlockStored",
    "removed": "BlockRemoved",
    "cleared": "AllBlocksCleared",
    "unknown": "Unknown",
}

_GAUGES = {
    "sources": gauge(
        "kvsync_sources", "Sources that are expected to publish: pods times data-parallel ranks."
    ),
    "verified": gauge(
        "kvsync_sources_verified",
        "Sources that are verified: events were seen, or the active check proved the publisher.",
    ),
    "relayed": gauge("kvsync_sources_relayed", "Sources behind a relay: one a pod."),
    "rate": gauge(
        "kvsync_batches_per_second",
        "Batches a second that the sources publish, exact by the sequence, unseen ones included.",
    ),
    "youngest": gauge(
        "kvsync_last_event_age_seconds",
        "Seconds since the last batch of any source; absent before the first.",
    ),
    "oldest": gauge(
        "kvsync_quietest_source_age_seconds",
        "Seconds since the last batch of the source that has been quiet longest, of those that "
        "ever published.",
    ),
    "lag": gauge(
        "kvsync_lag_max_seconds",
        "Largest lag of a source that publishes: seconds from a batch's own time to its receipt, "
        "by two machines' clocks; below 0 the engine's clock is ahead.",
    ),
    "mean_lag": gauge(
        "kvsync_lag_mean_seconds",
        "Mean lag of the sources that publish: seconds from a batch's own time to its receipt, by "
        "two machines' clocks.",
    ),
}
"""By the name of their field of a standing."""

_VERDICTS = gauge(
    "kvsync_source_verdicts",
    "Sources by the reason of their verdict; a reason without a source is absent.",
)


def model_lines(reading: Reading) -> Iterable[str]:
    """The families of models, line by line."""
    models = [
        (labels(namespace=name.namespace, model=name.model), counts, standing)
        for name, (counts, standing) in reading.models.items()
    ]
    for field, family in _COUNTERS.items():
        count = attrgetter(field)
        yield from family.lines((name, count(counts)) for name, counts, _ in models)
    yield from _EVENTS.lines(
        (f'{name},type="{kind}"', getattr(counts, field))
        for name, counts, _ in models
        for field, kind in _TYPES.items()
    )
    for field, family in _GAUGES.items():
        value = attrgetter(field)
        yield from family.lines((name, value(standing)) for name, _, standing in models)
    yield from _VERDICTS.lines(
        (f'{name},reason="{reason}"', number)
        for name, _, standing in models
        for reason, number in standing.reasons.items()
    )
