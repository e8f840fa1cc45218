"""Reading and writing manifests: YAML as Kubernetes reads it, documents with their own text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from kvsync.model.errors import KvsyncError

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
LARGEST = 64 << 20
"""Bytes of one file; more than that is no manifest."""

_NEVER_FOLD = (1 << 30) - 1
"""Characters of a line, well within the C int that libyaml keeps it in."""

# '---' at the start of a line divides documents also inside of a block scalar (YAML 1.2.2, 9.1.2).
_DIVIDER = re.compile(r"^---(?=\s|$)", re.MULTILINE)


class ManifestError(KvsyncError):
    """A file cannot be read as manifests; the message names it, and the line where that is known."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document: what it holds, its own text, and ``FILE:LINE`` where it begins."""

    body: Any
    text: str
    where: str


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as Kubernetes reads it, where a date is a text."""


class Block(str):
    """A text of several lines that is written as they stand."""

    __slots__ = ()


class _Dumper(yaml.CSafeDumper):
    """No anchors: a list that stands in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never refer."""
        return True


_Dumper.add_representer(
    Block,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|"),
)

# Texts that PyYAML would write bare and go-yaml, which kubectl and Helm read with, takes for something
# else (go-yaml v2, resolve.go): "y", and what looks like a hash and is a number, as "7e10".
for _tag, _pattern, _first in (
    ("bool", r"[yYnN]", "yYnN"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "+-.0123456789"),
    ("int", r"[-+]?0o[0-7]+", "+-0"),
):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def read_manifests(sources: Iterable[str]) -> Iterator[Document]:
    """The documents of files, of all YAML and JSON files below folders, and of ``-`` (stdin).

    Raises:
        ManifestError: something is missing, unreadable or no YAML.
    """
    for source in sources:
        for path in _files(source):
            yield from _documents(_text(path), path)


def _files(source: str) -> list[str]:
    path = Path(source)
    if source == "-" or path.is_file():
        return [source]
    if not path.is_dir():
        raise ManifestError(f"{source}: no such file or folder")
    found = sorted(str(p) for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    if not found:
        raise ManifestError(f"{source}: the folder holds no .yaml, .yml or .json file")
    return found


def _text(path: str) -> str:
    try:
        data = sys.stdin.buffer.read(LARGEST + 1) if path == "-" else _bytes(path)
        if len(data) > LARGEST:
            raise ManifestError(f"{path}: more than {LARGEST >> 20} MiB: no manifest")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error


def _bytes(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(LARGEST + 1)


def _documents(text: str, path: str) -> Iterator[Document]:
    if path.endswith(".json"):
        yield Document(_json(text, path), text, f"{path}:1")
        return
    bounds = [0, *(found.start() for found in _DIVIDER.finditer(text)), len(text)]
    line = 1
    for start, end in pairwise(bounds):
        part = text[start:end]
        body = _yaml(part, path, line)
        if body is not None:
            yield Document(body, part, f"{path}:{line}")
        line += part.count("\n")


def _json(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ManifestError(f"{path}: no JSON: {error}") from error


def _yaml(text: str, path: str, line: int) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = line + mark.line if mark is not None else line
        problem = getattr(error, "problem", None) or error
        hint = " (a Helm template? render it first: helm template)" if "{{" in text else ""
        raise ManifestError(f"{path}:{at}: no YAML: {problem}{hint}") from error


def dump_manifest(body: Any) -> str:
    """One document as YAML, its keys in their order and no line folded."""
    text: str = yaml.dump(
        body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NEVER_FOLD
    )
    return text
