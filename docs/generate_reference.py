"""Write docs/reference.md from crds/kveventsync.yaml and the reasons in the code: `make generate`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from markdown_table import table

from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.source import SourceReason

ROOT = Path(__file__).resolve().parents[1]
CRD_FILE = ROOT / "crds" / "kveventsync.yaml"
REFERENCE = ROOT / "docs" / "reference.md"

Schema = dict[str, Any]

_SIZES = (("maxLength", "characters"), ("maxItems", "entries"), ("maxProperties", "entries"))

_INTRODUCTION = """\
<!-- Written by docs/generate_reference.py from crds/kveventsync.yaml: `make generate`. -->
# KVEventSync, field by field

`{group}/{version}`, kind `{kind}`, short name `{short}`. {scope} Needs Kubernetes 1.29 or later.
{description}

The API server refuses unknown fields (kubectl asks for it by default) and bad values, and names the
field. Durations are hours, minutes and seconds, such as `30m` or `1h30m`.

The shortest one that works:

```yaml
{shortest}```

The same, with every default written out:

```yaml
{full}```
"""


def reference(crd: dict[str, Any]) -> str:
    """The page for this CRD, as Markdown."""
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [
        _introduction(crd, version["name"], schema),
        "## Spec\n",
        *_objects("spec", schema["properties"]["spec"]),
        _rules_of_the_whole(schema),
        "## Columns of kubectl get\n",
        table(("Column", "What it shows"), _columns(version)),
        "## Status\n",
        *_objects("status", schema["properties"]["status"]),
        "## Reasons\n\nEach links to what to do about it.\n",
        _reasons("Of models (`status.models[].reason`)", ModelReason),
        _reasons("Of sources, in messages and metrics", SourceReason),
        _reasons("Of conditions, beside those above", ConditionReason),
    ]
    return "\n".join(parts)


def _introduction(crd: dict[str, Any], version: str, schema: Schema) -> str:
    names, group = crd["spec"]["names"], crd["spec"]["group"]
    head = {"apiVersion": f"{group}/{version}", "kind": names["kind"]}
    head["metadata"] = {"name": "my-model"}
    spec = {"models": {"names": ["my-model"]}}
    full = _defaulted(schema["properties"]["spec"], spec)
    return _INTRODUCTION.format(
        group=group,
        version=version,
        kind=names["kind"],
        short=names["shortNames"][0],
        scope=f"{crd['spec']['scope']}.",
        description=schema["description"],
        shortest=yaml.safe_dump({**head, "spec": spec}, sort_keys=False),
        full=yaml.safe_dump({**head, "spec": full}, sort_keys=False),
    )


def _defaulted(schema: Schema, value: dict[str, Any]) -> dict[str, Any]:
    """The object with the schema's defaults, in the schema's order."""
    filled = {}
    for name, child in schema["properties"].items():
        if name in value or "default" in child:
            given = value.get(name, child.get("default"))
            filled[name] = _defaulted(child, given) if "properties" in child else given
    return filled


def _objects(path: str, schema: Schema) -> Iterator[str]:
    """One section for this object and for each below it."""
    rules = schema.get("x-kubernetes-validations", [])
    rows = (
        (
            f"`{name}`" + (" (required)" if name in schema.get("required", []) else ""),
            _type(child),
            _default(child),
            _limits(child, [r for r in rules if r.get("fieldPath") == f".{name}"]),
            child["description"],
        )
        for name, child in schema["properties"].items()
    )
    yield f"### {path}\n\n{schema['description']}\n"
    yield table(("Field", "Type", "Default", "Limits", "Meaning"), rows)
    for name, child in schema["properties"].items():
        inner = child.get("items", child)
        if "properties" in inner:
            yield from _objects(f"{path}.{name}{'[]' if 'items' in child else ''}", inner)


def _type(schema: Schema) -> str:
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    if schema.get("format") == "date-time":
        return "time"
    return "text" if schema["type"] == "string" else str(schema["type"])


def _default(schema: Schema) -> str:
    if "default" not in schema or schema["default"] == {}:
        return ""
    return f"`{json.dumps(schema['default'])}`"


def _limits(schema: Schema, rules_above: Iterable[dict[str, str]] = ()) -> str:
    """Choices, bounds and rules, in words."""
    rules = [r for r in schema.get("x-kubernetes-validations", []) if "fieldPath" not in r]
    said = [_in_a_list(rule["message"]) for rule in (*rules, *rules_above)]
    found = [*_bounds(schema, "; ".join(said)), *said]
    inner = schema.get("items", schema.get("additionalProperties"))
    if inner is not None and "properties" not in inner:
        found.append(f"each: {_limits(inner)}")
    return "; ".join(found)


def _bounds(schema: Schema, said: str) -> Iterator[str]:
    """What no rule has said already."""
    if "enum" in schema:
        only = "only " if len(schema["enum"]) == 1 else ""
        yield only + ", ".join(f"`{value}`" for value in schema["enum"])
    if "maximum" in schema:
        yield f"{schema['minimum']} to {schema['maximum']}"
    elif "minimum" in schema:
        yield f"at least {schema['minimum']}"
    for key, word in _SIZES:
        if key in schema and f"at most {schema[key]} " not in said:
            yield f"at most {schema[key]} {word}"


def _in_a_list(message: str) -> str:
    return message if message.startswith(("must", "each")) else f"refused where it {message}"


def _rules_of_the_whole(schema: Schema) -> str:
    rules = [f"- {rule['message']}" for rule in schema.get("x-kubernetes-validations", [])]
    return "### The whole object\n\n" + "\n".join(rules) + "\n"


def _columns(version: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for column in version["additionalPrinterColumns"]:
        yield column["name"], column["description"]


def _reasons(title: str, kind: Iterable[str]) -> str:
    links = ", ".join(f"[{reason}](runbook.md#{reason.lower()})" for reason in kind)
    return f"**{title}:** {links}.\n"


if __name__ == "__main__":
    crd: dict[str, Any] = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8"))
    REFERENCE.write_text(reference(crd), encoding="utf-8")
