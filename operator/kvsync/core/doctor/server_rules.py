"""The API server and the CRD."""

from __future__ import annotations

from collections.abc import Iterator

from kvsync.core.doctor.facts import Facts, Unread
from kvsync.core.doctor.finding import Finding, good, left_open, wrong
from kvsync.model.version import Version

POLICY_SINCE = Version(1, 30)
"""The first Kubernetes with ``ValidatingAdmissionPolicy`` in ``admissionregistration.k8s.io/v1``."""

SIDECARS_SINCE = Version(1, 29)
"""The first Kubernetes that starts native sidecars without being told to (feature SidecarContainers)."""

_SHOWN = 3


def api_server(facts: Facts) -> Iterator[Finding]:
    """It answers, and is new enough for all that is installed."""
    check, said, host = "api-server", facts.server, facts.stand.server
    if isinstance(said, Unread):
        yield wrong(
            check,
            f"{said.why.rstrip('.')}.",
            "See that the kubeconfig and its context are those of the cluster, and that it can be reached: "
            "kubectl get --raw /version.",
        )
    elif said is None:
        yield left_open(
            check, f"{host} answers and names no release.", "Nothing, if all else is good."
        )
    elif said >= POLICY_SINCE:
        yield good(check, f"{host} answers; Kubernetes {said.major}.{said.minor}.")
    else:
        relays = "" if said >= SIDECARS_SINCE else " Relays are written as plain containers there."
        yield left_open(
            check,
            f"{host} answers; Kubernetes {said.major}.{said.minor} is older than 1.30, which the Helm chart "
            f"needs for its admission policy.{relays}",
            "Upgrade it, or install with docs/samples/install/operator.yaml, which has no such policy.",
        )


def crd(facts: Facts) -> Iterator[Finding]:
    """KVEventSync is served, with every field that this release knows."""
    check, said = "crd", facts.crd
    apply = (
        "Bring it up to date: helm upgrade with crds.enabled=true, or kubectl apply --server-side -f "
        "crds/kveventsync.yaml of this release."
    )
    if isinstance(said, Unread) and said.missing:
        yield wrong(
            check, "The API server does not serve KVEventSync: the CRD is not installed.", apply
        )
    elif isinstance(said, Unread):
        yield left_open(check, said.why, "Ask as somebody who may read the API's discovery.")
    elif said.missing:
        more = len(said.missing) - _SHOWN
        shown = ", ".join(said.missing[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        yield wrong(
            check,
            f"KVEventSync is served by an older CRD: it lacks {shown}, and the API server drops what "
            "it does not know.",
            apply,
        )
    else:
        yield good(check, f"KVEventSync is served with all {said.known} fields of this release.")
