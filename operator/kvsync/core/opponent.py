"""Managers of fields by the names that people know them by, and what is known of their habits."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from kvsync.core.ownership import Holder
from kvsync.model.workload import Deployment

_ARGO_ID = "argocd.argoproj.io/tracking-id"
_KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
_FLUX_HELM = "helm.toolkit.fluxcd.io"
_RELEASE = "meta.helm.sh/release-name"

_MAX_NAME = 63
_MAX_MARKS = 2
_ODD = re.compile(r"[^\w./:@ -]", re.ASCII)
_KUBECTL = re.compile(r"^kubectl-([a-z]+)$")
_NO_NAME = "no name left, as by kubectl rollout undo or replace"
"""Who only takes away owns nothing by it, and is not told of."""


class Habit(enum.Enum):
    """What a manager does with a field of its own that someone else changed."""

    TAKES_BACK = 1
    """It writes it again by itself, or refuses to go on until it may."""
    MAY_TAKE_BACK = 2
    """Its next run writes it again, where its manifest names the field."""
    UNKNOWN = 3


_PLAIN_NAMES = {
    "argocd": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "kubectl-client-side-apply": "kubectl apply",
    "terraform": "Terraform",
    "hashicorp": "Terraform",
    "pulumi": "Pulumi",
}
"""Plain names by the start of a manager's name, in lower case.

Sources: the managers that Argo CD 3.5, Flux, kubectl and Helm write as seen on an API server; the
Terraform provider (``field_manager`` Terraform; before it the user agent HashiCorp/1.0) and Pulumi
(``pulumi-kubernetes``) by their documentation.
"""

_ARGO = "argocd"
_RESTLESS = (_ARGO, "kustomize-controller")
_AT_NEXT_RUN = ("kubectl-client-side-apply", "helm", "terraform", "hashicorp", "pulumi")


def habit_of(holder: Holder, workload: Deployment) -> Habit:
    """What a manager will do when a field of its own is changed.

    Server-side apply takes its fields back or fails with a conflict. Argo CD and Flux come round by
    themselves; where Argo CD or Flux has the workload, what its manifest says was written by whoever
    wrote it first, and comes back all the same.
    """
    name = holder.manager.lower()
    if holder.applies or name.startswith(_RESTLESS):
        return Habit.TAKES_BACK
    if not name.startswith(_AT_NEXT_RUN):
        return Habit.UNKNOWN
    return Habit.TAKES_BACK if _is_under_gitops(workload) else Habit.MAY_TAKE_BACK


def is_argo(holder: Holder, workload: Deployment) -> bool:
    """Whether what a manager wrote is in the hands of Argo CD: of itself, or of whoever came before it.

    Who applies server-side holds his fields himself.
    """
    name = holder.manager.lower()
    before_it = name.startswith(_AT_NEXT_RUN) and not holder.applies
    return name.startswith(_ARGO) or (before_it and _ARGO_ID in workload.annotations)


def _is_under_gitops(workload: Deployment) -> bool:
    return _ARGO_ID in workload.annotations or f"{_KUSTOMIZE}/name" in _labels(workload)


def name_of(holder: Holder | None, workload: Deployment) -> str:
    """Who it is, in words: its plain name, its manager's name and time, what the workload says of it."""
    if holder is None:
        return "Someone" + _in_brackets([*_marks(workload), _NO_NAME])
    facts = [f"manager {_clean(holder.manager)}", f"operation {_clean(holder.operation)}"]
    if holder.time:
        facts.append(f"at {_clean(holder.time)}")
    plain = _plain_name(holder)
    return plain + _in_brackets([*facts, *_marks(workload)])


def _plain_name(holder: Holder) -> str:
    manager = holder.manager
    if manager == "kubectl":
        # Of its verbs that write a pod template, only these two bring no name of their own.
        return "kubectl apply --server-side" if holder.applies else "kubectl rollout undo"
    if manager == "helm":
        return "Helm"
    found = next((n for start, n in _PLAIN_NAMES.items() if manager.lower().startswith(start)), "")
    verb = _KUBECTL.match(manager)
    return found or (f"kubectl {verb[1]}" if verb else _clean(manager) or "Someone")


def _marks(workload: Deployment) -> list[str]:
    """What the workload itself says of who makes it."""
    annotations, labels, owner = workload.annotations, _labels(workload), workload.controller
    application = annotations.get(_ARGO_ID, "").partition(":")[0]
    told = {
        "Argo CD Application": application,
        "Flux Kustomization": _of_flux(labels, _KUSTOMIZE),
        "Flux HelmRelease": _of_flux(labels, _FLUX_HELM),
        "Helm release": annotations.get(_RELEASE, ""),
        "controller": f"{owner.get('kind')} {owner.get('name')}" if owner else "",
    }
    return [f"{kind} {_clean(name)}" for kind, name in told.items() if name][:_MAX_MARKS]


def _of_flux(labels: Mapping[str, str], group: str) -> str:
    parts = (labels.get(f"{group}/namespace", ""), labels.get(f"{group}/name", ""))
    return "/".join(part for part in parts if part)


def _labels(workload: Deployment) -> Mapping[str, str]:
    return workload.body["metadata"].get("labels") or {}


def _in_brackets(facts: list[str]) -> str:
    return f" ({', '.join(facts)})" if facts else ""


def _clean(text: str) -> str:
    """A stranger's text as part of a sentence: short, and without signs that could end it."""
    return _ODD.sub("?", text)[:_MAX_NAME]
