"""A request's verb and path, by names that are the same in each run: without random parts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.faults import EVENT, Call

_VERBS = {"POST": "CREATE", "PUT": "UPDATE", "PATCH": "PATCH", "DELETE": "DELETE"}
_RANDOM_NAMES = frozenset({"pods", "events"})
"""Kinds whose objects have names by chance."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent. ``path`` is without the query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)


def verb_of(request: Request) -> str:
    """What it does."""
    if request.method != "GET":
        return _VERBS[request.method]
    if request.query.get("watch") in ("true", "1"):
        return "WATCH"
    parts = _parts(request.path)
    if parts[-1:] == ["log"]:
        return "LOG"
    if len(parts) > 1 or not _is_collection(request.path):
        return "GET"
    return "CONTINUE" if request.query.get("continue") else "LIST"


def name_of(request: Request) -> str:
    """The kind of object and, where it is one with a name of its own, which; the subresource."""
    if not _is_collection(request.path):
        return request.path.strip("/") or "/"
    kind, *rest = _parts(request.path)
    if rest and kind in _RANDOM_NAMES:
        rest[0] = "*"
    return "/".join([kind, *rest])


def _is_collection(path: str) -> bool:
    return bool(_parts(path))


def _parts(path: str) -> list[str]:
    """Kind, name and subresource; nothing for a path that is of no object."""
    words = path.strip("/").split("/")
    if words[0] not in ("api", "apis"):
        return []
    words = words[2:] if words[0] == "api" else words[3:]
    return words[2:] if words[:1] == ["namespaces"] and len(words) > 2 else words


@dataclass(slots=True)
class CallNames:
    """Names calls as they come. ``phase`` is set by whoever tells the story."""

    phase: str = ""
    _seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def request(self, request: Request) -> Call:
        """The name of a request that comes now."""
        return self._next(verb_of(request), name_of(request))

    def event(self, path: str) -> Call:
        """The name of an event that comes now over a watch of ``path``."""
        return self._next(EVENT, path)

    def _next(self, verb: str, path: str) -> Call:
        key = (self.phase, verb, path)
        self._seen[key] += 1
        return Call(*key, self._seen[key])
