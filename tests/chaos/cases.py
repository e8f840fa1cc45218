"""What is run: each call with each fault once, and mixtures by a seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.faults import EVENT, FIRST_PHASE, Call, Fault, Injection, read_injection, suits

PHASES = (FIRST_PHASE, "enable", "change", "undo")
"""The story: the operator starts over models and a gateway; an object comes, is changed, and goes."""

EACH = {EVENT: 3, "LOG": 2, "LIST": 2, "CONTINUE": 2}
"""How many calls of one verb to one path are taken of a phase, where they are many and alike."""
ALIKE = {"leases/kvsync-operator": 2, "events": 3, "kveventsyncs/kv/status": 8}
"""The same for what is written again and again: the Lease, Events, the status."""
_SLOW = frozenset({Fault.STALL, Fault.DROPPED})
_STALLED = {
    "enable": "deployments/b",
    "change": "deployments/b",
    "undo": "deployments/aibrix-gateway-plugins",
}
"""A write in the middle of each part."""
FEWEST, MOST = 3, 8
"""Faults of a mixture."""


@dataclass(frozen=True, slots=True)
class Case:
    """A run: the faults that are injected in it, and the seed of whatever else is by chance."""

    name: str
    injections: tuple[Injection, ...] = ()
    seed: int = 0

    @property
    def slow(self) -> bool:
        """Whether it takes long: what never comes must be given up by a clock."""
        return any(each.fault in _SLOW for each in self.injections)


UNDISTURBED = Case("undisturbed")


def taken(calls: Sequence[Call]) -> list[Call]:
    """The calls of an undisturbed run that are taken, each once."""
    return sorted({call for call in calls if call.number <= _limit(call)})


def _limit(call: Call) -> int:
    return ALIKE.get(call.path) or EACH.get(call.verb, 1000)


def exhaustive(calls: Sequence[Call]) -> list[Injection]:
    """Each call with each fault that suits it."""
    return [
        Injection(call, fault)
        for call in taken(calls)
        for fault in sorted(suits(call), key=lambda f: f.value)
    ]


def lined_up(injections: Sequence[Injection]) -> list[Case]:
    """The same, one of each phase a run: between two phases all is as it would be without the first.

    The slow ones share runs with slow ones.
    """
    return [
        Case("+".join(map(str, line)), line)
        for slow in (True, False)
        for line in _lines([each for each in injections if (each.fault in _SLOW) is slow])
    ]


def _lines(injections: Sequence[Injection]) -> Iterator[tuple[Injection, ...]]:
    queues = [[each for each in injections if each.call.phase == phase] for phase in PHASES]
    for number in range(max(map(len, queues), default=0)):
        yield tuple(queue[number] for queue in queues if number < len(queue))


def listed_late() -> list[Case]:
    """What is listed again by a clock comes in no undisturbed run: here a stalled write gives it the time."""
    return [
        Case(f"{stall}+{late}", (stall, late))
        for phase, stalled in _STALLED.items()
        for stall in [Injection(Call(phase, "PATCH", stalled, 1), Fault.STALL)]
        for path in ("deployments", "kveventsyncs", "pods")
        for fault in sorted(
            suits(Call(phase, "LIST", path, 1)) - {Fault.STALL}, key=lambda f: f.value
        )
        for late in [Injection(Call(phase, "LIST", path, 1), fault)]
    ]


def mixture(calls: Sequence[Call], seed: int) -> Case:
    """Several faults at calls chosen by chance, the same for a seed and the same calls."""
    chance = random.Random(seed)
    chosen = chance.sample(taken(calls), k=min(chance.randint(FEWEST, MOST), len(taken(calls))))
    injections = (
        Injection(call, chance.choice(sorted(suits(call), key=lambda f: f.value)))
        for call in sorted(chosen)
    )
    return Case(f"mixture-{seed}", tuple(injections), seed)


def read_case(text: str, calls: Sequence[Call]) -> Case:
    """A case by its name; ``calls`` are those of an undisturbed run. Raises ValueError for no case."""
    if text == UNDISTURBED.name:
        return UNDISTURBED
    if text.startswith("mixture-"):
        return mixture(calls, int(text.removeprefix("mixture-")))
    return Case(text, tuple(map(read_injection, text.split("+"))))
