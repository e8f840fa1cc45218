"""Brings what the chart shares with other files up to date: the CRD, the ClusterRole's rules, the policy.

Each has one source: ``crds/kveventsync.yaml``, and ``operator.yaml`` and ``admission.yaml`` of
``docs/samples/install``. ``make chart`` runs this; tests/chart keeps that it was run.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "charts" / "kvsync-operator" / "files"
INSTALL = ROOT / "docs" / "samples" / "install"


def shared() -> dict[Path, str]:
    """What each file of the chart has to hold."""
    crd = (ROOT / "crds" / "kveventsync.yaml").read_text()
    install = (INSTALL / "operator.yaml").read_text()
    policy = (INSTALL / "admission.yaml").read_text()
    return {
        FILES / "kveventsync.yaml": crd,
        FILES / "rules.yaml": rules(install),
        FILES / "admission.yaml": policy_spec(policy),
    }


def rules(install: str) -> str:
    """The rules of the install manifest's ClusterRole, as they are written there."""
    parts = install.split("\n---\n")
    role = next(each for each in parts if re.search("^kind: ClusterRole$", each, re.MULTILINE))
    return _outdented(role.partition("\nrules:\n")[2])


def policy_spec(install: str) -> str:
    """The spec of the admission policy, as it is written there."""
    policy, _ = install.split("\n---\n")
    return _outdented(policy.partition("\nspec:\n")[2])


def _outdented(text: str) -> str:
    return "".join(f"{line.removeprefix('  ')}\n" for line in text.splitlines())


def main() -> None:
    """Write them."""
    for path, text in shared().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
