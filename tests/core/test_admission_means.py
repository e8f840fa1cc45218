"""Mode Admission where it cannot work: refused, in the words of the cause, with a way out."""

from dataclasses import replace

import pytest

from core.objects import ask, container, deployment, reason_of, spec_of
from kvsync.core.admission import unavailable
from kvsync.core.plan import plan
from kvsync.model.admission import NOT_KNOWN, AdmissionMeans
from kvsync.model.spec import Mode
from kvsync.model.version import Version
from kvsync.model.workload import Deployment

BODY = deployment(container())
MODEL = Deployment(BODY)


@pytest.mark.parametrize(
    ("means", "why", "way_out"),
    [
        (
            AdmissionMeans(True, False, Version(1, 33)),
            "for Kubernetes 1.33 has no MutatingAdmissionPolicy.",
            "Upgrade to Kubernetes 1.36, or set spec.mode to Render.",
        ),
        (
            AdmissionMeans(True, False, Version(1, 34)),
            "for Kubernetes 1.34 has MutatingAdmissionPolicy as a beta, which is off here.",
            "--runtime-config=admissionregistration.k8s.io/v1beta1=true and "
            "--feature-gates=MutatingAdmissionPolicy=true of kube-apiserver",
        ),
        (
            AdmissionMeans(False, False, Version(1, 36)),
            "for this API server does not serve MutatingAdmissionPolicy",
            "Have it switched on again, or set spec.mode to Render.",
        ),
        (
            AdmissionMeans(False, False),
            "for this API server does not serve MutatingAdmissionPolicy",
            "Have it switched on again",
        ),
        (
            AdmissionMeans(False, True, Version(1, 36)),
            "for the operator was not told that its admission policy is installed.",
            "helm upgrade with admission.enabled=true, or kubectl apply of "
            "docs/samples/install/admission.yaml and kvsync run --admission-policy",
        ),
        (
            AdmissionMeans(True, True, Version(1, 36), frozenset({"default"})),
            "for the admission policy leaves out namespace default.",
            "Move the model to another namespace, or set spec.mode to Render.",
        ),
    ],
)
def test_it_is_refused_with_the_cause_and_the_way_out(
    means: AdmissionMeans, why: str, way_out: str
) -> None:
    refusal = unavailable(MODEL, means)
    assert refusal is not None
    assert refusal.reason == "AdmissionUnavailable"
    assert why in refusal.message
    assert way_out in refusal.remedy
    assert "Render" in refusal.remedy


@pytest.mark.parametrize(
    "means",
    [
        NOT_KNOWN,
        AdmissionMeans(True),
        AdmissionMeans(True, True, Version(1, 34)),
        AdmissionMeans(True, True, None, frozenset({"kvsync-system"})),
    ],
)
def test_where_it_works_or_nobody_knows_it_is_not(means: AdmissionMeans) -> None:
    assert unavailable(MODEL, means) is None


def test_a_model_is_refused_by_it_in_mode_admission_alone() -> None:
    means = AdmissionMeans(policy=False)
    asked = {mode: replace(ask(spec_of(mode=mode)), admission=means) for mode in Mode}
    found = {mode: reason_of(plan(MODEL, each)) for mode, each in asked.items()}
    assert found.pop(Mode.ADMISSION) == "AdmissionUnavailable"
    assert "AdmissionUnavailable" not in found.values()
