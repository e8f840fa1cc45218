"""Which words and options of ``kvsync render`` go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

FOR_ITS_OWNER = frozenset({"kustomize", "helm", "argocd"})
"""Forms for the tool of a workload's owner."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as far as it may contradict itself."""

    sources: tuple[str, ...]
    output: str
    cr: str | None
    undo: bool
    slot: bool
    policies: bool
    options: Mapping[str, Any]


def check(asked: Asked, named: object) -> None:
    """Raise click.UsageError for what does not go together; ``named``: whether an object is named."""
    problem = next(_of_live(asked) if named else _of_files(asked), None)
    if problem is not None:
        raise click.UsageError(problem)


def _of_live(asked: Asked) -> Iterator[str]:
    if asked.sources:
        yield "give -f, or NAMESPACE NAME of a KVEventSync, not both"
    if asked.cr or asked.options or asked.undo or asked.slot or asked.policies:
        yield "NAMESPACE NAME takes none of the options for manifests: the object says it all"
    if asked.output == "yaml":
        yield "-o yaml needs -f: a live object is no manifest for Git. Use -o diff, json or kustomize"


def _of_files(asked: Asked) -> Iterator[str]:
    if not asked.sources:
        yield "give -f FILE, or NAMESPACE NAME of a KVEventSync"
    if asked.cr and asked.options:
        names = ", ".join("--" + name.replace("_", "-") for name in asked.options)
        yield f"{names}: the object given by --cr says that already"
    if asked.policies and (asked.slot or asked.output in FOR_ITS_OWNER):
        what = "--slot" if asked.slot else f"-o {asked.output}"
        yield f"{what} takes no --network-policy: render them apart"
    if asked.slot and asked.output in FOR_ITS_OWNER - {"argocd"}:
        yield f"--slot has no form {asked.output}: commit what -o yaml prints"
    if asked.undo and asked.output in FOR_ITS_OWNER and not asked.slot:
        yield f"-o {asked.output} has no --undo: take what it printed out of your manifests again"
    if asked.undo and asked.policies:
        yield "--undo takes no --network-policy: delete the policy's own manifest"
