"""What mode Admission stands on: the policy that writes into pods, as far as it is known to be there."""

from __future__ import annotations

from dataclasses import dataclass

from kvsync.model.version import Version

POLICY_KIND = "MutatingAdmissionPolicy"
POLICY_GROUP = "admissionregistration.k8s.io"
POLICY_VERSIONS = ("v1", "v1beta1")
"""Versions of that group which may serve the kind, the one to prefer first."""

POLICY_SINCE = Version(1, 36)
"""The first Kubernetes that serves the kind without being told to (KEP-3962)."""

POLICY_BETA_SINCE = Version(1, 34)
"""The first that has it as a beta, which is off unless its API and its gate are switched on (KEP-3962)."""


@dataclass(frozen=True, slots=True)
class AdmissionMeans:
    """Whether pods can be given anything as they are created.

    ``policy``: whether the operator was told that the policy is installed; it may not look itself.
    ``served``: whether the API server knows the kind. None, of either: not known, and taken for yes.
    ``left_out``: the namespaces that the policy does not reach.
    """

    policy: bool | None = None
    served: bool | None = None
    kubernetes: Version | None = None
    left_out: frozenset[str] = frozenset()

    def reaches(self, namespace: str) -> bool | None:
        """Whether the pods of a namespace get anything; None where that is not known."""
        if namespace in self.left_out or False in (self.policy, self.served):
            return False
        return None if None in (self.policy, self.served) else True


NOT_KNOWN = AdmissionMeans()
"""Where nobody asked: for whoever only plans."""
