"""The metrics of KVEventSync objects: their conditions, and where their models stand."""

from __future__ import annotations

from collections.abc import Iterable

from kvsync.adapters.exposition import gauge, labels
from kvsync.model.metering import Reading

_OBJECTS = gauge("kvsync_objects", "KVEventSync objects.")
_READY = gauge("kvsync_objects_ready", "KVEventSync objects whose condition Ready is True.")
_CONDITION = gauge(
    "kvsync_condition",
    "Conditions Ready, Stalled, GatewayConfigured and GatewayCompatible of a KVEventSync object: "
    "1 True, 0 False, -1 Unknown; of the first 1,000 objects by namespace and name.",
)
_MODELS = gauge(
    "kvsync_models",
    "Models of a KVEventSync object by state (Refused, Pending, RollingOut, Verifying, Ready, Degraded, "
    "Failed; Unlisted: only counted in its status); a state without a model is absent.",
)
_WAVE = gauge(
    "kvsync_wave_models",
    "Models of a KVEventSync object that its wave has on their way (turn 'now') or that wait for "
    "their turn ('next', 50 at most).",
)
_CONTENDED = gauge(
    "kvsync_contended_workloads",
    "Models of a KVEventSync object, and its gateway, that are left to whoever keeps undoing what is "
    "written on them.",
)


def object_lines(reading: Reading) -> Iterable[str]:
    """The families of objects, line by line."""
    yield from _OBJECTS.lines([("", reading.objects)])
    yield from _READY.lines([("", reading.ready)])
    yield from _CONDITION.lines(
        (labels(namespace=c.namespace, kvsync=c.name, type=c.type, reason=c.reason), c.value)
        for c in reading.conditions
    )
    named = [
        (labels(namespace=each.namespace, kvsync=each.name), each) for each in reading.progress
    ]
    yield from _MODELS.lines(
        (f'{name},state="{state}"', number)
        for name, each in named
        for state, number in each.states.items()
    )
    yield from _WAVE.lines(
        (f'{name},turn="{turn}"', number)
        for name, each in named
        for turn, number in (("now", each.moving), ("next", each.waiting))
    )
    yield from _CONTENDED.lines((name, each.contended) for name, each in named)
