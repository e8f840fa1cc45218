"""How the sources of each model, and the objects, stand at one moment: what gauges show."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kvsync.core.assess import ModelState
from kvsync.model.metering import ConditionReading, ModelName, ModelsReading, Seen, Standing
from kvsync.model.observed import KVEventSync
from kvsync.model.reasons import ModelReason
from kvsync.model.source import Observation, SourceReason, Target, Verdict

MOST_OBJECTS = 1000
"""Objects whose conditions are shown; all are counted."""

SHOWN = ("Ready", "Stalled", "GatewayConfigured", "GatewayCompatible")
"""The conditions that are shown."""

RECENT = 60.0
"""Seconds after its last batch in which a source's rate and lag count; before it is idle."""

SANE = 1e9
"""The largest rate and lag (30 years) that is believed: both are made of what a publisher says."""

UNLISTED = "Unlisted"
"""The state of models that the status only counts: it lists 50, those that matter most first."""

_CONTENDED = ModelReason.CONTENDED.value
"""Of a model, and by the same word of the gateway (``ConditionReason.CONTENDED``)."""

_VALUES = {"True": 1, "False": 0}
_STATES = frozenset(ModelState)
_REASON = re.compile(r"[A-Za-z]{1,64}")


def census(
    seen: Iterable[Seen], place: Callable[[Target], ModelName], now: float
) -> dict[ModelName, Standing]:
    """The standing of each model that has a source. ``now`` is of the observations' clock."""
    heads: defaultdict[ModelName, _Heads] = defaultdict(_Heads)
    for target, observation, verdict in seen:
        heads[place(target)].count(target, observation, verdict, now)
    return {name: each.standing() for name, each in heads.items()}


def conditions_of(objects: Iterable[KVEventSync]) -> tuple[ConditionReading, ...]:
    """The conditions of the first thousand objects, by namespace and name."""
    return tuple(
        ConditionReading(each.namespace, each.name, kind, reason, value)
        for each in _first(objects)
        for kind, reason, value in _shown(each)
    )


def progress_of(objects: Iterable[KVEventSync]) -> tuple[ModelsReading, ...]:
    """Where the models of the first thousand objects stand, by namespace and name."""
    return tuple(map(_progress, _first(objects)))


def _first(objects: Iterable[KVEventSync]) -> list[KVEventSync]:
    return sorted(objects, key=lambda each: (each.namespace, each.name))[:MOST_OBJECTS]


def _progress(sync: KVEventSync) -> ModelsReading:
    status = sync.status
    models, wave = status.get("models") or (), status.get("wave") or {}
    reasons = [each.get("reason") for each in models]
    reasons += [reason for kind, reason, _ in _shown(sync) if kind == "GatewayConfigured"]
    return ModelsReading(
        sync.namespace,
        sync.name,
        _states(status),
        moving=len(wave.get("current") or ()),
        waiting=len(wave.get("next") or ()),
        contended=reasons.count(_CONTENDED),
    )


def _states(status: Mapping[str, Any]) -> Mapping[str, int]:
    """Models by state. Of those that are not listed it is known how many are ready."""
    listed = status.get("models") or ()
    states = Counter(each["state"] for each in listed if each.get("state") in _STATES)
    unlisted = max(0, status.get("modelsTotal", 0) - len(listed))
    ready = min(unlisted, max(0, status.get("modelsReady", 0) - states[ModelState.READY]))
    states[ModelState.READY] += ready
    states[UNLISTED] += unlisted - ready
    return {str(state): number for state, number in states.items() if number}


def ready_of(objects: Iterable[KVEventSync]) -> int:
    """How many objects have the condition Ready=True."""
    return sum(
        kind == "Ready" and value == 1 for each in objects for kind, _, value in _shown(each)
    )


def _shown(sync: KVEventSync) -> Iterable[tuple[str, str, int]]:
    by_type: dict[object, Mapping[str, object]] = {
        each.get("type"): each for each in sync.status.get("conditions") or ()
    }
    for kind in SHOWN:
        if kind in by_type:
            reason = str(by_type[kind].get("reason", ""))
            value = _VALUES.get(str(by_type[kind].get("status")), -1)
            yield kind, reason if _REASON.fullmatch(reason) else "", value


class _Heads:
    """Adds up the sources of one model."""

    def __init__(self) -> None:
        self._sources = 0
        self._verified = 0
        self._relayed = 0
        self._reasons: Counter[SourceReason] = Counter()
        self._rate = 0.0
        self._ages: list[float] = []
        self._lags: list[float] = []

    def count(self, target: Target, seen: Observation | None, verdict: Verdict, now: float) -> None:
        self._sources += 1
        self._relayed += target.relay_port > 0
        self._verified += verdict.verified
        self._reasons[verdict.reason] += 1
        if seen is None or seen.last_batch_at is None:
            return
        age = max(0.0, now - seen.last_batch_at)
        self._ages.append(age)
        if age <= RECENT and seen.failure is None:
            if seen.rate is not None and 0 <= seen.rate <= SANE:
                self._rate += seen.rate
            if seen.lag is not None and abs(seen.lag) <= SANE:
                self._lags.append(seen.lag)

    def standing(self) -> Standing:
        return Standing(
            sources=self._sources,
            verified=self._verified,
            relayed=self._relayed,
            reasons=dict(self._reasons),
            rate=self._rate,
            youngest=min(self._ages, default=None),
            oldest=max(self._ages, default=None),
            lag=max(self._lags, default=None),
            mean_lag=sum(self._lags) / len(self._lags) if self._lags else None,
        )
