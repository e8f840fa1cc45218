"""Looking at all sources of some objects from here: what ``verify`` and ``top`` have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from kvsync.adapters.kube.client import Kube
from kvsync.cli.reading import Reading, Scope, read
from kvsync.cli.watching import Watching
from kvsync.core.assess import ModelView
from kvsync.core.decide import decide, view_models
from kvsync.core.judge import Policy
from kvsync.core.render import TemplateRenderError, Templates
from kvsync.core.verification import find, without_look
from kvsync.model.decision import Question
from kvsync.model.finding import VersionSource
from kvsync.model.observed import EngineAnswers, KVEventSync, Observed, ObservedModel
from kvsync.model.reasons import ConditionReason, ModelReason
from kvsync.model.source import Observation, SourceKey, Target, Verdict
from kvsync.model.spec import KVEventSyncSpec, SpecError
from kvsync.model.verification import ObjectFinding, Verification
from kvsync.shell.traffic import Pace
from kvsync.shell.world import Heard

AT_ONCE = 8
"""Engines that are asked for their version at once."""
ASKED_A_MODEL = 3
"""Pods of a model that are asked for it: they agree, or it is not known."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How closely sources are looked at. ``interval``: seconds between two samples of a source; ``most``:
    sources that are looked at, None for all."""

    interval: float
    policy: Policy
    pace: Pace
    most: int | None = None


@dataclass(slots=True)
class Picture:
    """One object with everything read of it."""

    observed: Observed
    views: tuple[ModelView, ...]
    gateway_unread: str


class Survey(Watching):
    """Watches the sources of the objects in ``scope`` while this context manager is open."""

    def __init__(self, kube: Kube, scope: Scope, templates: Templates, manner: Manner) -> None:
        super().__init__(manner.pace)
        self._kube = kube
        self.scope = scope
        self._templates = templates
        self._manner = manner
        self._answers: dict[str, EngineAnswers] = {}
        self.pictures: list[Picture] = []
        self._unlooked: list[ObjectFinding] = []
        self._notes: tuple[str, ...] = ()
        self.targets: dict[SourceKey, Target] = {}

    @property
    def empty(self) -> bool:
        """Whether there is no object to look at."""
        return not self.pictures and not self._unlooked

    async def refresh(self) -> None:
        """Read the cluster again, and watch exactly the sources that are there now.

        Raises:
            AccessError, ApiError: it cannot be read; what was known stays.
        """
        reading = await read(self._kube, self.scope)
        self._notes = reading.notes
        await self._draw(reading)
        if await self._ask():
            await self._draw(reading)
        targets = (
            (target.key, replace(target, interval=self._manner.interval, canary=False))
            for picture in self.pictures
            for view in picture.views
            for target in view.targets
        )
        self.targets = dict(islice(targets, self._manner.most))
        self.set_targets(self.targets)

    def verdicts(self) -> dict[SourceKey, Verdict]:
        """What is true now of each source."""
        policy = self._manner.policy
        return {key: self.verdict(key, target, policy) for key, target in self.targets.items()}

    def is_asked(self, key: SourceKey) -> bool:
        """Whether a source's engine has told what it counts."""
        return self.traffic(key) is not None

    def conclude(self) -> Verification:
        """What is true now of all of it, with each model assessed again by what was seen."""
        verdicts = self.verdicts()
        for picture in self.pictures:
            picture.observed = replace(picture.observed, verdicts=verdicts)
            picture.views = view_models(picture.observed, self._templates)
        return self.look()

    def look(self) -> Verification:
        """What is true now of all of it."""
        verdicts = self.verdicts()
        seen = {key: found for key in self.targets if (found := self.observation(key))}
        looked = [self._find(picture, verdicts, seen) for picture in self.pictures]
        objects = sorted((*looked, *self._unlooked), key=lambda each: (each.namespace, each.name))
        return Verification(tuple(objects), self._notes)

    def _find(
        self,
        picture: Picture,
        verdicts: Mapping[SourceKey, Verdict],
        seen: Mapping[SourceKey, Observation],
    ) -> ObjectFinding:
        observed = replace(picture.observed, verdicts=verdicts)
        return find(observed, picture.views, seen, gateway_unread=picture.gateway_unread)

    async def _draw(self, reading: Reading) -> None:
        self.pictures, self._unlooked = [], []
        verdicts = self.verdicts()
        for sync in reading.syncs:
            try:
                self.pictures.append(self._picture(reading, sync, verdicts))
            except _Unlooked as why:
                self._unlooked.append(without_look(sync, why.reason, str(why)))
            await asyncio.sleep(0)  # a plan takes its time, and sources are watched meanwhile

    def _picture(
        self, reading: Reading, sync: KVEventSync, verdicts: Mapping[SourceKey, Verdict]
    ) -> Picture:
        if sync.deleting:
            raise _Unlooked(ConditionReason.UNDOING, "It was deleted; what it changed is undone.")
        try:
            spec = KVEventSyncSpec.from_manifest(sync.body.get("spec") or {})
            heard = Heard(self._answers, verdicts, {})
            observed = with_told_versions(reading.world.observe(sync, spec, heard, time.time()))
            views = view_models(observed, self._templates)
        except (SpecError, TemplateRenderError) as error:
            raise _Unlooked(ConditionReason.INVALID_SPEC, str(error)) from error
        gateway = (spec.gateway.namespace, spec.gateway.deployment)
        return Picture(observed, views, reading.unread_gateways.get(gateway, ""))

    async def _ask(self) -> bool:
        """Ask engines for the version that no manifest tells; whether any answered."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def ask(question: Question) -> bool:
            async with slots:
                answers = await self.engines.ask(question.host, question.port)
            self._answers[question.uid] = answers
            return answers.version is not None

        questions = [q for picture in self.pictures for q in self._questions(picture)]
        return any(await asyncio.gather(*map(ask, questions)))

    def _questions(self, picture: Picture) -> Iterator[Question]:
        unknown = {v.name for v in picture.views if v.reason == ModelReason.DIALECT_UNKNOWN}
        if not unknown:
            return
        models = (model for model in picture.observed.models if model.name in unknown)
        some = {pod.uid for model in models for pod in model.pods[:ASKED_A_MODEL]}
        decision = decide(picture.observed, self._templates)
        yield from (q for q in decision.questions if q.uid in some and q.uid not in self._answers)


class _Unlooked(Exception):  # noqa: N818 - a finding, not an error
    """Why there is nothing to look at for an object."""

    def __init__(self, reason: ConditionReason, message: str) -> None:
        super().__init__(message)
        self.reason = str(reason)


def with_told_versions(observed: Observed) -> Observed:
    """With what engines told the operator, where they cannot be asked from here."""
    told = {
        str(entry.get("name")): str(entry["engineVersion"])
        for entry in observed.sync.status.get("models") or ()
        if entry.get("versionSource") == VersionSource.RUNNING and entry.get("engineVersion")
    }
    if not told:
        return observed
    return replace(observed, models=tuple(_with_version(m, told) for m in observed.models))


def _with_version(model: ObservedModel, told: Mapping[str, str]) -> ObservedModel:
    answers = model.answers or {}
    if model.name not in told or any(answer.version for answer in answers.values()):
        return model
    unasked = {pod.uid: EngineAnswers(told[model.name]) for pod in model.pods}
    return replace(model, answers={**answers, **unasked})
