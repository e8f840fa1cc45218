"""What pods get at admission, as ``status.injections`` says it: published first, and then asked for.

An entry stands as long as anything may make a pod that names it: while its token is in a pod template,
and while a pod with it lives, for its ReplicaSet may make that pod again. It is made of the record on the
workload, so that a status that was lost comes back as it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kvsync.core.actions import owned_by
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.delivery import injection_of, stands
from kvsync.core.recognise import is_record_lost
from kvsync.core.revert import record_of
from kvsync.model.injection import (
    INJECTION_ANNOTATION,
    MAX_INJECTIONS,
    Injection,
    read_injections,
)
from kvsync.model.observed import Observed, ObservedModel
from kvsync.model.reasons import ModelReason
from kvsync.model.record import OWNER_ANNOTATION
from kvsync.model.storm import StormService

LEAD = 2.0
"""Seconds from publishing an entry to asking for it. An API server knows a new status after 10 to 60 ms
(measured); there may be several, under load."""

AT_ONCE = 0.1
"""Seconds until what waits for nothing but a written status is looked at again."""

MAX_SIZE = 600_000
"""Characters of all entries together: an object of the API has room for 1.5 MB."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Publication:
    """The entries that the status shall have.

    ``lost``: one that pods need is not in it, so that nothing else is done before it is written.
    """

    injections: tuple[Injection, ...]
    published: Mapping[Key, Injection]
    """Those that it has."""
    lost: bool = False

    def entries(self) -> list[dict[str, Any]]:
        """``status.injections``."""
        return [each.entry() for each in self.injections]


@dataclass(frozen=True, slots=True)
class Moves:
    """What one pass does to models, by name: whose template is ``changed``, of which a pod is ``evicted``.

    ``wait``: seconds until the next one whose turn it is may be changed; None: none waits.
    """

    publication: Publication
    changed: frozenset[str] = frozenset()
    evicted: frozenset[str] = frozenset()
    wait: float | None = None


def publication_of(
    observed: Observed, planned: Mapping[str, Injection] | None = None
) -> Publication:
    """The entries for an object's models; ``planned`` are those of models whose turn it is, by name."""
    told = {each.key: each for each in read_injections(observed.sync.status.get("injections"))}
    needed = {each.key: each for each in _needed(observed)}
    new = {each.key: each for each in (planned or {}).values()}
    left = {each.key: each for each in _left(observed, told)}
    wanted = {**left, **new, **needed}
    # Those that pods need come first; what is beyond the bounds is held back in ``within_bounds``.
    kept = [*needed, *(key for key in new if key not in needed)]
    kept += [key for key in left if key not in kept]
    entries = [_since(wanted[key], told, observed.now) for key in kept[:MAX_INJECTIONS]]
    return Publication(
        tuple(sorted(entries, key=lambda each: each.key)),
        told,
        lost=any(not _is_told(each, told) for each in needed.values()),
    )


def _needed(observed: Observed) -> Iterator[Injection]:
    """The entries that records tell of, as far as any pod may ask for them."""
    for model in observed.models:
        workload = model.deployment
        if workload is None or not owned_by(workload, observed.sync) or is_record_lost(workload):
            continue
        if isinstance(workload, StormService):
            continue
        record = record_of(workload)
        entry = injection_of(workload.name, record)
        if record is None or entry is None:
            continue
        if stands(workload, record) or _is_carried(entry, model):
            yield entry


def _left(observed: Observed, told: Mapping[Key, Injection]) -> Iterator[Injection]:
    """The entries of the status whose pods live, though their workload asks for others by now."""
    models = {model.name: model for model in observed.models}
    for entry in told.values():
        model = models.get(entry.workload)
        if model is None or model.deployment is None or not _is_carried(entry, model):
            continue
        marked = OWNER_ANNOTATION in model.deployment.annotations
        if not marked or owned_by(model.deployment, observed.sync):
            yield entry


def _is_carried(entry: Injection, model: ObservedModel) -> bool:
    """Whether a pod names an entry that its ReplicaSet would make again."""
    return any(
        pod.annotations.get(INJECTION_ANNOTATION) == entry.token
        for pod in model.pods
        if not pod.ended
    )


def _since(entry: Injection, told: Mapping[Key, Injection], now: float) -> Injection:
    before, latest = told.get(entry.key), math.ceil(now)
    kept = before.since if before is not None and _is_told(entry, told) else latest
    # A clock that was set back must not hold a model until it has caught up.
    return replace(entry, since=min(kept, latest))


def _is_told(entry: Injection, told: Mapping[Key, Injection]) -> bool:
    """Whether the status has an entry, to the letter: somebody may have edited it."""
    before = told.get(entry.key)
    return before is not None and replace(before, since=0) == replace(entry, since=0)


def wait_for(view: ModelView, publication: Publication, now: float) -> float | None:
    """Seconds until a model whose turn it is may be changed; None: at once.

    A pod that is made before the API servers know its entry would get nothing.
    """
    entry = _entry_of(view)
    if entry is None:
        return None
    if not _is_told(entry, publication.published):
        return LEAD
    due = publication.published[entry.key].since + LEAD
    return min(due - now, LEAD) if due > now else None


def within_bounds(observed: Observed, views: Sequence[ModelView]) -> tuple[ModelView, ...]:
    """The views, with those models held back for which the status has no room."""
    needed = {each.key: each for each in _needed(observed)}
    waiting = [_entry_of(view) for view in views if view.state is ModelState.PENDING]
    if all(entry is None or entry.key in needed for entry in waiting):
        return tuple(views)  # nothing new: as in nearly every pass
    taken = {key: _size(each) for key, each in needed.items()}
    kept = []
    for view in views:
        entry = _entry_of(view)
        new = view.state is ModelState.PENDING and entry is not None and entry.key not in taken
        if entry is None or not new:
            kept.append(view)
            continue
        size = _size(entry)
        if len(taken) >= MAX_INJECTIONS or sum(taken.values()) + size > MAX_SIZE:
            kept.append(_held_back(view, len(taken)))
            continue
        taken[entry.key] = size
        kept.append(view)
    return tuple(kept)


def _entry_of(view: ModelView) -> Injection | None:
    return view.plan.injection if view.plan is not None else None


def _size(entry: Injection) -> int:
    return len(json.dumps(entry.entry()))


def _held_back(view: ModelView, entries: int) -> ModelView:
    message = (
        f"status.injections of this KVEventSync has no room for it beside {entries} other models "
        f"(at most {MAX_INJECTIONS}, and {MAX_SIZE} characters). Use a second KVEventSync for some of "
        "the models."
    )
    return replace(
        view, state=ModelState.REFUSED, reason=ModelReason.INJECTIONS_FULL, message=message
    )
