"""Which Kubernetes Events a new status is worth: transitions, not states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kvsync.core.assess import ModelState
from kvsync.model.decision import Announcement
from kvsync.model.source import LOSSY

ANNOUNCED = ("Ready", "EventsFlowing", "GatewayConfigured", "GatewayCompatible")
"""The conditions whose change is told."""

_BAD_STATES = frozenset({ModelState.FAILED, ModelState.DEGRADED, ModelState.REFUSED})
_NO_NEWS = frozenset({ModelState.PENDING, ModelState.ROLLING_OUT, ModelState.VERIFYING})


def announce(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Announcement, ...]:
    """The Events for what changed from one status to the next."""
    return (*_conditions(before, after), *_models(before, after))


def _conditions(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Announcement]:
    old = {c["type"]: c for c in before.get("conditions") or ()}
    found = []
    for condition in after["conditions"]:
        was = old.get(condition["type"], {}).get("status")
        kind, status = condition["type"], condition["status"]
        # A condition that was never true tells nothing by being false still.
        news = status == "True" or (was == "True" and status == "False")
        if kind in ANNOUNCED and was != status and news:
            note = f"{kind}={status}: {condition['message']}"
            found.append(Announcement(status == "False", condition["reason"], note))
    return found


def _models(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Announcement]:
    old = {entry["name"]: entry for entry in before.get("models") or ()}
    found = []
    for entry in after["models"]:
        was = old.get(entry["name"], {})
        same = (was.get("state"), was.get("reason")) == (entry["state"], entry["reason"])
        if same or entry["state"] in _NO_NEWS:
            continue
        note = f"{entry['name']}: {entry['message']}"
        bad = entry["state"] in _BAD_STATES or entry["reason"] in LOSSY
        found.append(Announcement(bad, entry["reason"], note, model=entry["name"]))
    return found
