"""An owner's change in the form of his tool: kustomize, Argo CD, the values of a Helm chart.

Sources: kustomize, "components" and "patches"; Argo CD, "Kustomize" (inline patches); the charts of AIBrix
(``templates/gateway-plugin/deployment.yaml``) and of vLLM's production-stack
(``templates/deployment-vllm-multi.yaml``); KServe, ``ComponentExtensionSpec``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvsync.core.owner_change import OwnerChange
from kvsync.core.owner_gateway import OwnersVariables
from kvsync.core.patch import Operation
from kvsync.core.planned import Part

_STACK = "helm-release-name"
"""The label by which production-stack marks what it makes."""

_KSERVE = "serving.kserve.io/inferenceservice"


@dataclass(frozen=True, slots=True)
class OwnersPatch:
    """One entry of a kustomization's ``patches``."""

    target: Mapping[str, str]
    operations: tuple[Operation, ...]


def patches_of(changes: Sequence[OwnerChange]) -> list[OwnersPatch]:
    """The patches of the workloads that are not right already.

    The target's name is a regular expression to kustomize. It names no namespace unless the manifest
    does: a kustomization sets it after patches are applied.
    """
    return [OwnersPatch(_target(each), each.operations) for each in changes if each.operations]


def _target(change: OwnerChange) -> dict[str, str]:
    group, version = change.group_version
    target = {"group": group, "version": version, "kind": change.kind}
    target["name"] = re.escape(change.name).replace(r"\-", "-")
    return {**target, "namespace": change.namespace} if change.namespace else target


def component(patches: Sequence[Any]) -> dict[str, Any]:
    """A kustomize component of ready patches: a folder of its own, named under ``components``."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "patches": list(patches),
    }


def application(patches: Sequence[Any]) -> dict[str, Any]:
    """The part of an Argo CD Application that applies ready patches to plain manifests too."""
    return {"spec": {"source": {"kustomize": {"patches": list(patches)}}}}


@dataclass(frozen=True, slots=True)
class HelmValues:
    """Values of charts that are known, each under what to know of it; and what has none, in words."""

    sections: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = ()
    words: tuple[str, ...] = field(default=())


def gateway_values(variables: Mapping[str, str]) -> dict[str, Any]:
    """The values by which AIBrix's chart gives its gateway these variables."""
    return {"gatewayPlugin": {"container": {"envs": dict(variables)}}}


def helm_values(changes: Sequence[OwnerChange], variables: OwnersVariables | None) -> HelmValues:
    """Values for what is not right already, and for the gateway, where its variables are given."""
    sections: list[tuple[tuple[str, ...], Mapping[str, Any]]] = []
    words: list[str] = []
    due = [each for each in changes if each.operations]
    stack = [each for each in due if _is_of_stack(each)]
    if stack:
        sections.append((_STACK_WORDS, _stack_values(stack)))
        words += [line for each in stack for line in _labels_of_stack(each)]
    for change in due:
        if change not in stack:
            words += _in_words(change)
    if variables is not None:
        told = (*_GATEWAY_WORDS, *variables.words)
        sections.append((told, gateway_values(variables.values)))
    return HelmValues(tuple(sections), tuple(words))


_GATEWAY_WORDS = (
    "The chart of AIBrix: the gateway's variables, as the operator sets them once all events are verified.",
    "In the values its next upgrade keeps them. Without spec.gateway.manage nobody else sets them.",
)
_STACK_WORDS = (
    "The chart vllm-stack (production-stack): Helm replaces lists as a whole, so put extraArgs into the",
    "entries of modelSpec of these names in your own values.",
)


def _is_of_stack(change: OwnerChange) -> bool:
    release, model = change.labels.get(_STACK), change.labels.get("model")
    one = len(change.parts) == 1 and change.parts[0].desired.words is not None
    return one and bool(release and model) and change.name == f"{release}-{model}-deployment-vllm"


def _stack_values(changes: Sequence[OwnerChange]) -> dict[str, Any]:
    models = [
        {
            "name": str(change.labels["model"]),
            "vllmConfig": {"extraArgs": list(change.parts[0].desired.arguments)},
        }
        for change in changes
    ]
    return {"servingEngineSpec": {"modelSpec": models}}


def _labels_of_stack(change: OwnerChange) -> Iterator[str]:
    part = change.parts[0]
    if part.desired.labels or part.relay is not None:
        yield (
            f"{change.name}: vllm-stack labels all models alike, in the selector too, and has no place for "
            "the rest. It needs a post-renderer (the component of -o kustomize):"
        )
        yield from _labels(part)
        yield from _relay(part)


def _in_words(change: OwnerChange) -> Iterator[str]:
    yield f"{change.kind} {change.name}: {_made_by(change)}"
    for part in change.parts:
        role = f"role {part.role}, " if part.role else ""
        yield f"  {role}container {part.desired.container}:"
        replaced = part.desired.words.replaced if part.desired.words is not None else ()
        for word in part.desired.arguments:
            instead = f"   (instead of {' '.join(replaced)})" if replaced else ""
            yield f"    argument: {word}{instead}"
        for port in part.desired.ports:
            yield f"    port, for information: {port['containerPort']} ({port['name']})"
        yield from _labels(part)
        yield from _relay(part)


def _made_by(change: OwnerChange) -> str:
    service = change.labels.get(_KSERVE)
    if service:
        return (
            f"made by KServe's InferenceService {service}: arguments go into spec.predictor.model.args, "
            "labels into spec.predictor.labels."
        )
    chart = change.labels.get("helm.sh/chart")
    known = f"the chart {chart} is" if chart else "what makes it is"
    return f"{known} not known here. Its pods need, by whichever values it has for that:"


def _labels(part: Part) -> Iterator[str]:
    for key, value in part.desired.labels.items():
        yield f"    pod label: {key}: {value!r}"


def _relay(part: Part) -> Iterator[str]:
    if part.relay is not None:
        yield "    relay: a container and a volume, as -o kustomize prints them"
