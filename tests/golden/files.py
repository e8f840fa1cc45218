"""Golden pairs on disk: a folder each, YAML that a person can review."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]


class _Block(yaml.SafeDumper):
    """Long texts on lines of their own, no anchors: made to be read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def load(path: Path) -> Json:
    """The YAML of a file; empty where there is none."""
    if not path.exists():
        return {}
    loaded: Json = yaml.safe_load(path.read_text()) or {}
    return loaded


def check(path: Path, found: Mapping[str, Any], *, rewrite: bool) -> None:
    """Compare with the expectation, or write it where the run asks for that."""
    if rewrite:
        text = yaml.dump(dict(found), Dumper=_Block, sort_keys=False, width=1000)
        path.write_text(text)
    assert load(path) == found, f"review, and run pytest with --rewrite-golden if right: {path}"
