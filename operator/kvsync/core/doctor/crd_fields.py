"""Which fields of a CRD's schema another one lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_DEEPEST = 32
"""Levels that are followed: a server's answer is a stranger's too."""


def schema_of(crd: Mapping[str, Any], version: str) -> Schema:
    """The schema of a version in a CustomResourceDefinition; empty where it has none."""
    for each in crd["spec"]["versions"]:
        if each["name"] == version:
            schema: Schema = each["schema"]["openAPIV3Schema"]
            return schema
    return {}


def served_schema(openapi: Mapping[str, Any], group: str, kind: str) -> Schema | None:
    """The schema of a kind in what ``/openapi/v3/apis/GROUP/VERSION`` answers; None where it is not there."""
    components = openapi.get("components")
    schemas = components.get("schemas") if isinstance(components, Mapping) else None
    for schema in schemas.values() if isinstance(schemas, Mapping) else ():
        kinds = schema.get("x-kubernetes-group-version-kind") if isinstance(schema, Mapping) else ()
        for each in kinds or ():
            if isinstance(each, Mapping) and (each.get("group"), each.get("kind")) == (group, kind):
                found: Schema = schema
                return found
    return None


def fields_of(schema: Schema, depth: int = 0, path: str = "") -> Iterator[str]:
    """The paths of all fields that a schema names, without those of metadata."""
    if depth > _DEEPEST:
        return
    properties = schema.get("properties")
    for name, each in sorted(properties.items()) if isinstance(properties, Mapping) else ():
        if not path and name in ("apiVersion", "kind", "metadata"):
            continue
        own = f"{path}.{name}" if path else str(name)
        yield own
        if isinstance(each, Mapping):
            yield from fields_of(each, depth + 1, own)
    items = schema.get("items")
    if isinstance(items, Mapping):
        yield from fields_of(items, depth + 1, f"{path}[]")


def missing_fields(wanted: Schema, served: Schema) -> tuple[str, ...]:
    """Fields that ``served`` lacks, without those below another one that it lacks."""
    there = set(fields_of(served))
    lacking = [path for path in fields_of(wanted) if path not in there]
    return tuple(
        path for path in lacking if not any(path.startswith((f"{o}.", f"{o}[]")) for o in lacking)
    )
