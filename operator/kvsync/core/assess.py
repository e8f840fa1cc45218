"""One model, judged: where it stands on the way from untouched to verified."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from kvsync.core.arguments import data_parallel_ranks
from kvsync.core.desired import EVENTS_LABEL
from kvsync.core.plan import Ask, ModelPlan, Outcome, plan
from kvsync.core.revert import contains_run, record_of
from kvsync.core.trouble import Trouble, pending_words, trouble_of
from kvsync.model.finding import Refusal
from kvsync.model.observed import Observed, ObservedModel
from kvsync.model.reasons import ModelReason
from kvsync.model.record import REJECTED_ANNOTATION, Record, load_rejection
from kvsync.model.source import SourceKey, SourceReason, Target, Verdict
from kvsync.model.spec import OnFailure
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
    asked: bool = False
    """Whether an engine of it was asked for its block size, answered or not."""
    roll_back: bool = False
    """Whether its record shall be restored now."""

    @property
    def verified_sources(self) -> int:
        """How many sources are proven to publish."""
        return sum(1 for verdict in self.verdicts if verdict.verified)


def assess(model: ObservedModel, observed: Observed, ask: Ask) -> ModelView:
    """Where a model stands.

    Raises:
        TemplateRenderError: the dialect's template is broken.
    """
    if model.deployment is None:
        return ModelView(
            model.name,
            ModelState.REFUSED,
            ModelReason.NO_SUCH_DEPLOYMENT,
            f"There is no Deployment {model.name} in namespace {observed.sync.namespace}. "
            "Create it, or correct spec.models.",
        )
    planned = plan(model.deployment, ask)
    if planned.outcome is Outcome.REFUSED:
        assert planned.refusal is not None  # a refused plan says why
        return _refused(model, planned, planned.refusal)
    if planned.outcome is Outcome.CHANGE:
        return _to_change(model, model.deployment, planned)
    return _configured(model, model.deployment, planned, observed)


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
    record = record_of(deployment)
    trouble = _trouble(planned, model.pods) if record is None else None
    if trouble is not None:
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


def _unhealthy(deployment: Deployment, trouble: Trouble) -> Refusal:
    return Refusal(
        ModelReason.MODEL_UNHEALTHY,
        f"Deployment {deployment.name} is not healthy before any change of ours: {trouble}.",
        "Repair it first; it is configured as soon as it runs.",
    )


def _trouble(planned: ModelPlan, pods: tuple[Pod, ...]) -> Trouble | None:
    assert planned.engine is not None  # only a refused plan has none
    living = (pod for pod in pods if not pod.deleting)
    found = (trouble_of(pod, planned.engine.container) for pod in living)
    return next((trouble for trouble in found if trouble is not None), None)


def _configured(
    model: ObservedModel, deployment: Deployment, planned: ModelPlan, observed: Observed
) -> ModelView:
    assert planned.engine is not None  # only a refused plan has none
    pods = tuple(pod for pod in model.pods if not pod.deleting and _carries(pod, planned))
    ranks = _ranks(deployment, planned)
    targets = _targets(pods, ranks, observed)
    verdicts = tuple(
        observed.verdicts.get(target.key) or _not_yet(target.key) for target in targets
    )
    if was_verified(model.name, record_of(deployment), observed):
        verdicts = tuple(map(_trusted, verdicts))
    answers = model.answers or {}
    sizes = (answers[pod.uid].block_size for pod in pods if pod.uid in answers)
    view = ModelView(
        model.name,
        ModelState.VERIFYING,
        ModelReason.VERIFYING,
        "",
        deployment=deployment,
        plan=planned,
        record=record_of(deployment),
        targets=targets,
        verdicts=verdicts,
        expected_sources=deployment.replicas * ranks,
        block_size=next((size for size in sizes if size), None),
        asked=any(pod.uid in answers for pod in pods),
    )
    return _progress(view, pods, observed)


def _carries(pod: Pod, planned: ModelPlan) -> bool:
    """Whether a pod was made from the configured template, not from the one before it."""
    assert planned.desired is not None  # only a refused plan has none
    container = pod.container(planned.desired.container)
    labelled = pod.labels.get(EVENTS_LABEL) == "true"
    return (
        labelled
        and container is not None
        and contains_run(container.args, planned.desired.arguments)
    )


def _ranks(deployment: Deployment, planned: ModelPlan) -> int:
    assert planned.engine is not None  # only a refused plan has none
    container = deployment.container(planned.engine.container)
    words = container.words if container else ()
    return data_parallel_ranks(words)


def _targets(pods: tuple[Pod, ...], ranks: int, observed: Observed) -> tuple[Target, ...]:
    events, probe = observed.spec.events, observed.spec.probe
    return tuple(
        Target(
            key=SourceKey(pod.namespace, pod.name, pod.uid, rank),
            host=pod.ip,
            # vLLM adds the rank to both ports (offset_endpoint_port in kv_events.py).
            port=events.port + rank,
            replay_port=events.replay_port + rank,
            topic=events.topic,
            active_check=probe.active_check,
        )
        for pod in sorted(pods, key=lambda pod: pod.name)
        if pod.running
        for rank in range(ranks)
    )


def _not_yet(key: SourceKey) -> Verdict:
    return Verdict(
        key, SourceReason.CONNECTING, verified=False, settled=False, message="being probed"
    )


def _trusted(verdict: Verdict) -> Verdict:
    """A source of a verified model stands until something speaks against it: a probe that has only
    begun, as after a restart of the operator, is no news."""
    if verdict.settled:
        return verdict
    return replace(verdict, reason=SourceReason.IDLE, verified=True)


def _progress(view: ModelView, pods: tuple[Pod, ...], observed: Observed) -> ModelView:
    deployment, planned = view.deployment, view.plan
    assert deployment is not None  # _configured has both
    assert planned is not None
    on_trial = not was_verified(view.name, view.record, observed)
    trouble = _trouble(planned, pods)
    if trouble is not None:
        return _failing(view, trouble.reason, str(trouble), observed, on_trial=on_trial)
    rollout = deployment.rollout
    late = view.record is not None and observed.now > (
        view.record.at + observed.spec.rollout.progress_deadline
    )
    if not rollout.complete:
        waiting = pending_words(pods)
        message = f"{rollout}." + (f" Waiting: {waiting}" if waiting else "")
        if late and on_trial:
            reason = ModelReason.PROGRESS_DEADLINE_EXCEEDED
            return _failing(view, reason, message, observed, on_trial=True)
        return _at(view, ModelState.ROLLING_OUT, ModelReason.ROLLING_OUT, message)
    if deployment.replicas == 0:
        message = "Scaled to zero: no pod publishes. It is verified when it is scaled up."
        return _at(view, ModelState.READY, ModelReason.SCALED_TO_ZERO, message)
    return _by_sources(view, observed, on_trial=on_trial, late=late)


def _by_sources(view: ModelView, observed: Observed, *, on_trial: bool, late: bool) -> ModelView:
    if view.verified_sources >= view.expected_sources:
        message = f"{view.verified_sources} of {view.expected_sources} sources verified."
        return _at(view, ModelState.READY, ModelReason.VERIFIED, message)
    open_verdicts = [verdict for verdict in view.verdicts if not verdict.verified]
    idle = [v for v in open_verdicts if v.reason is SourceReason.IDLE]
    if idle and len(idle) == len(open_verdicts):
        message = "The publishers are reachable and silent; send a prompt of more than one block."
        return _at(view, ModelState.VERIFYING, ModelReason.WAITING_FOR_TRAFFIC, message)
    settled = [verdict for verdict in open_verdicts if verdict.settled]
    if not settled:
        message = f"{view.verified_sources} of {view.expected_sources} sources verified so far."
        return _at(view, ModelState.VERIFYING, ModelReason.VERIFYING, message)
    worst = settled[0]
    message = f"{worst.key.pod}: {worst.message} {worst.remedy}".strip()
    if late and on_trial:
        return _failing(view, ModelReason.SOURCES_FAILING, message, observed, on_trial=True)
    state = ModelState.VERIFYING if on_trial else ModelState.DEGRADED
    return _at(view, state, worst.reason, message)


def was_verified(name: str, record: Record | None, observed: Observed) -> bool:
    """Whether the change that stands on a model was seen working before: it is then no longer on trial.

    The status keeps when. A model whose entry is lost counts as on trial; that can only roll back
    within its deadline, which is long over for a model that has worked for a while.
    """
    entries = observed.sync.status.get("models") or ()
    for entry in entries:
        if entry.get("name") == name:
            return bool(entry.get("verifiedRecord") == record_mark(record))
    return False


def record_mark(record: Record | None) -> int:
    """What the status keeps of a verified change: the time of its record; 0 for an adopted model."""
    return record.at if record else 0


def _failing(
    view: ModelView, reason: str, message: str, observed: Observed, *, on_trial: bool
) -> ModelView:
    if not on_trial:
        return _at(view, ModelState.DEGRADED, reason, message)
    wanted = observed.spec.rollout.on_failure is OnFailure.ROLLBACK
    return _at(
        view, ModelState.FAILED, reason, message, roll_back=wanted and view.record is not None
    )


def _at(
    view: ModelView, state: ModelState, reason: str, message: str, *, roll_back: bool = False
) -> ModelView:
    return replace(view, state=state, reason=str(reason), message=message, roll_back=roll_back)
