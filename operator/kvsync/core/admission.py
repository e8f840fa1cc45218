"""Whether mode Admission can work here at all, and the refusal where it cannot."""

from __future__ import annotations

from kvsync.model.admission import (
    POLICY_BETA_SINCE,
    POLICY_GROUP,
    POLICY_KIND,
    POLICY_SINCE,
    AdmissionMeans,
)
from kvsync.model.finding import Refusal
from kvsync.model.reasons import ModelReason
from kvsync.model.workload import Deployment

INSTALL = (
    "helm upgrade with admission.enabled=true, or kubectl apply of docs/samples/install/admission.yaml and "
    "kvsync run --admission-policy"
)
"""How the policy comes into a cluster."""

SWITCH_ON = (
    f"--runtime-config={POLICY_GROUP}/v1beta1=true and "
    f"--feature-gates={POLICY_KIND}=true of kube-apiserver"
)
"""How an API server comes to serve the beta."""


def unavailable(workload: Deployment, means: AdmissionMeans) -> Refusal | None:
    """The refusal of a workload in mode Admission where its pods would get nothing; None where they may."""
    namespace = workload.namespace
    if means.served is False:
        why, way_out = not_served(means)
    elif means.policy is False:
        why = "the operator was not told that its admission policy is installed"
        way_out = f"Install it ({INSTALL})"
    elif namespace in means.left_out:
        why = f"the admission policy leaves out namespace {namespace}"
        way_out = "Move the model to another namespace"
    else:
        return None
    return Refusal(
        ModelReason.ADMISSION_UNAVAILABLE,
        f"{workload.title} is left as it is: mode Admission reaches no pod here, for {why}.",
        f"{way_out}, or set spec.mode to Render.",
    )


def not_served(means: AdmissionMeans) -> tuple[str, str]:
    """Why an API server does not serve the kind, to end a sentence; and what helps, to begin one."""
    found = means.kubernetes
    if found is None or found >= POLICY_SINCE:
        return (
            f"this API server does not serve {POLICY_KIND} ({POLICY_GROUP})",
            "Have it switched on again",
        )
    release = f"Kubernetes {found.major}.{found.minor}"
    if found >= POLICY_BETA_SINCE:
        return (
            f"{release} has {POLICY_KIND} as a beta, which is off here",
            f"Upgrade to 1.36, or switch it on ({SWITCH_ON}) and install the policy",
        )
    return f"{release} has no {POLICY_KIND}", "Upgrade to Kubernetes 1.36"
