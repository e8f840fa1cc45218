"""The KVEventSyncs with their sources looked at from here, their engines, and the logs of those that fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping

from kvsync.adapters.kube.client import Kube
from kvsync.cli.reading import Scope
from kvsync.cli.survey import Picture, Survey
from kvsync.cli.verify import look, manner
from kvsync.core.assess import ModelState, ModelView
from kvsync.core.doctor.engine_facts import conditions_of, engine_facts
from kvsync.core.doctor.facts import EngineFacts, ObjectFacts, ObjectsFacts, Stream
from kvsync.core.last_words import quoted, telling_line
from kvsync.core.render import Templates
from kvsync.model.errors import ApiError
from kvsync.model.observed import ObservedModel
from kvsync.model.source import HEALTHY, Observation, SourceKey
from kvsync.model.verification import ObjectFinding

MOST_SOURCES = 200
"""Sources that are connected to; kvsync verify looks at all."""

MOST_LOGS = 3
"""Logs that are read of one object's engines."""

_LOG_LINES = 200
_LOG_PATIENCE = 5.0


async def objects_facts(
    kube: Kube, scope: Scope, templates: Templates, timeout: float
) -> ObjectsFacts:
    """The objects of a scope. ``timeout``: seconds for the look at their sources.

    Raises:
        AccessError, ApiError: they cannot be listed.
    """
    end = time.monotonic() + timeout
    async with Survey(kube, scope, templates, manner(timeout, MOST_SOURCES)) as survey:
        await survey.refresh()
        if survey.targets:
            await look(survey, end)
        verification = survey.conclude()
        pictures = {(p.observed.sync.namespace, p.observed.sync.name): p for p in survey.pictures}
        facts = [
            await _facts(kube, survey, found, pictures.get((found.namespace, found.name)))
            for found in verification.objects
        ]
        return ObjectsFacts(scope.place, tuple(facts), verification.notes)


async def _facts(
    kube: Kube, survey: Survey, found: ObjectFinding, picture: Picture | None
) -> ObjectFacts:
    if picture is None:
        conditions = {"Ready": _said(found)} if found.ready else {}
        return ObjectFacts(found, conditions)
    keys = [target.key for view in picture.views for target in view.targets]
    looked = [key for key in keys if key in survey.targets]
    models = {model.name: model for model in picture.observed.models}
    views = [view for view in picture.views if view.name in models]
    return ObjectFacts(
        found,
        conditions_of(picture.observed.sync),
        engines={view.name: tuple(_engines(view, models[view.name])) for view in views},
        refused={v.name: v.message for v in views if v.state is ModelState.REFUSED},
        traffic={key: told for key in looked if (told := survey.traffic(key)) is not None},
        streams={key: _stream(seen) for key in looked if (seen := survey.observation(key))},
        last_words=await _last_words(kube, picture, found),
        left_out=len(keys) - len(looked),
    )


def _said(found: ObjectFinding) -> tuple[str, str, str, bool]:
    ready = found.ready
    assert ready is not None  # asked before
    return ready.status, ready.reason, ready.message, ready.current


def _stream(seen: Observation) -> Stream:
    return Stream(seen.messages, seen.octets, seen.rate)


def _engines(view: ModelView, model: ObservedModel) -> Iterator[EngineFacts]:
    for part in view.plan.parts if view.plan is not None else ():
        pods = [pod for pod in model.pods if part.covers(pod) and pod.running]
        yield engine_facts(part, pods, model)


async def _last_words(kube: Kube, picture: Picture, found: ObjectFinding) -> Mapping[str, str]:
    """The telling line of the logs of pods that were reached and do not publish."""
    failing: list[SourceKey] = []
    for model in found.models:
        for source in model.sources:
            silent = source.verdict.settled and source.verdict.reason not in HEALTHY
            if silent and not source.unreached and source.verdict.key not in failing:
                failing.append(source.verdict.key)
    pods = list(dict.fromkeys((key.namespace, key.pod) for key in failing))[:MOST_LOGS]
    containers = _containers(picture)
    read = await asyncio.gather(
        *(_line(kube, *pod, containers[pod[1]]) for pod in pods if pod[1] in containers)
    )
    return dict(zip((pod[1] for pod in pods if pod[1] in containers), read, strict=True))


def _containers(picture: Picture) -> Mapping[str, str]:
    """The engine's container of each pod."""
    views = {view.name: view for view in picture.views}
    return {
        pod.name: part.engine.container
        for model in picture.observed.models
        if (view := views.get(model.name)) is not None and view.plan is not None
        for part in view.plan.parts
        for pod in model.pods
        if part.covers(pod)
    }


async def _line(kube: Kube, namespace: str, pod: str, container: str) -> str:
    try:
        async with asyncio.timeout(_LOG_PATIENCE):
            text = await kube.pod_log(namespace, pod, container, tail_lines=_LOG_LINES)
    except ApiError as error:
        return f"its log cannot be read: {quoted(error.message)}"
    except TimeoutError:
        return "its log was not given in time"
    return telling_line(text)
