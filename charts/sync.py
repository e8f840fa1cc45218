"""Brings what the chart shares with other files up to date: the CRD, and the ClusterRole's rules.

Each has one source: ``crds/kveventsync.yaml`` and ``docs/samples/install/operator.yaml``. ``make chart``
runs this; tests/chart keeps that it was run.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "charts" / "kvsync-operator" / "files"


def shared() -> dict[Path, str]:
    """What each file of the chart has to hold."""
    crd = (ROOT / "crds" / "kveventsync.yaml").read_text()
    install = (ROOT / "docs" / "samples" / "install" / "operator.yaml").read_text()
    return {FILES / "kveventsync.yaml": crd, FILES / "rules.yaml": rules(install)}


def rules(install: str) -> str:
    """The rules of the install manifest's ClusterRole, as they are written there."""
    parts = install.split("\n---\n")
    role = next(each for each in parts if re.search("^kind: ClusterRole$", each, re.MULTILINE))
    lines = role.partition("\nrules:\n")[2].splitlines()
    return "".join(f"{line.removeprefix('  ')}\n" for line in lines)


def main() -> None:
    """Write them."""
    for path, text in shared().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
