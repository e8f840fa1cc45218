"""Which URL belongs to which kind: the API server's discovery, asked once and again when needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One kind: ``base`` is ``/api/v1`` or ``/apis/GROUP/VERSION``."""

    base: str
    group: str
    kind: str
    plural: str
    namespaced: bool
    names: frozenset[str]


class Resources:
    """The kinds an API server knows."""

    def __init__(self, request: Callable[[str, str], Any]) -> None:
        self._request = request
        self._known: list[Resource] = []

    def of(self, api_version: str, kind: str) -> Resource:
        """The resource of a manifest's apiVersion and kind."""
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        return self._lookup(
            lambda known: known.base == base and known.kind == kind, f"{kind} of {api_version}"
        )

    def find(self, name: str) -> Resource:
        """The resource of a name as kubectl takes it: plural, singular, short, Kind, ``x.group``."""
        word, _, group = name.lower().partition(".")
        return self._lookup(
            lambda known: word in known.names and (not group or known.group == group), name
        )

    def _lookup(self, matches: Callable[[Resource], bool], name: str) -> Resource:
        for known in (self._known, self._refresh):
            for resource in known() if callable(known) else known:
                if matches(resource):
                    return resource
        raise LookupError(f"the API server knows no {name}; is its CRD applied and established?")

    def _refresh(self) -> list[Resource]:
        found = self._read("/api/v1", "")
        for group in self._request("GET", "/apis")["groups"]:
            for version in group["versions"]:
                found += self._read(f"/apis/{version['groupVersion']}", group["name"])
        self._known = found
        return found

    def _read(self, base: str, group: str) -> list[Resource]:
        return [
            _resource(base, group, entry)
            for entry in self._request("GET", base)["resources"]
            if "/" not in entry["name"]
        ]


def _resource(base: str, group: str, entry: dict[str, Any]) -> Resource:
    names = {entry["name"], entry.get("singularName", ""), entry["kind"].lower()}
    names.update(entry.get("shortNames", []))
    return Resource(
        base=base,
        group=group,
        kind=entry["kind"],
        plural=entry["name"],
        namespaced=entry["namespaced"],
        names=frozenset(names - {""}),
    )
