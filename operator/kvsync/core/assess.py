"""One model, judged: where it stands on the way from untouched to verified."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from itertools import chain

from kvsync.core.applied import not_applied
from kvsync.core.bare_pods import bare_verdicts
from kvsync.core.contest import (
    Contest,
    Entry,
    contest,
    in_words,
    is_undone,
    next_repairs,
    repaired,
    repairs_so_far,
    without_risks,
)
from kvsync.core.plan import plan, unsupported_kind
from kvsync.core.planned import Ask, ModelPlan, Outcome
from kvsync.core.progress import is_halted
from kvsync.core.recognise import newest_record
from kvsync.core.relay_container import with_last_words
from kvsync.core.repairs import settled
from kvsync.core.replacement import Replacement, remembered, replaced_so_far, replacement_of
from kvsync.core.revert import is_marked_by
from kvsync.core.targets import block_factor, carriers, not_yet, targets_of, trusted
from kvsync.core.told import entry_of, was_verified
from kvsync.core.trial import given_up, trial_end
from kvsync.core.trouble import Trouble, heard_out, trouble_of
from kvsync.core.waiting import halted_words, waiting_words
from kvsync.model.decision import CrashedContainer
from kvsync.model.finding import Note, Refusal
from kvsync.model.observed import Observed, ObservedModel
from kvsync.model.reasons import ModelReason
from kvsync.model.record import REJECTED_ANNOTATION, Record, load_rejection
from kvsync.model.repairs import Repairs
from kvsync.model.source import LOSSY, SourceReason, Target, Verdict
from kvsync.model.spec import Mode, OnFailure
from kvsync.model.workload import Deployment, Pod


class ModelState(enum.StrEnum):
    """Where a model stands."""

    REFUSED = "Refused"
    """Nothing is written; the reason says why."""
    PENDING = "Pending"
    """To be changed, when its turn comes."""
    ROLLING_OUT = "RollingOut"
    VERIFYING = "Verifying"
    READY = "Ready"
    DEGRADED = "Degraded"
    """Was verified, and now a source fails."""
    FAILED = "Failed"
    """Was changed and did not come up: rolled back, or left as it is where onFailure is Pause."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model with everything that the decision and the status need of it."""

    name: str
    state: ModelState
    reason: str
    message: str
    deployment: Deployment | None = None
    plan: ModelPlan | None = None
    record: Record | None = None
    targets: tuple[Target, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    expected_sources: int = 0
    block_size: int | None = None
    """Tokens of a block that its engines store, as they say."""
    asked: bool = False
    """Whether an engine of it was asked for its block size, answered or not."""
    roll_back: bool = False
    """Whether its record shall be restored now."""
    repairs: Repairs | None = None
    """How often it was repaired, while that is to be remembered."""
    opponent: str = ""
    """Who undid our change, while it is undone."""
    next_repairs: Repairs | None = None
    """The same once the change that is planned is made; None where that is no repair."""
    held_until: int | None = None
    """Seconds since the epoch before which nothing is repaired; None: it is not held."""
    told_at: int = 0
    """The time in the record that stands on it, or stood until someone took it away; 0: none."""
    on_trial: bool = False
    """Whether the change that stands on it was not seen working yet."""
    trial_end: float | None = None
    """Until when it may be on trial, in seconds since the epoch; None where it was not changed."""
    replaced: Repairs | None = None
    """How often a pod that was created without the settings was evicted, while that is remembered."""
    replacement: Replacement | None = None
    """What becomes of the next one of them."""
    crashed: CrashedContainer | None = None
    """The container whose log is to be read before the model is given up."""

    @property
    def verified_sources(self) -> int:
        """How many sources are proven to publish."""
        return sum(1 for verdict in self.verdicts if verdict.verified)


def with_notes(view: ModelView, notes: tuple[Note, ...]) -> ModelView:
    """The same view with more to know of it."""
    if not notes or view.plan is None:
        return view
    return replace(view, plan=replace(view.plan, notes=(*view.plan.notes, *notes)))


def assess(model: ObservedModel, observed: Observed, ask: Ask) -> ModelView:
    """Where a model stands.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    if observed.spec.mode is Mode.RENDER and model.deployment is not None:
        return _left_to_its_owner(model, model.deployment, observed, ask)
    entry, now = entry_of(model.name, observed.sync), observed.now
    counted = repairs_so_far(model.deployment, entry, ask, now)
    if model.deployment is None:
        refusal = _missing(model, observed.sync.namespace)
        view = ModelView(model.name, ModelState.REFUSED, refusal.reason, str(refusal))
        return replace(view, repairs=settled(counted.made, now))
    planned = plan(model.deployment, ask)
    undone = planned.outcome is not Outcome.UNCHANGED and is_undone(model.deployment, ask)
    if undone and planned.outcome is Outcome.CHANGE:
        planned = without_risks(planned)
        found = contest(model.deployment, planned, counted, entry, ask.admission)
        view = _contended(model, model.deployment, planned, found, now)
    else:
        view = _assessed(model, model.deployment, planned, observed)
    view = _with_replacement(view, model, entry, now)
    record = newest_record(model.deployment)
    return replace(
        view,
        repairs=counted.made if undone else settled(counted.made, now),
        told_at=max(record.at if record else 0, ask.told_at if undone else 0),
    )


def _with_replacement(view: ModelView, model: ObservedModel, entry: Entry, now: float) -> ModelView:
    """The view with what becomes of pods that were created without the settings (mode Admission)."""
    part = next((part for part in (view.plan.parts if view.plan else ()) if part.token), None)
    if part is None:
        return view
    counted = replaced_so_far(entry.get("replaced"), part.token, now)
    found = replacement_of(part, model.pods, view.verdicts, counted, now)
    if found is None or view.state is ModelState.FAILED:
        return replace(view, replaced=remembered(counted, now))
    told = view.reason == SourceReason.NOT_INJECTED
    message = f"{view.message} {found}" if told else view.message
    return replace(view, replaced=counted.made, replacement=found, message=message)


def _left_to_its_owner(
    model: ObservedModel, deployment: Deployment, observed: Observed, ask: Ask
) -> ModelView:
    """Mode Render: right as it stands, or its owner's turn. What an earlier mode wrote goes first."""
    if is_marked_by(deployment, ask.owner):
        return ModelView(
            model.name,
            ModelState.PENDING,
            ModelReason.WAITING_FOR_TURN,
            "What was written to it before is taken back when its turn comes: mode Render leaves nothing "
            "of the operator on a model.",
            deployment=deployment,
        )
    planned = plan(deployment, ask)
    if planned.outcome is Outcome.CHANGE:
        return _refused(model, planned, not_applied(deployment, planned.changes, ask.owner))
    return _assessed(model, deployment, planned, observed)


def _assessed(
    model: ObservedModel, deployment: Deployment, planned: ModelPlan, observed: Observed
) -> ModelView:
    if planned.outcome is Outcome.REFUSED:
        assert planned.refusal is not None  # a refused plan says why
        return _refused(model, planned, planned.refusal)
    if planned.outcome is Outcome.CHANGE:
        return _to_change(model, deployment, planned)
    return _configured(model, deployment, planned, observed)


def _contended(
    model: ObservedModel, deployment: Deployment, planned: ModelPlan, found: Contest, now: float
) -> ModelView:
    """A model whose change was undone: put back at once, or later, or not any more."""
    view = ModelView(
        model.name,
        ModelState.REFUSED if found.counted.ended else ModelState.PENDING,
        ModelReason.CONTENDED,
        in_words(deployment, found, now),
        deployment=deployment,
        plan=planned,
        record=newest_record(deployment),
        opponent=found.by,
    )
    if found.counted.ended:
        return view
    if not found.counted.is_due(now):
        return replace(view, held_until=found.counted.next_at)
    made = next_repairs(found, now)
    return replace(view, plan=repaired(deployment, planned, made), next_repairs=made)


def _missing(model: ObservedModel, namespace: str) -> Refusal:
    if model.other_kind:
        return unsupported_kind(model.other_kind, model.name)
    return Refusal(
        ModelReason.NO_SUCH_DEPLOYMENT,
        f"There is no Deployment or StormService {model.name} in namespace {namespace}.",
        "Create it, or correct spec.models.",
    )


def _refused(model: ObservedModel, planned: ModelPlan, refusal: Refusal) -> ModelView:
    return ModelView(
        model.name,
        ModelState.REFUSED,
        refusal.reason,
        str(refusal),
        deployment=model.deployment,
        plan=planned,
    )


def _to_change(model: ObservedModel, deployment: Deployment, planned: ModelPlan) -> ModelView:
    rejection = load_rejection(deployment.annotations.get(REJECTED_ANNOTATION))
    if rejection is not None and rejection.fingerprint == planned.fingerprint:
        return ModelView(
            model.name,
            ModelState.FAILED,
            rejection.reason,
            rejection.message,
            deployment=deployment,
            plan=planned,
        )
    record = newest_record(deployment)
    trouble = _trouble_before_us(planned, model.pods, deployment) if record is None else ""
    if trouble:
        return _refused(model, planned, _unhealthy(deployment, trouble))
    return ModelView(
        model.name,
        ModelState.PENDING,
        ModelReason.WAITING_FOR_TURN,
        "To be changed when the models before it are verified.",
        deployment=deployment,
        plan=planned,
        record=record,
    )


def _trouble_before_us(planned: ModelPlan, pods: tuple[Pod, ...], deployment: Deployment) -> str:
    """Why a model that we have not changed does not run; a change could only fail beside that."""
    trouble = _trouble(planned, pods)
    if trouble is not None:
        return str(trouble)
    return halted_words(deployment) if is_halted(deployment) else ""


def _unhealthy(deployment: Deployment, trouble: str) -> Refusal:
    return Refusal(
        ModelReason.MODEL_UNHEALTHY,
        f"{deployment.title} is not healthy before any change of ours: {trouble.rstrip('.')}.",
        "Repair it first; it is configured as soon as it runs.",
    )


def _trouble(planned: ModelPlan, pods: tuple[Pod, ...]) -> Trouble | None:
    found = (
        trouble_of(pod, container)
        for part in planned.parts
        for pod in pods
        if part.covers(pod) and not pod.deleting
        for container in part.containers
    )
    return next((trouble for trouble in found if trouble is not None), None)


def _configured(
    model: ObservedModel, deployment: Deployment, planned: ModelPlan, observed: Observed
) -> ModelView:
    by_part = [(part, carriers(part, model.pods)) for part in planned.parts]
    pods = tuple(pod for _, found in by_part for pod in found)
    targets = tuple(
        target
        for part, found in by_part
        for target in targets_of(model.name, found, part, observed.spec.probe)
    )
    verdicts = tuple(observed.verdicts.get(target.key) or not_yet(target.key) for target in targets)
    verdicts = tuple(with_last_words(verdict, pods) for verdict in verdicts)
    record = newest_record(deployment)
    if record is not None and (record.is_rendered or observed.spec.mode is Mode.RENDER):
        record = None  # as its owner wrote it: never on trial, never rolled back
    if was_verified(model.name, record, observed.sync):
        verdicts = tuple(map(trusted, verdicts))
    bare = (
        bare_verdicts(part, model.pods, deployment, record, observed.now) for part in planned.parts
    )
    answers = model.answers or {}
    sizes = (
        (answers[pod.uid].block_size or 0) * block_factor(part)
        for part, found in by_part
        for pod in found
        if pod.uid in answers
    )
    view = ModelView(
        model.name,
        ModelState.VERIFYING,
        ModelReason.VERIFYING,
        "",
        deployment=deployment,
        plan=planned,
        record=record,
        targets=targets,
        verdicts=(*verdicts, *chain.from_iterable(bare)),
        expected_sources=sum(p.pods * p.sources for p in planned.parts),
        block_size=next((size for size in sizes if size), None),
        asked=any(pod.uid in answers for pod in pods),
    )
    return _progress(view, pods, model.pods, observed)


def _progress(
    view: ModelView, pods: tuple[Pod, ...], of_model: tuple[Pod, ...], observed: Observed
) -> ModelView:
    deployment, planned = view.deployment, view.plan
    assert deployment is not None  # _configured has both
    assert planned is not None
    view = replace(
        view,
        on_trial=not was_verified(view.name, view.record, observed.sync),
        trial_end=trial_end(view.record, pods, observed),
    )
    trouble = _trouble(planned, pods)
    if trouble is not None:
        return _troubled(view, trouble, observed)
    rollout = deployment.rollout
    if not rollout.complete:
        waiting = waiting_words(deployment, of_model, pods, observed.now)
        message = f"{rollout}." + (f" Waiting: {waiting}" if waiting else "")
        if view.on_trial and _is_late(view, observed):
            return _failing(view, ModelReason.PROGRESS_DEADLINE_EXCEEDED, message, observed)
        return _at(view, ModelState.ROLLING_OUT, ModelReason.ROLLING_OUT, message)
    if deployment.replicas == 0:
        message = "Scaled to zero: no pod publishes. It is verified when it is scaled up."
        return _at(view, ModelState.READY, ModelReason.SCALED_TO_ZERO, message)
    return _by_sources(view, observed)


def _is_late(view: ModelView, observed: Observed) -> bool:
    return view.trial_end is not None and observed.now > view.trial_end


def _troubled(view: ModelView, trouble: Trouble, observed: Observed) -> ModelView:
    """A crash, or no image. What a crashed engine said is read before it is rolled back: the patch
    takes its pods away, and their logs."""
    if not view.on_trial:
        remedy = f". {trouble.remedy}" if trouble.remedy else ""
        return _at(view, ModelState.DEGRADED, trouble.reason, f"{trouble}{remedy}")
    heard = heard_out(trouble, observed.last_words)
    if heard is None:
        message = f"{trouble}. The end of its log is being read."
        reading = _at(view, ModelState.ROLLING_OUT, ModelReason.ROLLING_OUT, message)
        return replace(reading, crashed=trouble.silent)
    return _failing(view, heard.reason, str(heard), observed, heard)


def _by_sources(view: ModelView, observed: Observed) -> ModelView:
    if view.verified_sources >= view.expected_sources:
        return _verified(view)
    open_verdicts = [verdict for verdict in view.verdicts if not verdict.verified]
    idle = [v for v in open_verdicts if v.reason is SourceReason.IDLE]
    if idle and len(idle) == len(open_verdicts):
        message = "The publishers are reachable and silent; send a prompt of more than one block."
        return _at(view, ModelState.VERIFYING, ModelReason.WAITING_FOR_TRAFFIC, message)
    faults = [v for v in open_verdicts if v.settled and v.reason is not SourceReason.IDLE]
    if not faults:
        message = f"{view.verified_sources} of {view.expected_sources} sources verified so far."
        return _at(view, ModelState.VERIFYING, ModelReason.VERIFYING, message)
    worst, message = faults[0], _of_source(faults[0])
    if view.on_trial and _is_late(view, observed):
        return _failing(view, ModelReason.SOURCES_FAILING, message, observed)
    state = ModelState.VERIFYING if view.on_trial else ModelState.DEGRADED
    return _at(view, state, worst.reason, message)


def _verified(view: ModelView) -> ModelView:
    """All sources are verified. One that loses batches on its way, or tells them late, is told, and no
    more: that must neither roll a model back nor hold the gateway or the models after it."""
    message = f"{view.verified_sources} of {view.expected_sources} sources verified."
    lossy = next((v for v in view.verdicts if v.reason in LOSSY), None)
    if lossy is None:
        return _at(view, ModelState.READY, ModelReason.VERIFIED, message)
    return _at(view, ModelState.READY, lossy.reason, f"{message} {_of_source(lossy)}")


def _of_source(verdict: Verdict) -> str:
    return f"{verdict.key.pod}: {verdict.message} {verdict.remedy}".strip()


def _failing(
    view: ModelView,
    reason: ModelReason,
    evidence: str,
    observed: Observed,
    trouble: Trouble | None = None,
) -> ModelView:
    """A model on trial that is given up."""
    policy = None if view.record is None else observed.spec.rollout.on_failure
    code, remedy = (trouble.exit_code, trouble.remedy) if trouble is not None else (None, "")
    message = given_up(reason, evidence, policy, code, remedy)
    failed = _at(view, ModelState.FAILED, reason, message)
    return replace(failed, roll_back=policy is OnFailure.ROLLBACK)


def _at(view: ModelView, state: ModelState, reason: str, message: str) -> ModelView:
    return replace(view, state=state, reason=str(reason), message=message)
