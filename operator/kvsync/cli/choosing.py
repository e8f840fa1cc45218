"""Which mode ``kvsync enable`` writes: the one that was given, or the one that fits what owns the model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import click

from kvsync.adapters.kube.client import Kube
from kvsync.adapters.kube.resource import KVEVENTSYNCS
from kvsync.cli.examination.admission import admission_facts
from kvsync.core.choice import Choice, choose
from kvsync.core.doctor.facts import Unread
from kvsync.core.planned import Ask
from kvsync.model.admission import AdmissionMeans
from kvsync.model.errors import ApiError, NotFound
from kvsync.model.spec import Mode
from kvsync.model.version import Version
from kvsync.model.workload import Deployment

AUTO = "Auto"
"""Chosen by what owns the model."""

CHOICES = (AUTO, *(mode.value for mode in Mode))


async def admission_means(kube: Kube, kubernetes: Version | None) -> AdmissionMeans:
    """Whether mode Admission works here, as far as it may be seen: the operator says it for sure."""
    with suppress(ApiError):
        seen = await admission_facts(kube, None, ())
        if not seen.version:
            return AdmissionMeans(served=False, kubernetes=kubernetes)
        hidden = isinstance(seen.policies, Unread)
        return AdmissionMeans(None if hidden else bool(seen.bound), True, kubernetes)
    return AdmissionMeans()


async def with_mode(
    kube: Kube, sync: dict[str, Any], live: Deployment, ask: Ask, mode: str
) -> tuple[dict[str, Any], Ask]:
    """The object and the question with the mode. What an object has already is no matter of choice."""
    chosen = await _auto(kube, sync, live, ask) if mode == AUTO else Mode(mode)
    if mode != AUTO or chosen is not Mode.PATCH:
        sync = {**sync, "spec": {**sync["spec"], "mode": chosen.value}}
    return sync, replace(ask, spec=replace(ask.spec, mode=chosen))


async def _auto(kube: Kube, sync: dict[str, Any], live: Deployment, ask: Ask) -> Mode:
    there = await _mode_of(kube, sync["metadata"]["namespace"], sync["metadata"]["name"])
    if there is not None:
        return there
    choice = choose(live, ask)
    _tell(choice)
    return choice.mode


async def _mode_of(kube: Kube, namespace: str, name: str) -> Mode | None:
    """The mode of an object that is there; None where there is none, or it cannot be read."""
    with suppress(ApiError, NotFound, ValueError):
        body = await kube.get(KVEVENTSYNCS, namespace, name)
        return Mode((body.get("spec") or {}).get("mode") or Mode.PATCH)
    return None


def _tell(choice: Choice) -> None:
    """Print a mode that was chosen, and why."""
    click.echo(f"Mode {choice.mode}: {choice.why}.")
    _list("", choice.first)
    _list("Or: ", choice.others)


def _list(before: str, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        click.echo(f"  {before}{sentence}")
