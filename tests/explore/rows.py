"""A state as a row of numbers, and moves that are made once for all states that look the same to them.

A state is put together of parts: the time, one part for each object (as the cluster keeps it, with what
the operator knows of it and has decided on it) and one for each workload (with its pods). Parts of the
same content have the same number. A move reads some parts and changes some: where those that it reads are
known, what comes of it is known too, so that of millions of moves some ten thousand are really made. What
a move reads is said here; so the search makes some again in full, and tests compare it with one that makes
them all.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from operator import itemgetter
from struct import Struct
from typing import Any

from core.cluster import GATEWAY
from explore.community import (
    CRASH,
    DELETE,
    EDIT,
    PASS,
    PROBE,
    PROGRESS,
    WRITE,
    Community,
    Move,
    Report,
    is_deleted,
    settings_for_pods,
)
from explore.parts import Column, ObjectPart, WorkloadPart, object_part, workload_part
from explore.promises import check_move, check_state, is_silent, state_view, turns_on
from kvsync.model.decision import Action

Row = tuple[int, ...]
Turn = tuple[Move, int, bool, bool]
"""A move, what it adds to a state that is written as one number, whether it is made by choice, and
whether it turns the gateway on."""
BY_CHOICE = (CRASH, DELETE, EDIT)
"""Moves that need not happen: where only these are left all is at rest."""
Changes = tuple[tuple[int, int], ...]
"""Places of a row, and the numbers that they get."""


class BrokenMoveError(AssertionError):
    """A move breaks a promise."""

    def __init__(self, move: Move, broken: AssertionError) -> None:
        super().__init__(str(broken))
        self.move = move


@dataclass(eq=False, slots=True)
class Step:
    """A move, and what is known of it."""

    move: Move
    reads: itemgetter[Any]
    """Of a row: the numbers of the parts that the move depends on."""
    sees: tuple[tuple[int, list[int]], ...]
    """Places of further parts, of which it sees but a side: by number of the part the number of that."""
    writes: frozenset[int]
    """Places of the parts that it may change."""
    known: dict[Hashable, tuple[Changes, bool]] = field(default_factory=dict)
    """By what was read and seen: what changes, and whether the gateway is about to be turned on."""


@dataclass(eq=False, slots=True)
class Bundle:
    """The moves of an object and of workloads, looked up at once: by what all of them read."""

    places: list[int]
    reads: itemgetter[Any]
    sees: tuple[tuple[int, list[int]], ...]
    known: dict[Hashable, tuple[Turn, ...]] = field(default_factory=dict)


class Rows:
    """Translates states of one scenario to rows and back, and makes moves on rows."""

    def __init__(self, first: Community) -> None:
        self._first, self._scenario = first, first.scenario
        self._objects = tuple(first.scenario.syncs)
        self._workloads = tuple(first.objects)
        names = (*self._objects, *self._workloads)
        self._place = {name: 1 + number for number, name in enumerate(names)}
        assert len(self._place) == len(names), "an object has the name of a model"
        self._times: Column[float, Step] = Column()
        self._of_objects: list[Column[ObjectPart, Step]] = [Column() for _ in self._objects]
        for column in self._of_objects:
            column.sides = {name: [] for name in self._objects}
        self._of_workloads: list[Column[WorkloadPart, Step]] = [Column() for _ in self._workloads]
        self._columns: list[Column[Any, Step]] = [*self._of_objects, *self._of_workloads]
        self._steps: dict[tuple[str, str, str], Step] = {}
        self._crash = Step((CRASH, ""), itemgetter(0), (), frozenset(range(len(names) + 1)))
        self._deaths: list[list[int]] = [[] for _ in self._objects]
        self._last_workload = slice(1 + len(self._objects), None)
        self._form = Struct(f"<{1 + len(names)}I")
        self._bundles = self._all_bundles()
        self._promised: set[tuple[Hashable, ...]] = set()
        self.made = 0
        """How many moves were made in full because they were not known yet."""

    # States and rows.

    def row(self, state: Community) -> Row:
        """The row of a state."""
        live = {pod["metadata"]["uid"] for pods in state.pods.values() for pod in pods}
        time = self._times.find(state.now)
        if time is None:
            time = self._times.add(state.now, state.now)
        objects = (
            self._object(number, object_part(state, name), state, live)
            for number, name in enumerate(self._objects)
        )
        workloads = (
            self._workload(number, workload_part(state, name, live))
            for number, name in enumerate(self._workloads)
        )
        return (time, *objects, *workloads)

    def state(self, row: Row) -> Community:
        """A state of which this is the row."""
        then = copy.copy(self._first)
        then.now, then.last = self._times.parts[row[0]], None
        objects = {
            name: self._of_objects[number].parts[row[1 + number]]
            for number, name in enumerate(self._objects)
        }
        then.syncs = {name: part.body for name, part in objects.items()}
        then.memories = {name: part.memory for name, part in objects.items()}
        then.standings = {n: p.standing for n, p in objects.items() if p.standing is not None}
        then.unheard = frozenset(name for name, part in objects.items() if part.is_unheard)
        then.decided = {name: part.decided for name, part in objects.items()}
        workloads = {
            name: self._of_workloads[number].parts[row[1 + len(objects) + number]]
            for number, name in enumerate(self._workloads)
        }
        then.objects = {name: part.body for name, part in workloads.items()}
        then.originals = {name: part.original for name, part in workloads.items()}
        then.pods = {name: part.pods for name, part in workloads.items()}
        then.proven = {uid for part in workloads.values() for uid in part.proven}
        then.changing = {name for name, part in workloads.items() if part.is_changing}
        then.taken_back = {name for name, part in workloads.items() if part.is_taken_back}
        then.edits = frozenset(name for name, part in workloads.items() if part.is_edited)
        then.restarts = Counter({name: part.restarts for name, part in workloads.items()})
        then.serials = Counter({name: part.serial for name, part in workloads.items()})
        return then

    def _object(self, number: int, part: ObjectPart, state: Community, live: set[str]) -> int:
        column, key = self._of_objects[number], part.key(live)
        found = column.find(key)
        if found is not None:
            return found
        part, name = part.without_answers_of_the_gone(live), self._objects[number]
        found = column.add(key, part)
        column.steps.append(self._steps_of_object(name, part))
        for other in self._objects:
            seen = self._seen_by_others(name, other, state) if other != name else part.seen(live)
            column.add_side(other, seen)
        column.promised.append(state_view(part.body))
        column.marks.append(bool(part.decided))
        deaths = self._deaths[number]
        deaths.append(found)
        dead = state.after((CRASH, ""))
        deaths[found] = self._object(number, object_part(dead, name), dead, live)
        return found

    def _seen_by_others(self, name: str, other: str, state: Community) -> Hashable:
        """What a pass over another object sees of it, and what was asked for it of their common models."""
        shared = {*self._scenario.syncs[name]} & {*self._scenario.syncs[other]}
        pods = {pod["metadata"]["uid"] for model in shared for pod in state.pods[model]}
        return state.bearing(name, other), frozenset(pods & state.memories[name].answers.keys())

    def _workload(self, number: int, part: WorkloadPart) -> int:
        column, key = self._of_workloads[number], part.key()
        found = column.find(key)
        if found is not None:
            return found
        found = column.add(key, part)
        name = self._workloads[number]
        may_be_edited = name in self._scenario.edited and not part.is_edited
        steps = [self._step(PROGRESS, name), *([self._step(EDIT, name)] * may_be_edited)]
        column.steps.append(tuple(steps))
        column.promised.append((part.is_changing, part.is_taken_back, state_view(part.body)))
        column.marks.append(name != GATEWAY and is_silent(part.pods, part.proven))
        return found

    # Moves.

    def _steps_of_object(self, name: str, part: ObjectPart) -> tuple[Step, ...]:
        steps = []
        if part.decided:
            steps.append(self._step(WRITE, name, _target(part.decided[0])))
        elif part.body is not None or part.standing is not None or part.is_unheard:
            steps.append(self._step(PASS, name))
        if part.memory.targets or part.memory.questions:
            steps.append(self._step(PROBE, name))
        if name in self._scenario.deleted and part.body is not None and not is_deleted(part.body):
            steps.append(self._step(DELETE, name))
        return tuple(steps)

    def _step(self, kind: str, name: str, target: str = "") -> Step:
        found = self._steps.get((kind, name, target))
        if found is None:
            found = self._steps[kind, name, target] = self._new_step(kind, name, target)
        return found

    def _new_step(self, kind: str, name: str, target: str) -> Step:
        reads, writes = {name}, {name}
        sees: tuple[tuple[int, list[int]], ...] = ()
        match kind:
            case "pass":
                reads = {*self._scenario.syncs[name], GATEWAY}
                columns = zip(self._objects, self._of_objects, strict=True)
                sees = tuple((self._place[n], column.sides[name]) for n, column in columns)
            case "write" if target in self._workloads:
                reads |= {target, GATEWAY}
                writes |= {target}
            case "write" if target:
                reads |= {*self._workloads}
                writes |= {*self._scenario.syncs[name]}
            case "probe":
                reads |= {*self._scenario.syncs[name]}
                writes |= {*self._scenario.syncs[name]}
            case "progress":
                # What was asked of pods that are gone is forgotten.
                selecting = {n for n, models in self._scenario.syncs.items() if name in models}
                reads |= {*self._objects} if settings_for_pods(self._scenario) else selecting
                writes |= selecting
        places = [0, *(self._place[each] for each in sorted(reads))]
        changed = frozenset(self._place[each] for each in writes)
        return Step((kind, name), itemgetter(*places), sees, changed)

    def _all_bundles(self) -> list[Bundle]:
        """One for each object, with the workloads that read no more, and one for each of the others."""
        reads = {name: self._read_by(name) for name in self._place}
        bundles = {name: [name] for name in self._objects}
        for name in self._workloads:
            fits = [each for each in self._objects if reads[name] <= reads[each]]
            bundles.setdefault(fits[0] if fits else name, []).append(name)
        return [self._bundle(names, reads[name]) for name, names in bundles.items()]

    def _bundle(self, names: list[str], reads: set[str]) -> Bundle:
        sees = self._step(PASS, names[0]).sees if names[0] in self._objects else ()
        places = [0, *(self._place[each] for each in sorted(reads))]
        return Bundle([self._place[name] for name in names], itemgetter(*places), sees)

    def _read_by(self, name: str) -> set[str]:
        """What all moves of an object or a workload read (``_new_step`` says of each why)."""
        syncs, everything = self._scenario.syncs, settings_for_pods(self._scenario)
        if name in syncs:
            return {name, GATEWAY, *(self._workloads if everything else syncs[name])}
        selecting = {n for n, models in syncs.items() if name in models}
        return {name, *(self._objects if everything else selecting)}

    def turns(self, row: Row) -> list[Turn]:
        """All that can happen now but that time passes.

        Raises:
            BrokenMoveError: one of these moves breaks a promise.
        """
        found: list[Turn] = []
        for bundle in self._bundles:
            key = bundle.reads(row)
            if bundle.sees:
                key = (key, *[side[row[place]] for place, side in bundle.sees])
            known = bundle.known.get(key)
            if known is None:
                found_at = [self._columns[place - 1].steps[row[place]] for place in bundle.places]
                steps = [step for steps in found_at for step in steps]
                known = bundle.known[key] = tuple([self._turn(row, step) for step in steps])
            found += known
        if self._scenario.crashes:
            dead = self._after_death(row)
            found.append((self._crash.move, self.packed(dead) - self.packed(row), True, False))
        return found

    def _turn(self, row: Row, step: Step) -> Turn:
        try:
            then, turns_on = self._after(row, step)
        except AssertionError as broken:
            raise BrokenMoveError(step.move, broken) from broken
        by_choice = step.move[0] in BY_CHOICE
        return step.move, self.packed(then) - self.packed(row), by_choice, turns_on

    def packed(self, row: Row) -> int:
        """A row as one number."""
        return int.from_bytes(self._form.pack(*row), "little")

    def unpacked(self, number: int) -> Row:
        """The row that a number stands for."""
        return self._form.unpack(number.to_bytes(self._form.size, "little"))

    def _after(self, row: Row, step: Step) -> tuple[Row, bool]:
        """The row that a move leads to, and whether it turns the gateway on."""
        key = step.reads(row)
        if step.sees:
            key = (key, *[side[row[place]] for place, side in step.sees])
        known = step.known.get(key)
        if known is None:
            known = step.known[key] = self._made(row, step)
        changes, is_turned_on = known
        then = [*row]
        for place, number in changes:
            then[place] = number
        return tuple(then), is_turned_on

    def _after_death(self, row: Row) -> Row:
        then = [*row]
        for number, deaths in enumerate(self._deaths, 1):
            then[number] = deaths[row[number]]
        return tuple(then)

    def is_any_silent(self, row: Row) -> bool:
        """Whether a model has a pod that nobody heard: then to turn the gateway on is looked at each time."""
        return any(
            column.marks[number]
            for column, number in zip(self._of_workloads, row[self._last_workload], strict=True)
        )

    def _made(self, row: Row, step: Step) -> tuple[Changes, bool]:
        self.made += 1
        before = self.state(row)
        after = before.after(step.move)
        check_move(before, step.move, after)
        then = self.row(after)
        changed = {place for place, number in enumerate(then) if row[place] != number}
        assert changed <= step.writes, f"{step.move} changes more than said"
        if step.sees:
            # Others that look the same from that side may differ here, and come to the same.
            changed |= step.writes
        changes = tuple((place, then[place]) for place in sorted(changed))
        return changes, step.move[0] == PASS and turns_on(before, after)

    def audit(self, row: Row, move: Move) -> Row:
        """Make a move in full, whatever is known of it.

        Raises:
            AssertionError: it breaks a promise.
        """
        before = self.state(row).without_memory()
        after = before.after(move)
        check_move(before, move, after)
        return self.row(after)

    def check_state(self, row: Row) -> None:
        """What must hold of a state; what is asked of its parts is asked once of all that answer the same.

        Raises:
            AssertionError: it does not hold.
        """
        asked = tuple(
            [c.promised[number] for c, number in zip(self._columns, row[1:], strict=True)]
        )
        if asked not in self._promised:
            check_state(self.state(row))
            self._promised.add(asked)

    def is_amid_writes(self, row: Row) -> bool:
        """Whether a pass has decided and not written all of it."""
        return any(
            column.marks[number] for column, number in zip(self._of_objects, row[1:], strict=False)
        )


def _target(item: Action | Report) -> str:
    """The workload that is written to, "pod" where one is evicted; empty: the object itself."""
    if not isinstance(item, Action):
        return ""
    return "pod" if item.evicts else item.name if item.kind.value != "KVEventSync" else ""
