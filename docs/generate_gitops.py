"""Write what tells Argo CD of our kind, in the forms that its installations take: `make generate`.

The scripts have one source, in Argo CD's own layout: ``templates/gitops/argocd/resource_customizations``.
Forms: entries of the ConfigMap ``argocd-cm`` (Argo CD's documentation, operator-manual/health and
resource_actions), the same as values of the Helm chart argo-cd (``configs.cm``), and fields of the Argo CD
operator's ``ArgoCD``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
GROUP, KIND = "kvsync.aibrix.ai", "KVEventSync"
SCRIPTS = ROOT / "templates/gitops/argocd/resource_customizations" / GROUP / KIND
FOLDER = ROOT / "docs" / "gitops" / "argocd"

_WRITTEN = "# Written by docs/generate_gitops.py from templates/gitops/argocd: `make generate`.\n"
_CONFIG_MAP = "# kubectl patch configmap argocd-cm --namespace argocd --patch-file argocd-cm.yaml\n"
_VALUES = "# Values of the Helm chart argo-cd.\n"
_OPERATOR = "# For Argo CD's operator: these two fields belong into your ArgoCD.\n"


class _Block(yaml.SafeDumper):
    """Writes a text of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Block.add_representer(str, _text)


def entries() -> dict[str, str]:
    """The entries of ``argocd-cm``."""
    return {
        f"resource.customizations.health.{GROUP}_{KIND}": _health(),
        f"resource.customizations.actions.{GROUP}_{KIND}": _actions(),
    }


def files() -> dict[Path, str]:
    """What each file has to hold."""
    argo_cd = {
        "resourceHealthChecks": [{"group": GROUP, "kind": KIND, "check": _health()}],
        "resourceActions": [{"group": GROUP, "kind": KIND, "action": _actions()}],
    }
    return {
        FOLDER / "argocd-cm.yaml": _CONFIG_MAP + _yaml({"data": entries()}),
        FOLDER / "argo-cd-chart-values.yaml": _VALUES + _yaml({"configs": {"cm": entries()}}),
        FOLDER / "argocd-operator.yaml": _OPERATOR + _yaml({"spec": argo_cd}),
    }


def _health() -> str:
    return (SCRIPTS / "health.lua").read_text()


def _actions() -> str:
    """The scripts of the actions in one YAML text, as an entry holds them."""
    folder = SCRIPTS / "actions"
    names = sorted(path.parent.name for path in folder.glob("*/action.lua"))
    definitions = [
        {"name": name, "action.lua": (folder / name / "action.lua").read_text()} for name in names
    ]
    discovery = (folder / "discovery.lua").read_text()
    return _yaml({"discovery.lua": discovery, "definitions": definitions})


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.dump(dict(content), Dumper=_Block, sort_keys=False, width=1000)


def main() -> None:
    """Write them."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_WRITTEN + text)


if __name__ == "__main__":
    main()
