"""What holds the restart of a gateway back: objects not looked at yet, pods that would stall it, a
tokenizer that does not work.

A gateway waits 5 s for each subscribed pod that does not answer a replay request, before it serves;
its default liveness probe kills it after about 25 s (AIBrix ``config/gateway``). So the moment counts:
every pod answers, or, after a while, so few are silent that it comes up beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsync.core.assess import ModelView
from kvsync.core.gateway_fold import Fold, GatewayValues
from kvsync.core.gateway_wish import waiting_for
from kvsync.core.moment import seconds
from kvsync.core.tokenizing import complaint, tokenizer_question
from kvsync.model.observed import Observed
from kvsync.model.reasons import ConditionReason
from kvsync.model.spec import EngineLabels
from kvsync.model.standing import GatewayWish
from kvsync.model.tokenizer import TokenizerQuestion

PATIENCE = 600.0
"""Seconds that a restart waits for every pod; models that load long take longer."""

BEARABLE = 3
"""Silent pods beside which it restarts after that: 15 s, before the liveness probe loses patience."""

CROWD = 5
"""Silent pods at once from which on another way to label them is recommended: a gateway that starts
beside so many is killed by its liveness probe before it serves."""

_RECOMMENDED = (
    f"{CROWD} or more labelled pods load at once, and a gateway waits 5 s for each: with "
    "spec.engine.labels: WhenVerified in their KVEventSync a pod is labelled only once its events were "
    "seen."
)

_LOOK = 15.0
"""Seconds to look again: one whose pods answer wakes those that wait, but the time passes by itself."""
_ASK = 30.0
"""Seconds to have a tokenizer asked again."""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a restart waits. ``stalled``: longer than it should; a person must look.

    ``since``: since when it waits for silent pods, in seconds since the epoch.
    """

    reason: ConditionReason
    message: str
    stalled: bool = False
    since: float | None = None
    question: TokenizerQuestion | None = None
    look_again: float | None = None


def hold(
    observed: Observed,
    views: Sequence[ModelView],
    own: GatewayWish,
    folded: Fold,
    values: GatewayValues,
) -> Hold | None:
    """What a restart of the gateway waits for; None where nothing holds it back."""
    waiting = waiting_for(views)
    if waiting:
        return Hold(ConditionReason.WAITING_FOR_EVENTS, waiting)
    if observed.unheard:
        first = ", ".join(observed.unheard[:_MOST_NAMED])
        message = _as_told(observed, f"Looking first at {first}.")
        return Hold(ConditionReason.WAITING_FOR_EVENTS, message)
    silent, since = silent_pods(observed, own), _waiting_since(observed)
    if silent and (observed.now - since < PATIENCE or len(silent) > BEARABLE):
        return _stall(observed, silent, since)
    return _tokenizer(observed, views, folded, values, since if silent else None)


def _as_told(observed: Observed, message: str) -> str:
    """What a moment's wait is called: as the wait before it. Each start of the operator goes through
    such moments; were each of them written down, one that is killed at every write came no further."""
    before = observed.sync.status.get("gateway") or {}
    waits = before.get("state") == ConditionReason.WAITING_FOR_EVENTS
    return str(before.get("message") or message) if waits else message


def silent_pods(observed: Observed, own: GatewayWish) -> tuple[str, ...]:
    """The pods of all objects, whatever gateway they name, that a starting one would wait for."""
    wishes = (own, *(s.wish for s in observed.others if s.wish is not None))
    return tuple(sorted({pod for wish in wishes for pod in wish.unanswering}))


def _waiting_since(observed: Observed) -> float:
    """The status keeps since when it waits, so that a new operator does not wait anew."""
    noted = (observed.sync.status.get("gateway") or {}).get("waitingSince")
    at = seconds(str(noted)) if noted else None
    return observed.now if at is None else min(at, observed.now)


def advice(observed: Observed, own: GatewayWish) -> str:
    """What spares the gateway a crowd of pods that load at once, for an object some of them are of."""
    template = observed.spec.engine.labels is EngineLabels.TEMPLATE
    if template and own.unanswering and len(silent_pods(observed, own)) >= CROWD:
        return f" {_RECOMMENDED}"
    return ""


def _stall(observed: Observed, silent: Sequence[str], since: float) -> Hold:
    late = observed.now - since >= PATIENCE
    more = len(silent) - _MOST_NAMED
    named = ", ".join(silent[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    message = (
        f"The gateway's restart waits for pods that do not answer a replay request on port 5558: "
        f"{named}. It would stall 5 s for each of them."
    )
    if late:
        message += (
            " See their engines' logs and replay_endpoint, or take the label "
            "model.aibrix.ai/kv-events-enabled off them."
        )
    if len(silent) >= CROWD:
        message += f" {_RECOMMENDED}"
    return Hold(
        ConditionReason.GATEWAY_WOULD_STALL, message, stalled=late, since=since, look_again=_LOOK
    )


def _tokenizer(
    observed: Observed,
    views: Sequence[ModelView],
    folded: Fold,
    values: GatewayValues,
    since: float | None,
) -> Hold | None:
    named = {member.wish.spec.tokenizer_endpoint for member in folded.members}
    explicit = values.tokenizer_endpoint if values.tokenizer_endpoint in named else ""
    question = tokenizer_question(observed, views, explicit, values.http_port)
    if question is None:
        return None
    answer = observed.gateway.tokenizers.get(question.url)
    if answer is None:
        message = _as_told(observed, "Asking the tokenizer before the gateway is told of it.")
        return Hold(ConditionReason.WAITING_FOR_EVENTS, message, since=since, question=question)
    if answer.works:
        return None
    return Hold(
        ConditionReason.TOKENIZER_FAILING,
        complaint(question, answer),
        since=since,
        question=question,
        look_again=_ASK,
    )
