"""What was counted for each model, kept while its pods come, go and begin anew."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import add, gt, sub

from kvsync.model.metering import OTHERS, Counts, ModelName, Seen
from kvsync.model.source import Observation, SourceKey, Target

MOST_MODELS = 1000
"""Models with figures of their own; what is beyond is added up as ``OTHERS``."""

KEPT = 600.0
"""Seconds that a model's counts outlive its last source: a rollout may leave none for a while."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,319}")
"""Of what Kubernetes lets be a namespace's, a Deployment's or (with a prefix) a StormService's name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one source had counted when it was last looked at, since it began to be watched."""

    since: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class Account:
    """What all sources of a model have counted, those that ended included."""

    counts: Counts
    seen_at: float
    """When it last had a source."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The counts so far: of models, and of each living source up to the last look."""

    accounts: Mapping[ModelName, Account] = field(default_factory=dict)
    entries: Mapping[SourceKey, Entry] = field(default_factory=dict)

    def place(self, target: Target) -> ModelName:
        """The model to which a source of the last look was added."""
        return _place(target, self.accounts)


def post(ledger: Ledger, seen: Iterable[Seen], now: float) -> Ledger:
    """Add what the sources have counted since the last look; a model's counts never fall.

    A source that begins anew (its engine's pod, or the process that watches it) counts from zero
    and is added whole. One that is gone is forgotten; what it had counted stays with its model.
    """
    seen = tuple(seen)
    named = {(target.key.namespace, target.model) for target, _, _ in seen}
    accounts = _opened(ledger.accounts, {_name(*each) for each in named}, now)
    entries: dict[SourceKey, Entry] = {}
    for target, observation, _ in seen:
        before = ledger.entries.get(target.key)
        if observation is None:
            # Nothing was told this time: what it had counted must not be added again.
            if before is not None:
                entries[target.key] = before
            continue
        entry = entries[target.key] = Entry(observation.since, counts_of(observation))
        if before != entry:
            name = _place(target, accounts)
            counts = Counts(*map(add, accounts[name].counts, _gain(before, entry)))
            accounts[name] = Account(counts, now)
    return Ledger(accounts, entries)


def counts_of(seen: Observation) -> Counts:
    """The counts in an observation."""
    events = seen.events
    return Counts(
        seen.messages,
        seen.octets,
        events.stored,
        events.removed,
        events.cleared,
        events.unknown,
        seen.missing,
        seen.undecoded,
        seen.restarts,
    )


def _gain(before: Entry | None, entry: Entry) -> Counts:
    if before is None or before.since != entry.since or any(map(gt, before.counts, entry.counts)):
        return entry.counts
    return Counts(*map(sub, entry.counts, before.counts))


def _place(target: Target, accounts: Mapping[ModelName, Account]) -> ModelName:
    name = ModelName(target.key.namespace, target.model)
    return name if name in accounts else OTHERS


def _name(namespace: str, model: str) -> ModelName:
    known = _NAME.fullmatch(namespace) and _NAME.fullmatch(model)
    return ModelName(namespace, model) if known else OTHERS


def _opened(
    before: Mapping[ModelName, Account], present: set[ModelName], now: float
) -> dict[ModelName, Account]:
    """The accounts to add to: of models with sources, and, while there is room, of those without."""
    accounts = {
        name: Account(account.counts, now if name in present else account.seen_at)
        for name, account in before.items()
        if name in present or now - account.seen_at <= KEPT
    }
    new = sorted(present - accounts.keys() - {OTHERS})
    _make_room(accounts, present, len(new))
    room = MOST_MODELS - len(accounts.keys() - {OTHERS})
    accounts |= {name: Account(Counts(), now) for name in new[:room]}
    if OTHERS in present or len(new) > room:
        others = before.get(OTHERS)
        accounts[OTHERS] = Account(others.counts if others else Counts(), now)
    return accounts


def _make_room(accounts: dict[ModelName, Account], present: set[ModelName], wanted: int) -> None:
    """Close accounts without a source, the oldest first, as far as others need their places."""
    over = len(accounts.keys() - {OTHERS}) + wanted - MOST_MODELS
    if over > 0:
        absent = accounts.keys() - present - {OTHERS}
        for name in sorted(absent, key=lambda each: accounts[each].seen_at)[:over]:
            del accounts[name]
