"""The relay's metrics in Prometheus' text format. docs/relay.md lists every one of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from kvsync.adapters.exposition import Family, Labels, counter, gauge, labels
from kvsync.adapters.memory import resident
from kvsync.core.relay.relay import Relay

_STARTED = time.time()

Sample = tuple[Labels, float | None]

_IN = {
    "batches": counter("kvsync_relay_batches_in", "Messages that a rank of the engine published."),
    "events": counter("kvsync_relay_events_in", "Events in the messages that were taken."),
    "gaps": counter(
        "kvsync_relay_missed", "Messages of the engine that did not come when it was their turn."
    ),
    "replayed": counter("kvsync_relay_replayed", "Messages that the engine's replay socket gave."),
    "restarts": counter(
        "kvsync_relay_engine_restarts", "Times that the engine's sequence began again."
    ),
    "forgotten": counter(
        "kvsync_relay_forgotten",
        "Times that all a rank holds was forgotten: a restart, its end, a loss that nothing repaired.",
    ),
    "unreadable": counter("kvsync_relay_unreadable", "Messages that are not what an engine sends."),
}
_LEFT_OUT = counter(
    "kvsync_relay_left_out",
    "Blocks and events that are not passed on, by the reason (docs/decisions/0007-the-relay.md).",
)
_STORED = counter("kvsync_relay_stored", "Blocks told as they came.")
_REMOVED = counter("kvsync_relay_removed", "Removals told, one a block.")
_AGAIN = counter("kvsync_relay_reannounced", "Blocks told again.")
_DROPPED = counter("kvsync_relay_dropped", "Blocks dropped because the table was full.")
_MESSAGES = counter("kvsync_relay_messages_out", "Messages published.")
_LOST = counter("kvsync_relay_messages_lost", "Messages that a subscriber was too slow for.")
_READERS = counter(
    "kvsync_relay_readers", "Subscriptions that asked for events and were told everything."
)
_ANSWERED = counter("kvsync_relay_replays_answered", "Replay requests answered to the end.")
_REFUSED = counter(
    "kvsync_relay_replays_refused", "Messages to the replay socket that were no request."
)
_UNWRITTEN = counter(
    "kvsync_relay_journal_failures", "Times that the journal could not be written."
)
_CPU = counter("process_cpu_seconds", "CPU seconds of this process.")

_BLOCKS = gauge("kvsync_relay_blocks", "Blocks that are resident.")
_BYTES = gauge("kvsync_relay_table_bytes", "Bytes that the table of blocks takes, about.")
_LIMIT = gauge("kvsync_relay_blocks_limit", "Blocks that the table holds at most.")
_WAITING = gauge("kvsync_relay_waiting", "Blocks not told because one before them is not resident.")
_LEFT = gauge("kvsync_relay_pass_left", "Blocks that the pass under way has still to look at.")
_SUBSCRIPTIONS = gauge("kvsync_relay_subscriptions", "Subscriptions that stand.")
_THERE = gauge(
    "kvsync_relay_engine_connected", "1 where the engine's publisher is connected, else 0."
)
_HELD = gauge("kvsync_relay_held", "Messages of a rank that wait for a replay.")
_LAG = gauge(
    "kvsync_relay_lag_seconds",
    "From the engine's own time of its last message to when it was taken; with its clock's difference.",
)
_BUDGET = gauge("kvsync_relay_budget", "Events a second, at most, of all that is told again.")
_START = gauge(
    "process_start_time_seconds", "Start time of this process since the epoch, in seconds."
)
_INHERITED = gauge(
    "kvsync_relay_inherited",
    "Blocks that the relay before this one told, of which only the hash is known.",
)
_MEMORY = gauge("process_resident_memory_bytes", "Bytes of memory that this process holds.")


def metrics_text(relay: Relay, there: Sequence[bool], lag: float | None) -> bytes:
    """The exposition. ``there`` tells for each rank whether it is connected, ``lag`` is in seconds."""
    lines = [
        line for family, samples in _families(relay, there, lag) for line in family.lines(samples)
    ]
    return "\n".join((*lines, "")).encode()


def _families(
    relay: Relay, there: Sequence[bool], lag: float | None
) -> Iterable[tuple[Family, Iterable[Sample]]]:
    counts, table = relay.counts, relay.residency
    for name, family in _IN.items():
        yield family, _by_rank(getattr(each, name) for each in counts.ranks)
    left_out = asdict(counts.left_out)
    yield _LEFT_OUT, [(labels(reason=reason), count) for reason, count in left_out.items()]
    single: dict[Family, Any] = {
        _STORED: table.stored,
        _REMOVED: table.removed,
        _AGAIN: relay.announcer.announced,
        _DROPPED: table.dropped,
        _MESSAGES: counts.messages,
        _LOST: counts.lost,
        _READERS: counts.subscribers,
        _ANSWERED: relay.replays.answered,
        _REFUSED: relay.replays.refused,
        _UNWRITTEN: counts.unwritten,
        _CPU: time.process_time(),
        _BLOCKS: len(table),
        _BYTES: table.octets,
        _LIMIT: table.limit,
        _WAITING: table.waiting,
        _LEFT: relay.announcer.left,
        _SUBSCRIPTIONS: relay.subscriptions.standing,
        _LAG: lag,
        _BUDGET: relay.announcer.budget,
        _START: _STARTED,
        _INHERITED: len(table.inherited),
        _MEMORY: resident(),
    }
    yield from ((family, [("", value)]) for family, value in single.items())
    yield _THERE, _by_rank(map(int, there))
    yield _HELD, _by_rank(intake.held for intake in relay.intakes)


def _by_rank(values: Iterable[float]) -> list[Sample]:
    return [(labels(rank=str(rank)), value) for rank, value in enumerate(values)]
