"""The schema of crds/kveventsync.yaml, walked and asked: what the API server would allow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kvsync.model.duration import parse_duration

CRD_FILE = Path(__file__).resolve().parents[2] / "crds" / "kveventsync.yaml"
CRD: dict[str, Any] = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8"))
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC: dict[str, Any] = SCHEMA["properties"]["spec"]
STATUS: dict[str, Any] = SCHEMA["properties"]["status"]

_MATCHES = re.compile(r"matches\(\s*r'(.*?)'\)")
_NOT_AT_END = re.compile(r"!self\.endsWith\('(.*?)'\)")
_LEAST = re.compile(r"duration\(self\) >= duration\('(\w+)'\)")
_MOST = re.compile(r"duration\(self\) <= duration\('(\w+)'\)")


@dataclass(frozen=True)
class Node:
    """One place of a schema: ``path`` is dotted, with ``[]`` for items and ``{}`` for values."""

    path: str
    schema: dict[str, Any]


def walk(schema: dict[str, Any], path: str) -> Iterator[Node]:
    """Every place below, itself first."""
    yield Node(path, schema)
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from walk(schema[key], path + mark)


def scalars() -> list[Node]:
    """Every field of spec that holds one value and has a default, outside of spec.models and lists."""
    return [
        node
        for node in walk(SPEC, "spec")
        if node.schema["type"] not in ("object", "array")
        and not node.path.startswith("spec.models")
        and not node.path.endswith("[]")
    ]


def rules(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Its CEL rules."""
    found: list[dict[str, Any]] = schema.get("x-kubernetes-validations", [])
    return found


def patterns(schema: dict[str, Any]) -> list[str]:
    """The regular expressions that its CEL rules hold a text to."""
    return [match for rule in rules(schema) for match in _MATCHES.findall(rule["rule"])]


def allows_text(schema: dict[str, Any], text: str) -> bool:
    """Whether a text field takes this text: lengths, enum, patterns, bounds of durations."""
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 10**6):
        return False
    if "enum" in schema and text not in schema["enum"]:
        return False
    # RE2's $ is the end of the text; Python's also the place before a final newline.
    if any(re.search(f"(?:{p.removesuffix('$')})\\Z", text) is None for p in patterns(schema)):
        return False
    if any(
        text.endswith(end) for rule in rules(schema) for end in _NOT_AT_END.findall(rule["rule"])
    ):
        return False
    return all(_within(rule["rule"], text) for rule in rules(schema) if "duration(" in rule["rule"])


def _within(rule: str, text: str) -> bool:
    least, most = _LEAST.search(rule), _MOST.search(rule)
    assert least is not None
    assert most is not None
    return parse_duration(least[1]) <= parse_duration(text) <= parse_duration(most[1])


def defaulted(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The object with the schema's defaults filled in, as the API server does it."""
    filled = dict(value)
    for name, child in schema.get("properties", {}).items():
        if name not in filled and "default" in child:
            filled[name] = child["default"]
        if name in filled and "properties" in child:
            filled[name] = defaulted(child, filled[name])
    return filled


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as JSON Schema that refuses unknown fields, which the API server would prune."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in schema:
        result["properties"] = {n: closed(child) for n, child in schema["properties"].items()}
        result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = closed(schema["items"])
    return result


def nest(path: str, value: Any) -> dict[str, Any]:
    """A minimal valid spec with one field, named by its path from ``spec.``, set."""
    spec: dict[str, Any] = {"models": {"names": ["m"]}}
    *parents, last = path.split(".")[1:]
    target = spec
    for name in parents:
        target = target.setdefault(name, {})
    target[last] = value
    return spec
