"""The rights of the operator's account, by the table of ``core.rights``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from kvsync.core.doctor.facts import Facts, Unread
from kvsync.core.doctor.finding import Finding, good, left_open, wrong
from kvsync.core.rights import Grant, Right

_GIVE = (
    "Give it by the chart (rbac.create=true) or by the roles of docs/samples/install/operator.yaml; "
    "kubectl auth can-i --list shows what there is."
)
_SHOWN = 4


def permissions(facts: Facts) -> Iterator[Finding]:
    """The operator's account has every right that the operator uses."""
    check, said = "permissions", facts.rights
    if isinstance(said, Unread):
        yield left_open(
            check,
            said.why,
            "Ask as somebody who may create subjectaccessreviews, or from inside: helm test, or kubectl "
            "exec into the operator's pod.",
        )
        return
    lacking = [each for each in said.answers if each.allowed is False]
    unknown = [each for each in said.answers if each.allowed is None]
    for right, some in groupby(lacking, key=lambda each: each.right):
        yield _lacking(said.account, right, [each.grant for each in some])
    if unknown:
        yield left_open(
            check,
            f"{len(unknown)} of {len(said.answers)} rights of {said.account} could not be asked for: "
            f"{unknown[0].why.rstrip('.')}.",
            "Try again; or ask from inside the cluster: helm test.",
        )
    given = len(said.answers) - len(lacking) - len(unknown)
    if given and not unknown:
        which = f"The other {given} rights" if lacking else f"All {given} rights"
        how = "SelfSubjectAccessReview" if said.itself else "SubjectAccessReview"
        yield good(check, f"{which} of {said.account} are there, by {how}.")


def _lacking(account: str, right: Right, grants: Sequence[Grant]) -> Finding:
    verbs = ", ".join(dict.fromkeys(grant.verb for grant in grants))
    spots = list(dict.fromkeys(map(_where, grants)))
    more = f" and {len(spots) - _SHOWN} more" if len(spots) > _SHOWN else ""
    seen = (
        f"{account} may not {verbs} {right} {', '.join(spots[:_SHOWN])}{more}, which is needed to "
        f"{right.why}. Without it: {right.lost}"
    )
    if right.optional:
        return left_open("permissions", seen, f"Leave it so if it is meant. {_GIVE}")
    return wrong("permissions", seen, _GIVE)


def _where(grant: Grant) -> str:
    namespace, name = grant.spot.namespace, grant.spot.name
    if not namespace:
        return "in the cluster"
    return f"{name} in {namespace}" if name else f"in {namespace}"
