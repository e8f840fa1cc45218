"""What Flux makes of a KVEventSync: by its expressions in the example, and by kstatus without them."""

from typing import Any

import cel
import pytest

from gitops.examples import tools
from gitops.pictures import PICTURES, expected

Json = dict[str, Any]

IN_PROGRESS, FAILED, CURRENT = "InProgress", "Failed", "Current"


def _expressions() -> dict[str, str]:
    (found,) = (
        each
        for _, body in tools()
        if body["kind"] == "Kustomization"
        for each in body["spec"].get("healthCheckExprs", ())
    )
    assert (found.pop("apiVersion"), found.pop("kind")) == (
        "kvsync.aibrix.ai/v1alpha1",
        "KVEventSync",
    )
    return dict(found)


def by_expressions(body: Json) -> str:
    """As Flux evaluates them (fluxcd/pkg, runtime/cel/status_evaluator.go); what errors is waited for."""
    status = body.get("status") or {}
    seen = status.get("observedGeneration")
    if seen is not None and seen != body["metadata"]["generation"]:
        return IN_PROGRESS
    expressions = _expressions()
    order = (("failed", FAILED), ("current", CURRENT))
    assert expressions.keys() == {key for key, _ in order}
    try:
        return next(
            (name for key, name in order if cel.evaluate(expressions[key], dict(body))), IN_PROGRESS
        )
    except RuntimeError:
        return IN_PROGRESS


def by_kstatus(body: Json) -> str:
    """The published rules (sigs.k8s.io/cli-utils 0.37, pkg/kstatus/status/generic.go and core.go)."""
    if body["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = body.get("status") or {}
    seen = status.get("observedGeneration")
    if seen is not None and seen != body["metadata"]["generation"]:
        return IN_PROGRESS
    conditions = status.get("conditions") or ()
    for each in conditions:
        if (each["type"], each["status"]) == ("Reconciling", "True"):
            return IN_PROGRESS
        if (each["type"], each["status"]) == ("Stalled", "True"):
            return FAILED
    ready = next((each["status"] for each in conditions if each["type"] == "Ready"), "True")
    return CURRENT if ready == "True" else IN_PROGRESS


LIVING = {name: make for name, make in PICTURES.items() if not name.startswith("terminating")}


@pytest.mark.parametrize("name", LIVING)
def test_flux_waits_fails_and_goes_on_as_argo_cd(name: str) -> None:
    body = LIVING[name]()
    state = expected(body)[0]
    told = {"Healthy": CURRENT, "Progressing": IN_PROGRESS, "Degraded": FAILED}
    if state in told:
        assert by_expressions(body) == told[state]
    else:  # Flux knows no suspension of the objects that it applies
        assert by_expressions(body) in (CURRENT, IN_PROGRESS)


@pytest.mark.parametrize("name", LIVING)
def test_without_them_an_object_that_nobody_looked_at_counts_as_done(name: str) -> None:
    """And one of whose models some move is not called failed for those that cannot."""
    body = LIVING[name]()
    if "status" not in body:
        assert by_kstatus(body) == CURRENT
    elif _moves(body):
        assert by_kstatus(body) == IN_PROGRESS
    else:
        assert by_kstatus(body) == by_expressions(body)


def _moves(body: Json) -> bool:
    conditions = body["status"]["conditions"]
    return any((c["type"], c["status"]) == ("Reconciling", "True") for c in conditions)


def test_kstatus_knows_the_way_out() -> None:
    leaving = [make() for name, make in PICTURES.items() if name.startswith("terminating")]
    assert {by_kstatus(body) for body in leaving} == {"Terminating"}
