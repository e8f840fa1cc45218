"""`Shape`: which fields of an API server's objects are read; all others are skipped, not even made."""

from __future__ import annotations

from typing import Any, Generic, TypedDict, TypeVar, cast

import msgspec

from kvsync.adapters.kube.answer import Json, parse

Item = TypeVar("Item")


class _Page(TypedDict, Generic[Item], total=False):
    metadata: dict[str, Any] | None
    items: list[Item] | None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_OBJECTS = frozenset({"ADDED", "MODIFIED", "DELETED"})
"""The events whose object is one of the kind that is watched (Kubernetes ``pkg/watch``)."""

_EVENTS = msgspec.json.Decoder(_Event)


class Shape:
    """Reads pages of lists and events of watches.

    ``fields`` is a TypedDict, with others for what is nested; without it objects are read whole. Of a
    pod nine tenths are decided by nobody: to make them, only to throw them away, is most of what
    a list costs in time and memory.

    An object that does not fit, as one with a text in place of a list, is no reason to see none: then all
    that came with it is read whole, and whoever uses it judges each one.
    """

    def __init__(self, fields: object = dict[str, Any]) -> None:
        self._pages = msgspec.json.Decoder(cast(Any, _Page)[fields])
        self._items: msgspec.json.Decoder[Json] = msgspec.json.Decoder(cast(Any, fields))

    def page(self, body: bytes, doing: str) -> Json:
        """A page of a list. ``doing`` names the request in messages.

        Raises:
            ServerError: it is no JSON object.
        """
        try:
            return cast(Json, self._pages.decode(body))
        except msgspec.DecodeError:
            return parse(body, doing)

    def event(self, line: bytes, doing: str) -> Json:
        """An event of a watch; a bookmark, or an error's status, is whole.

        Raises:
            ServerError: it is no JSON object.
        """
        try:
            event = _EVENTS.decode(line)
            if event.type in _OBJECTS:
                return {"type": event.type, "object": self._items.decode(event.object)}
        except msgspec.DecodeError:
            pass
        return parse(line, doing)


WHOLE = Shape()
"""Objects with all their fields."""
