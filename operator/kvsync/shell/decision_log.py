"""What was decided about an object, as lines of the log: one for each action and each condition that became
another, none for a pass that changed nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kvsync.adapters.log_lines import about
from kvsync.model.decision import Action
from kvsync.model.observed import KVEventSync

log = logging.getLogger(__name__)

Condition = Mapping[str, Any]


def log_action(sync: KVEventSync, action: Action) -> None:
    """Say what was carried out, on what, and why."""
    log.log(
        logging.WARNING if action.warning else logging.INFO,
        "%s %s/%s: %s",
        action.kind,
        action.namespace,
        action.name,
        ": ".join(word for word in (action.reason, action.note) if word),
        extra=about(sync.namespace, sync.name),
    )


def log_refused(sync: KVEventSync, action: Action, error: Exception) -> None:
    """Say that the API server refuses an eviction for now: it is no failure."""
    log.info(
        "%s %s/%s is not evicted yet: %s",
        action.kind,
        action.namespace,
        action.name,
        error,
        extra=about(sync.namespace, sync.name),
    )


def log_status(sync: KVEventSync, status: Mapping[str, Any]) -> None:
    """Say which conditions became another; ``sync`` still has the status that was there before."""
    for condition in changed(_conditions(sync.status), _conditions(status)):
        stalled = (condition.get("type"), condition.get("status")) == ("Stalled", "True")
        log.log(
            logging.WARNING if stalled else logging.INFO,
            "%s is %s (%s): %s",
            *(condition.get(part) for part in ("type", "status", "reason", "message")),
            extra=about(sync.namespace, sync.name),
        )


def changed(before: Iterable[Condition], after: Iterable[Condition]) -> Iterator[Condition]:
    """The conditions with another status or reason; of Ready, which sums up, another message counts too:
    it tells how far a wave is."""
    known = {each.get("type"): _said(each) for each in before}
    return (each for each in after if known.get(each.get("type")) != _said(each))


def _said(condition: Condition) -> tuple[object, ...]:
    parts = (
        ("status", "reason", "message")
        if condition.get("type") == "Ready"
        else ("status", "reason")
    )
    return tuple(condition.get(part) for part in parts)


def _conditions(status: Mapping[str, Any] | None) -> list[Condition]:
    found = (status or {}).get("conditions")
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
