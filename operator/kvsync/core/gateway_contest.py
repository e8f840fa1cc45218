"""A gateway whose variables someone sets back: how often they are set again, and who does it.

What the gateway lacks although our record on it says that we wrote it, or the status that it was seen
to have it (an opponent may wipe the record), was taken off by someone; anything else that differs is
a change of our own. Each repair restarts the gateway, so they are bounded like those of models
(``core.repairs``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvsync.core.contest import WAY_ON, taker
from kvsync.core.digest import digest
from kvsync.core.gateway import configured_variables
from kvsync.core.gateway_fold import Member
from kvsync.core.moment import timestamp
from kvsync.core.opponent import name_of
from kvsync.core.ownership import Field, claims_on, variable_field
from kvsync.core.reached import Consumer
from kvsync.core.repairs import LIMIT, Count, count, one_more, settled
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.record import REPAIRS_ANNOTATION
from kvsync.model.repairs import Repairs, load_repairs, read_repairs

Variables = Mapping[str, str]

_WAYS = (
    "1. Leave these variables out of its manifest (AIBrix's chart: gatewayPlugin.container.envs). "
    "2. Set them there to the same values. 3. Set spec.gateway.manage to false."
)


@dataclass(frozen=True, slots=True)
class GatewayContest:
    """Where a gateway stands among those who write it.

    ``terms`` is the digest of what it was last seen to have. ``made``: the repairs
    to be remembered, ``repair``: the same with the one that is due now.
    ``held``: why it is not set again now; empty where nothing holds it. ``ended``: a person must act.
    """

    terms: str
    made: Repairs | None = None
    repair: Repairs | None = None
    held: str = ""
    ended: bool = False
    next_at: int | None = None


def gateway_contest(
    observed: Observed,
    members: Sequence[Member],
    lacking: Sequence[tuple[Consumer, Variables]],
    wanted: Sequence[Variables],
) -> GatewayContest:
    """Who took what off the gateway, if anyone did, and what comes next.

    ``lacking`` are the Deployments that do not have what is wanted of them, of all that is wanted.
    """
    terms = _terms(members, wanted)
    entry = _entry(observed)
    told = read_repairs(entry.get("repairs"))
    if not lacking:
        left = settled(told, observed.now) if told is not None and told.terms == terms else None
        return GatewayContest(terms, left)
    seen = str(entry.get("terms") or "")
    if seen != terms and not any(_was_written(*each) for each in lacking):
        return GatewayContest(seen, told)
    return _disputed(observed, lacking, terms, told)


def _disputed(
    observed: Observed,
    lacking: Sequence[tuple[Consumer, Variables]],
    terms: str,
    told: Repairs | None,
) -> GatewayContest:
    counted = _count([consumer for consumer, _ in lacking], told, terms, observed.now)
    if counted.is_due(observed.now):
        by, _ = _opponent(*lacking[0])
        repair = one_more(counted.made, observed.now, by)
        return GatewayContest(terms, counted.made, repair)
    # As first told, lest an opponent who writes every second makes us write every second too.
    entry = _entry(observed)
    same = entry.get("state") == ConditionReason.CONTENDED and told == counted.made
    before = str(entry.get("message") or "") if same else ""
    return GatewayContest(
        terms,
        counted.made,
        held=before or _in_words(*lacking[0], counted),
        ended=counted.ended,
        next_at=counted.next_at,
    )


def _was_written(consumer: Consumer, wanted: Variables) -> bool:
    """Whether a variable that is not as wanted is, by our record, one that we set so."""
    container = consumer.deployment.container(consumer.container)
    written = configured_variables(consumer.deployment)
    return container is not None and any(
        written.get(name) == value and container.env(name) != value
        for name, value in wanted.items()
    )


def _count(consumers: Sequence[Consumer], told: Repairs | None, terms: str, now: float) -> Count:
    """By the copy on each Deployment, and by that in the status."""
    copies = [load_repairs(c.deployment.annotations.get(REPAIRS_ANNOTATION)) for c in consumers]
    fullest = max(
        (copy for copy in copies if copy is not None and copy.terms == terms),
        key=lambda copy: len(copy.times),
        default=None,
    )
    return count(fullest, told, terms, now)


def _in_words(consumer: Consumer, wanted: Variables, counted: Count) -> str:
    by, title = _opponent(consumer, wanted)
    took = f"{by} took the {title} of Deployment {consumer.title} back"
    if counted.next_at is None:
        return f"{took} after {LIMIT} repairs within 30 minutes: it is left so. {_WAYS} {WAY_ON}"
    at = timestamp(counted.next_at)
    return f"{took}; repair {counted.number} of {LIMIT} comes at {at}."


def _opponent(consumer: Consumer, wanted: Variables) -> tuple[str, str]:
    """Who has, or had, the first variable that is not as wanted, and which one that is."""
    live = consumer.deployment
    container = live.container(consumer.container)
    missing = [
        variable_field(consumer.container, name)
        for name, value in wanted.items()
        if container is None or container.env(name) != value
    ] or [Field(f"environment of container {consumer.container}")]
    _, title, holder = taker(live, missing, claims_on(live, missing))
    return name_of(holder, live), title


def _entry(observed: Observed) -> Mapping[str, object]:
    """What the status tells of this gateway; nothing of another one."""
    spec, entry = observed.spec.gateway, observed.sync.status.get("gateway") or {}
    same = entry.get("deployment") == f"{spec.namespace}/{spec.deployment}"
    return entry if same else {}


def _terms(members: Sequence[Member], wanted: Sequence[Variables]) -> str:
    """A digest of what all want; whoever asks for another try changes it."""
    retries = sorted({member.wish.retry for member in members})
    return digest([[dict(each) for each in wanted], retries])
