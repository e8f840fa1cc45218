"""The policy by which pods get their settings as they are created (mode Admission)."""

from __future__ import annotations

from collections.abc import Iterator

from kvsync.core.admission import INSTALL, not_served
from kvsync.core.doctor.facts import AdmissionFacts, Facts, Unread
from kvsync.core.doctor.finding import Finding, good, left_open, wrong
from kvsync.model.admission import POLICY_KIND, AdmissionMeans

_CHECK = "admission"
_SHOWN = 3


def admission(facts: Facts) -> Iterator[Finding]:
    """The kind is served, a policy is there and bound, and the operator knows. Silent where no object is in
    that mode and no operator was told of a policy."""
    found = facts.admission
    if found is None:
        return
    if isinstance(found, Unread):
        yield left_open(_CHECK, found.why, "Ask as somebody who may read the API's discovery.")
        return
    yield _judged(found, facts)


def _judged(found: AdmissionFacts, facts: Facts) -> Finding:
    who = _wanted_by(found)
    if not found.version:
        server = None if isinstance(facts.server, Unread) else facts.server
        why, way_out = not_served(AdmissionMeans(found.told, False, server))
        return wrong(_CHECK, f"{who}: {why}.", f"{way_out}, or set spec.mode to Render.")
    served = f"{POLICY_KIND} is served ({found.version})"
    if isinstance(found.policies, Unread):
        return left_open(
            _CHECK,
            f"{served}. Whether the policy is there is not seen from here: {found.policies.why}",
            "Ask as somebody who may list mutatingadmissionpolicies and their bindings.",
        )
    if not found.policies:
        return wrong(_CHECK, f"{who}: {served}, and the policy is not installed.", f"{INSTALL}.")
    names = ", ".join(found.policies)
    if not found.bound:
        return wrong(
            _CHECK,
            f"{who}: policy {names} has no binding, so it acts on nothing.",
            f"Install it again: {INSTALL}.",
        )
    if found.told is False:
        return wrong(
            _CHECK,
            f"{who}: policy {names} is installed, and the operator was not told of it.",
            "Start it with --admission-policy (env KVSYNC_ADMISSION_POLICY=true).",
        )
    return good(_CHECK, f"{served}; policy {', '.join(found.bound)} is installed and bound.")


def _wanted_by(found: AdmissionFacts) -> str:
    if not found.wanted:
        return "No object is in mode Admission yet"
    more = len(found.wanted) - _SHOWN
    shown = ", ".join(found.wanted[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"Mode Admission reaches no pod ({shown})"
