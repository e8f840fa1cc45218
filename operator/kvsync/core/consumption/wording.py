"""What is said of all sources together: short, whatever their number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvsync.core.consumption.gateway import Gateway
from kvsync.core.consumption.issue import Issue
from kvsync.core.consumption.subject import Subject

_NAMED = 3
"""Sources named for each thing that is said of them, and things said for one reason."""

Said = tuple[str, Issue]
"""The name of a source, or empty, and an issue of it."""


def explain(found: Sequence[Said]) -> str:
    """The gravest of all issues in sentences, and the names of the others."""
    reason = found[0][1].gravity
    told = [said for said in found if said[1].gravity == reason]
    beside = dict.fromkeys(issue.reason.value for _, issue in found if issue.gravity != reason)
    sentences = [_clauses(told), told[0][1].remedy]
    if beside:
        sentences.append(f"Beside that: {', '.join(beside)}.")
    return " ".join(filter(None, sentences))


def _clauses(told: Sequence[Said]) -> str:
    """Sources of which the same holds stand together, in the order of the first of them."""
    if not told[0][0]:
        return told[0][1].what
    groups: dict[str, list[str]] = {}
    for name, issue in told:
        groups.setdefault(issue.what, []).append(name)
    clauses = [f"{listed(names)}: {what}" for what, names in list(groups.items())[:_NAMED]]
    more = sum(len(names) for names in list(groups.values())[_NAMED:])
    return "; ".join([*clauses, *([f"{more} more of other kinds"] if more else [])]) + "."


def praise(gateway: Gateway, subjects: Sequence[Subject]) -> str:
    """What is said where nothing keeps the events from being used."""
    seen = {subject.model for subject in subjects if subject.seen_layout}
    unseen = dict.fromkeys(s.model for s in subjects if s.model not in seen)
    sentence = f"{gateway.title} reaches and decodes what the engines publish."
    if not unseen:
        return sentence
    return f"{sentence} By the release alone, while no event was seen: {listed(unseen)}."


def listed(names: Iterable[str]) -> str:
    """The first few of them, and how many more there are."""
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
