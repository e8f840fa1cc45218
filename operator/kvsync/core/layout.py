"""How a release writes its events: as arrays (vLLM 0.9.0 - 0.23) or as maps (since 0.24)."""

from __future__ import annotations

from kvsync.core.payload import UNREADABLE, Payload, WireLimits
from kvsync.model.events import EventLayout, WireError


def layout_of(data: bytes) -> EventLayout | None:
    """The layout of the first event in a payload; None without an event, or in other bytes."""
    payload = Payload(data, WireLimits())
    try:
        return _first_event(payload) if _enter_events(payload) else None
    except (WireError, *UNREADABLE):
        return None


def _enter_events(payload: Payload) -> bool:
    """Step to the first event; False where there is none."""
    if not payload.at_map():
        if payload.array(WireLimits().fields) < 2:
            return False
        payload.skip()
        return payload.array(WireLimits().events) > 0
    for _ in range(payload.map()):
        if payload.key() == "events":
            return payload.array(WireLimits().events) > 0
        payload.skip()
    return False


def _first_event(payload: Payload) -> EventLayout | None:
    if payload.at_map():
        return EventLayout.MAP
    return EventLayout.ARRAY if payload.at_array() else None
