"""The KVEventSyncs and the engines of their models."""

from __future__ import annotations

from collections.abc import Iterator

from kvsync.core.doctor.facts import EngineFacts, Facts, ObjectFacts, Unread
from kvsync.core.doctor.finding import Finding, good, left_open, wrong

_CONDITIONS = ("ModelsConfigured", "EventsFlowing", "GatewayConfigured", "GatewayCompatible")
_VERSION_FROM = {
    "Spec": "by spec.engine.version",
    "ImageTag": "by its image tag",
    "RunningEngine": "as the engine says",
}


def objects(facts: Facts) -> Iterator[Finding]:
    """Every KVEventSync is Ready."""
    for place in facts.objects:
        if isinstance(place, Unread) and place.missing:
            yield wrong("objects", place.why, "kubectl get kves -A lists all that there are.")
            continue
        if isinstance(place, Unread):
            yield left_open(
                "objects", place.why, "Ask as somebody who may list them; see docs/verify.md."
            )
            continue
        for note in place.notes:
            yield left_open("objects", note, "Ask as somebody who may read it.")
        for each in place.objects:
            yield _object(each)
        if not place.objects:
            yield good("objects", f"There is no KVEventSync in {place.place} yet.")


def _object(each: ObjectFacts) -> Finding:
    ready = each.conditions.get("Ready")
    if ready is None:
        return wrong(
            "objects",
            "The operator says nothing of it.",
            "See above whether an operator runs, and serves this namespace.",
            each.title,
        )
    status, reason, message, current = ready
    seen = f"Ready {status} ({reason}): {message}"
    if not current:
        return left_open(
            "objects",
            f"{seen} That is of an older spec.",
            "Wait a moment; if it stays so, no operator runs.",
            each.title,
        )
    if status == "True":
        return good("objects", seen, each.title)
    others = [
        f"{kind} {said[0]} ({said[1]})"
        for kind in _CONDITIONS
        if (said := each.conditions.get(kind)) and said[0] != "True" and said[1] != reason
    ]
    seen = f"{seen} {'; '.join(others)}".strip()
    remedy = f"docs/runbook.md has an entry for {reason}."
    stalled = each.conditions.get("Stalled", ("", "", "", True))[0] == "True"
    if status == "False" and (stalled or not _is_under_way(each)):
        return wrong("objects", seen, remedy, each.title)
    return left_open("objects", seen, remedy, each.title)


def _is_under_way(each: ObjectFacts) -> bool:
    return each.conditions.get("Reconciling", ("", "", "", True))[0] == "True"


def engines(facts: Facts) -> Iterator[Finding]:
    """Every model's engine is known, with its version and how it takes its settings."""
    for each in facts.syncs:
        for model in each.found.models:
            title = f"{each.found.namespace}/{model.name}"
            known = each.engines.get(model.name, ())
            refusal = each.refused.get(model.name)
            if refusal is not None:
                remedy = f"docs/runbook.md has an entry for {model.reason}."
                yield wrong("engines", f"{model.reason}: {refusal}", remedy, title)
            elif known:
                told = dict.fromkeys(map(_engine, known))
                yield good("engines", "; ".join(told) + ".", title)


def _engine(engine: EngineFacts) -> str:
    version = engine.version or "of an unknown version"
    how = _VERSION_FROM.get(engine.version_source)
    told = f" ({how})" if how else ""
    return f"{engine.kind} {version}{told}, dialect {engine.dialect}"


def prefix_caching(facts: Facts) -> Iterator[Finding]:
    """No engine runs without its prefix cache: it would have no events to send."""
    for each in facts.syncs:
        told = {key: t.prefix_caching for key, t in each.traffic.items()}
        off = sorted({key.pod for key, on in told.items() if on is False})
        on = sum(value is True for value in told.values())
        if off:
            yield wrong(
                "prefix-caching",
                f"{len(off)} pods run with their prefix cache off, and have no events to send: {off[0]}.",
                "Start the engine with its prefix cache: --enable-prefix-caching, and without "
                "--no-enable-prefix-caching.",
                each.title,
            )
        elif on:
            yield good("prefix-caching", f"On, as {on} engines say.", each.title)
