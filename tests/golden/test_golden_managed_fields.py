"""What is decided for each owner's object before anything is written, by the fields that it owns."""

import pytest

from core.objects import ask
from golden.owners import CORPUS, Json, owned
from kvsync.core.patch import apply
from kvsync.core.plan import plan, plan_undo
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.model.storm import KIND, StormService
from kvsync.model.workload import Deployment

OWNED, AT_RISK, FREE = "ArgsOwned", "ArgsAtRisk", ""
ARGO_APPLICATION = "Argo CD Application models"
VERDICTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "argocd-client-side": (OWNED, ("Argo CD (", "operation Update", ARGO_APPLICATION)),
    "argocd-client-side-no-args": (FREE, ()),
    "argocd-server-side": (OWNED, ("Argo CD (", "operation Apply", ARGO_APPLICATION)),
    "argocd-server-side-no-args": (FREE, ()),
    "flux": (OWNED, ("Flux (", "Flux Kustomization flux-system/models")),
    "flux-no-args": (FREE, ()),
    "helm-3": (AT_RISK, ("Helm (", "operation Update", "Helm release release")),
    "helm-3-no-args": (FREE, ()),
    "helm-4": (OWNED, ("Helm (", "operation Apply", "Helm release release")),
    "helm-4-no-args": (FREE, ()),
    "helm-4-client-side": (AT_RISK, ("Helm (", "operation Update")),
    "kubectl-apply": (AT_RISK, ("kubectl apply (manager kubectl-client-side-apply",)),
    "kubectl-apply-no-args": (FREE, ()),
    "kubectl-apply-server-side": (OWNED, ("kubectl apply --server-side (manager kubectl,",)),
    "kubectl-apply-server-side-no-args": (FREE, ()),
    "kubectl-create": (FREE, ()),
    "stormservice-kubectl-apply": (AT_RISK, ("kubectl apply (", "role prefill of StormService")),
    "stormservice-kubectl-apply-server-side": (
        OWNED,
        ("owns the whole list of roles of role prefill",),
    ),
    "stormservice-kubectl-create": (FREE, ()),
}


def workload(body: Json) -> Deployment:
    return StormService(body) if body["kind"] == KIND else Deployment(body)


def said(made: ModelPlan) -> tuple[str, str]:
    """The reason that speaks of ownership, refusal or note, and its words."""
    if made.refusal is not None:
        return made.refusal.reason, str(made.refusal)
    risky = [note for note in made.notes if note.reason == AT_RISK]
    return (AT_RISK, risky[0].message) if risky else (FREE, "")


@pytest.mark.parametrize("name", VERDICTS)
def test_what_is_decided_for_each_owner(name: str) -> None:
    reason, words = VERDICTS[name]
    made = plan(workload(owned(name)), ask())
    found, message = said(made)
    assert found == reason
    assert [word for word in words if word not in message] == []
    assert made.outcome is (Outcome.REFUSED if reason == OWNED else Outcome.CHANGE)
    if reason == OWNED:
        assert "kvsync render" in message, "the way that works today"


@pytest.mark.parametrize("name", [n for n, (reason, _) in VERDICTS.items() if reason != OWNED])
def test_what_is_done_stays_and_is_undone_exactly(name: str) -> None:
    before = owned(name)
    made = plan(workload(before), ask())
    # Our patch takes the fields over, which no pure function plays: nobody owns them now.
    done = apply(before, made.patch)
    mine = {**done, "metadata": {**done["metadata"], "managedFields": []}}
    again = plan(workload(mine), ask())
    assert again.outcome is Outcome.UNCHANGED
    assert said(again)[0] == said(made)[0], "the note outlives the owner's entry"
    assert apply(done, plan_undo(workload(done))) == before


def test_every_owner_has_a_verdict() -> None:
    assert {path.stem for path in CORPUS.glob("*.yaml")} == VERDICTS.keys()
