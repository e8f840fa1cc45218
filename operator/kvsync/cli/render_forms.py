"""The forms that ``kvsync render`` prints: for people, for Git, for programs, and for an owner's tool."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kvsync.adapters.manifests import Block, Document, dump_manifest
from kvsync.cli.render_files import One
from kvsync.core.manifest_policy import is_policy
from kvsync.core.owner_change import OwnerChange
from kvsync.core.owner_gateway import OwnersVariables
from kvsync.core.owner_tools import application, component, helm_values, patches_of
from kvsync.core.planned import Outcome


def all_as_yaml(done: list[tuple[Document, Any, list[One]]]) -> Iterator[str]:
    """Everything that was read, with new policies behind what they are for; none is there twice."""
    new = {
        _place(policy) for _, _, found in done for one in found for policy in one.rendered.policies
    }
    for document, body, found in done:
        if not (is_policy(body) and _place(body) in new):
            yield _as_yaml(document, body)
        for one in found:
            yield from (f"---\n{dump_manifest(policy)}" for policy in one.rendered.policies)


def _place(body: Mapping[str, Any]) -> tuple[str, str]:
    return str(body["metadata"].get("namespace") or ""), str(body["metadata"].get("name"))


def _as_yaml(document: Document, body: Any) -> str:
    # What is not changed keeps its own text, with its comments and its order.
    text = document.text if body == document.body else dump_manifest(body)
    divider = "" if text.startswith("---") else "---\n"
    return divider + text + ("" if text.endswith("\n") else "\n")


def as_diff(one: One) -> str:
    """What changes in a manifest, and the policies beside it."""
    return _change_as_diff(one) + "".join(map(_policy_as_diff, one.rendered.policies))


def _policy_as_diff(policy: Mapping[str, Any]) -> str:
    name = f"networkpolicy {'/'.join(filter(None, _place(policy)))}"
    lines = dump_manifest(policy).splitlines(keepends=True)
    return "".join(difflib.unified_diff([], lines, "nothing", name))


def _change_as_diff(one: One) -> str:
    if one.rendered.outcome is not Outcome.CHANGE:
        return ""
    metadata = one.before["metadata"]
    name = f"{metadata.get('namespace') or 'default'}/{metadata['name']}"
    return _diff(one.before, one.rendered.body, name, one.where)


def _diff(old: Mapping[str, Any], new: Mapping[str, Any], name: str, where: str) -> str:
    """What differs; ``where`` the old one stands is told beside its name."""
    lines = difflib.unified_diff(
        dump_manifest(old).splitlines(keepends=True),
        dump_manifest(new).splitlines(keepends=True),
        f"{name} ({where})",
        name,
    )
    return "".join(lines)


def as_kustomize(changes: Sequence[OwnerChange]) -> str:
    """A component: a folder of its own with this as its kustomization.yaml."""
    patches = _patches(changes)
    return dump_manifest(component(patches)) if patches else ""


def as_argocd(changes: Sequence[OwnerChange]) -> str:
    """The part of an Argo CD Application that patches what it applies."""
    patches = _patches(changes)
    return dump_manifest(application(patches)) if patches else ""


def _patches(changes: Sequence[OwnerChange]) -> list[dict[str, Any]]:
    return [
        {
            "target": dict(each.target),
            "patch": Block(dump_manifest(list(each.operations)).rstrip("\n")),
        }
        for each in patches_of(changes)
    ]


def as_helm(changes: Sequence[OwnerChange], variables: OwnersVariables | None) -> str:
    """Values, one section a chart, and in comments what no chart that is known has a value for."""
    found = helm_values(changes, variables)
    told = [_commented(found.words)] if found.words else []
    sections = [_commented(words) + dump_manifest(values) for words, values in found.sections]
    return "\n".join([*sections, *told])


def _commented(lines: Iterable[str]) -> str:
    return "".join(f"# {line}\n" for line in lines)


def template_diff(change: OwnerChange) -> str:
    """What changes in the pod template of a live workload."""
    old = {"spec": {"template": change.body["spec"]["template"]}}
    return _diff(old, change.applied, f"{change.kind.lower()} {change.name}", "live")


def change_entry(change: OwnerChange) -> dict[str, Any]:
    """The stable form that ``kvsync render -o json`` prints of a live workload."""
    refusal = change.refusal
    outcome = Outcome.CHANGE if change.operations else Outcome.UNCHANGED
    return {
        "apiVersion": change.body["apiVersion"],
        "kind": change.kind,
        "name": change.name,
        "outcome": str(Outcome.REFUSED if refusal else outcome),
        "reason": str(refusal.reason) if refusal else "",
        "message": str(refusal) if refusal else " ".join(change.notes),
        "patch": list(change.operations),
    }
