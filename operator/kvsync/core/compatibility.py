"""Whether the gateway in use would reach and decode what the engines publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvsync.core.assess import ModelView
from kvsync.core.consumption.gateway import gateway_in_use
from kvsync.core.consumption.gateway_rules import issues_of_gateway
from kvsync.core.consumption.rules import Case, issues_of
from kvsync.core.consumption.subject import subjects_of
from kvsync.core.consumption.wording import Said, explain, praise
from kvsync.core.gateway_fold import Fold, fold
from kvsync.core.gateway_wish import own_member
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason

Finding = tuple[str, ConditionReason, str]
"""Status as in metav1, reason, message."""


@dataclass(frozen=True, slots=True)
class Compatibility:
    """The condition GatewayCompatible, and for each model its own reason."""

    finding: Finding
    models: Mapping[str, ConditionReason]
    """Compatible, or the gravest reason why not; models without a known engine are not among them."""


def compatibility(observed: Observed, views: Sequence[ModelView]) -> Finding:
    """The condition GatewayCompatible: the gravest thing that keeps events from being used."""
    folded = fold(own_member(observed, views), observed.others)
    return compatibility_by_model(observed, views, folded).finding


def compatibility_by_model(
    observed: Observed, views: Sequence[ModelView], folded: Fold
) -> Compatibility:
    """The same, and what is true of each model; the order of models and sources does not matter."""
    gateway = gateway_in_use(observed, folded)
    subjects = sorted(
        (subject for view in views for subject in subjects_of(view, observed)),
        key=lambda subject: subject.place,
    )
    sizes = frozenset(s.block_size for s in subjects if s.block_size)
    general: list[Said] = [("", issue) for issue in issues_of_gateway(gateway)]
    by_model: dict[str, list[Said]] = {subject.model: [] for subject in subjects}
    for subject in subjects:
        issues = issues_of(Case(subject, gateway, sizes))
        by_model[subject.model] += [(subject.name, issue) for issue in issues]
    everything = _ordered([*general, *(said for found in by_model.values() for said in found)])
    models = {name: _reason(_ordered([*general, *found])) for name, found in by_model.items()}
    if everything:
        first = everything[0][1]
        status = "False" if first.certain else "Unknown"
        return Compatibility((status, first.reason, explain(everything)), models)
    if not subjects:
        message = "No engine is known yet whose events could be judged."
        return Compatibility(("Unknown", ConditionReason.WAITING_FOR_MODELS, message), models)
    return Compatibility(("True", ConditionReason.COMPATIBLE, praise(gateway, subjects)), models)


def _ordered(found: Sequence[Said]) -> list[Said]:
    return sorted(found, key=lambda said: said[1].gravity)


def _reason(found: Sequence[Said]) -> ConditionReason:
    return found[0][1].reason if found else ConditionReason.COMPATIBLE
