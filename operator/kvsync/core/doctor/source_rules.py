"""The sources: reached, open, publishing, labelled; the product text's "events not publishing"."""

from __future__ import annotations

from collections.abc import Iterator

from kvsync.core.doctor.facts import Facts, ObjectFacts
from kvsync.core.doctor.finding import Finding, Mark, good, left_open, wrong
from kvsync.model.source import SourceReason
from kvsync.model.verification import SourceFinding

MOST = 5
"""Failing sources, pods or log lines of one object that are told."""

_CLOSED = frozenset(
    {SourceReason.PORT_CLOSED, SourceReason.NOT_ZMQ, SourceReason.WRONG_SOCKET_TYPE}
)
_INSIDE = (
    "Ask from inside the cluster: helm test, or kubectl -n kvsync-system exec deploy/kvsync-operator -- "
    "kvsync doctor. For one pod: kubectl port-forward and kvsync probe."
)
_POLICIES = "See the NetworkPolicies of its namespace, and its node."


def network(facts: Facts) -> Iterator[Finding]:
    """There is a way from here to the event ports."""
    for each in facts.syncs:
        looked = _looked(each)
        if not looked:
            continue
        lost = [source for source in looked if source.unreached]
        reached = len(looked) - len(lost)
        more = f" {each.left_out} more were not tried." if each.left_out else ""
        if not lost:
            seen = f"{reached} of {len(looked)} event ports reached {facts.stand.words}.{more}"
            yield good("network", seen, each.title)
        elif reached or facts.stand.inside:
            seen = (
                f"{len(lost)} of {len(looked)} event ports cannot be reached {facts.stand.words}: "
                f"{_where(lost[0])}.{more}"
            )
            yield wrong("network", seen, _POLICIES, each.title)
        else:
            seen = f"None of {len(looked)} event ports can be reached {facts.stand.words}.{more}"
            yield left_open("network", seen, _INSIDE, each.title)


def ports(facts: Facts) -> Iterator[Finding]:
    """The event ports are open, and declared."""
    for each in facts.syncs:
        closed = [s for s in _looked(each) if s.verdict.reason in _CLOSED]
        for source in closed[:MOST]:
            yield wrong(
                "event-ports",
                f"{_where(source)}: {source.verdict.message}",
                source.remedy or "See the engine's log.",
                each.title,
            )
        undeclared = {
            model: ports
            for model, engines in each.engines.items()
            if (ports := sorted({port for engine in engines for port in engine.undeclared}))
        }
        for model, numbers in undeclared.items():
            yield left_open(
                "event-ports",
                f"The pods of {model} do not declare {', '.join(map(str, numbers))}.",
                "Declared ports open nothing; declare them where a mesh or a policy goes by names.",
                each.title,
            )
        reached = [source for source in _looked(each) if not source.unreached]
        if reached and not closed and not undeclared:
            yield good("event-ports", f"Open on {len(reached)} sources, and declared.", each.title)


def publishing(facts: Facts) -> Iterator[Finding]:
    """Every source publishes, by the operator's own judgement."""
    for each in facts.syncs:
        if each.found.problem is not None:
            reason, message = each.found.problem
            remedy = f"docs/runbook.md has an entry for {reason}."
            yield left_open("publishing", f"{reason}: {message}", remedy, each.title)
            continue
        yield from _of_models(each)
        looked = _looked(each)
        reached = [source for source in looked if not source.unreached]
        failing = [s for s in reached if not s.healthy and s.verdict.reason not in _CLOSED]
        for source in failing[:MOST]:
            mark = wrong if source.verdict.settled else left_open
            seen = f"{_where(source)}: {source.verdict.reason}: {source.verdict.message}"
            yield mark("publishing", seen, source.remedy or "See docs/runbook.md.", each.title)
        if len(failing) > MOST:
            yield left_open(
                "publishing",
                f"{len(failing) - MOST} more sources fail.",
                "kvsync verify lists them all.",
                each.title,
            )
        if reached and all(source.healthy for source in reached):
            proven = sum(source.verdict.verified for source in reached)
            seen = f"{len(reached)} sources are healthy, {proven} of them proven to publish."
            yield good("publishing", seen, each.title)


def _of_models(each: ObjectFacts) -> Iterator[Finding]:
    """Models that say something which no source of theirs says."""
    for model in each.found.models:
        if model.trouble and model.name not in each.refused:
            yield left_open(
                "publishing",
                f"{model.name}: {model.reason}: {model.message}",
                f"docs/runbook.md has an entry for {model.reason}.",
                each.title,
            )


def labels(facts: Facts) -> Iterator[Finding]:
    """The pods carry the label by which the gateway finds them."""
    for each in facts.syncs:
        engines = [engine for model in each.engines.values() for engine in model]
        bare = sorted(pod for engine in engines for pod in engine.unlabelled)
        labelled = sum(engine.labelled for engine in engines)
        if bare:
            more = f" and {len(bare) - MOST} more" if len(bare) > MOST else ""
            yield wrong(
                "labels",
                f"Without the label model.aibrix.ai/kv-events-enabled=true, so that no gateway hears "
                f"them: {', '.join(bare[:MOST])}{more}.",
                "Somebody took it off, or the pod is older than its template: delete the pod, and see the "
                "condition EventsFlowing.",
                each.title,
            )
        elif labelled:
            yield good("labels", f"{labelled} pods carry the gateway's label.", each.title)


def engine_logs(facts: Facts) -> Iterator[Finding]:
    """What the logs of engines that do not publish say."""
    for each in facts.syncs:
        for pod, line in sorted(each.last_words.items())[:MOST]:
            yield Finding(
                "engine-log",
                Mark.OPEN,
                f"{pod}: {line}" if line else f"{pod}: its log names no error.",
                f"Read it: kubectl -n {each.found.namespace} logs {pod}.",
                each.title,
            )


def _looked(each: ObjectFacts) -> list[SourceFinding]:
    """The sources that were connected to."""
    sources = (source for model in each.found.models for source in model.sources)
    return [source for source in sources if source.target is not None and source.seen is not None]


def _where(source: SourceFinding) -> str:
    key, target = source.verdict.key, source.target
    port = f" port {target.port}" if target is not None else ""
    return f"{key.pod}{port}"
