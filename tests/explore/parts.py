"""What a state is put together of, and the numbers by which its parts are known."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from core.cluster import Memory
from core.objects import Json
from explore.community import Community, Report, digest_of, memory_parts
from kvsync.model.decision import Action
from kvsync.model.standing import Standing

Part = TypeVar("Part")
Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class ObjectPart:
    """One KVEventSync, and what the operator makes of it."""

    body: Json | None
    memory: Memory
    standing: Standing | None
    is_unheard: bool
    decided: tuple[Action | Report, ...]

    def key(self, live: set[str]) -> Hashable:
        """What tells it from others; of pods that are gone nothing is asked any more."""
        memory = repr(memory_parts(self.memory, live))
        decided = tuple(map(digest_of, self.decided))
        return digest_of(self.body), memory, self.standing, self.is_unheard, decided

    def without_answers_of_the_gone(self, live: set[str]) -> ObjectPart:
        """The same part for all states in which it is told by the same key."""
        known = self.memory
        answers = {uid: answer for uid, answer in known.answers.items() if uid in live}
        return replace(self, memory=replace(known, answers=answers))

    def seen(self, live: set[str]) -> Hashable:
        """What a pass over it sees of it: what the last one came to is not asked for."""
        verdicts = tuple(sorted(map(repr, self.memory.verdicts.items())))
        return digest_of(self.body), verdicts, frozenset(self.memory.answers.keys() & live)


@dataclass(frozen=True, slots=True)
class WorkloadPart:
    """One model or the gateway, with its pods."""

    body: Json
    original: Json
    pods: list[Json]
    proven: frozenset[str]
    is_changing: bool
    is_taken_back: bool
    is_edited: bool
    restarts: int
    serial: int

    def key(self) -> Hashable:
        """What tells it from others."""
        flags = (self.is_changing, self.is_taken_back, self.is_edited, self.restarts, self.serial)
        return digest_of(self.body), tuple(map(digest_of, self.pods)), self.proven, flags


class Column(Generic[Part, Step]):
    """All parts that were seen at one place, with what is asked of each again and again."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.parts: list[Part] = []
        self.steps: list[tuple[Step, ...]] = []
        """The moves that each makes possible."""
        self.sides: dict[str, list[int]] = {}
        """By the object whose pass looks at it: the number of what that sees of each."""
        self._sides: dict[Hashable, int] = {}
        self.promised: list[Hashable] = []
        """What ``check_state`` reads of each."""
        self.marks: list[bool] = []
        """Of an object: whether a pass waits with its writes. Of a workload: whether a pod is unheard."""

    def find(self, key: Hashable) -> int | None:
        """The number of a part that is known."""
        return self._numbers.get(key)

    def add(self, key: Hashable, part: Part) -> int:
        """The number of a new one."""
        number = self._numbers[key] = len(self.parts)
        self.parts.append(part)
        return number

    def add_side(self, name: str, side: Hashable) -> None:
        """Note what a pass over an object sees of the newest part."""
        self.sides[name].append(self._sides.setdefault(side, len(self._sides)))


def object_part(state: Community, name: str) -> ObjectPart:
    """That of one object in a state."""
    return ObjectPart(
        state.syncs[name],
        state.memories[name],
        state.standings.get(name),
        name in state.unheard,
        state.decided[name],
    )


def workload_part(state: Community, name: str, live: set[str]) -> WorkloadPart:
    """That of one workload in a state, of which these pods are live."""
    pods = state.pods[name]
    return WorkloadPart(
        state.objects[name],
        state.originals[name],
        pods,
        frozenset(uid for pod in pods if (uid := pod["metadata"]["uid"]) in state.proven & live),
        name in state.changing,
        name in state.taken_back,
        name in state.edits,
        state.restarts[name],
        state.serials[name],
    )
