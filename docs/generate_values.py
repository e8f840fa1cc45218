"""Write docs/values.md from the chart's values.yaml and its schema: `make generate`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from markdown_table import cell

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "kvsync-operator"
PAGE = ROOT / "docs" / "values.md"

_INTRODUCTION = """\
<!-- Written by docs/generate_values.py from the chart's values and their schema: `make generate`. -->
# Values of the chart

Each value with its default and what is allowed; anything else is refused by its name. A group's own
line says what holds for all of it. [How to install](install.md).

| value | default | what it is |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    text = (CHART / "values.yaml").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return _INTRODUCTION + "".join(_rows(root, schema, schema, text.splitlines()))


def _rows(
    node: yaml.MappingNode,
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    lines: list[str],
    path: str = "",
) -> Iterator[str]:
    for key, value in node.value:
        place = f"{path}.{key.value}".lstrip(".")
        found = _resolved(schema["properties"][key.value], root)
        said = _comment(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and "properties" in found and _is_group(found):
            if said:
                yield f"| **{place}** | | {cell(said)} |\n"
            yield from _rows(value, found, root, lines, place)
        else:
            default = json.dumps(yaml.safe_load(yaml.serialize(value)), ensure_ascii=False)
            parts = [said, _allowed(found)]
            yield f"| `{place}` | `{cell(default)}` | {cell(' '.join(p for p in parts if p))} |\n"


def _is_group(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is False


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    named: Mapping[str, Any] = (
        root["definitions"][reference.rpartition("/")[2]] if reference else schema
    )
    return named


def _comment(lines: list[str], line: int) -> str:
    """The comment right above a line."""
    said: list[str] = []
    while line and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        said.insert(0, lines[line].lstrip().removeprefix("#").strip())
    return " ".join(said)


def _allowed(schema: Mapping[str, Any]) -> str:
    """What the schema takes, where that is more than a type."""
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}."
    if "minimum" in schema:
        return f"At least {schema['minimum']}."
    if "enum" in schema and "description" not in schema:
        return f"One of {', '.join(map(str, schema['enum']))}."
    return str(schema.get("description", ""))


if __name__ == "__main__":
    PAGE.write_text(page())
