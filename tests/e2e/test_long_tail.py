"""What apply and Helm do to configured models, and what the operator does next: the page's table, run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.long_tail import HELM, KUBECTL, Fate, Kept, Row, Writes
from e2e.long_tail_owners import SLOT_VARIABLE, Done, HelmRelease, Owner, manifest, owner
from e2e.long_tail_stage import REPAIRED, Entry, Seen, Stage, Trial, left_of, repairs, unlike
from e2e.manifests import Object
from e2e.scene import OperatorProcess, Scene

pytestmark = [pytest.mark.bed, pytest.mark.timeout(420)]

CONFLICT = (
    'conflict with "kvsync-operator" using apps/v1: .spec.template.spec.containers[name="vllm"]'
)
FIELD = {Kept.SLOT: f'.env[name="{SLOT_VARIABLE}"].value'}
NOTHING_BUT_LESS = (Kept.COMMAND, Writes.SAME)


@dataclass(frozen=True)
class Cell:
    """One model of a row."""

    row: Row
    kept: Kept
    writes: Writes
    name: str
    namespace: str
    made_by: Owner
    written_by: Owner

    def manifest(self, writes: Writes) -> Object:
        """The model as its owner has it."""
        return manifest(self.name, self.namespace, self.kept, writes)

    @property
    def fate(self) -> Fate:
        """What is expected of it."""
        return self.row.cells[self.kept, self.writes]

    def make(self) -> None:
        """The model, in two revisions where it is to be rolled back."""
        done = [self.made_by.make(self.manifest(Writes.SAME))]
        if self.writes is Writes.BACK:
            done.append(self.made_by.write(self.manifest(Writes.IMAGE)))
        assert not any(each.returncode for each in done), done

    def write(self) -> Done:
        """What its owner does next."""
        if self.writes is Writes.BACK:
            assert isinstance(self.written_by, HelmRelease)
            return self.written_by.back(self.manifest(Writes.SAME))
        return self.written_by.write(self.manifest(self.writes))

    def write_on(self) -> Done:
        """Other flags, at the end."""
        return self.written_by.write(self.manifest(Writes.ARGS))

    @property
    def last(self) -> Object:
        """The manifest that stands after that."""
        if self.writes is Writes.BACK or self.fate is Fate.FAILS:
            return self.manifest(Writes.SAME)
        return self.manifest(self.writes)

    @property
    def rollouts(self) -> int:
        """The owner's, where the pod template changes by it, and the operator's repair."""
        if self.fate is Fate.FAILS:
            return 0
        if self.fate in REPAIRED:
            return 2
        return 0 if self.writes is Writes.SAME else 1

    def trial(self) -> Trial:
        """The same for the stage."""
        return Trial(
            self.name,
            self.kept,
            self.fate,
            self.rollouts,
            self.make,
            self.write,
            self.last,
            self.write_on,
        )


def cells_of(rows: Sequence[Row], scene: Scene, folder: Path) -> list[Cell]:
    """Every model of these rows."""
    return [
        Cell(row, kept, writes, f"r{number}-{kept}-{writes}", scene.namespace, *owners)
        for number, row in enumerate(rows)
        for owners in [
            (owner(scene.api, folder, row.made_by), owner(scene.api, folder, row.written_by))
        ]
        for kept, writes in row.cells
    ]


GROUPS = {"kubectl": KUBECTL, "helm-3": HELM[:3], "helm-4": HELM[3:]}


@pytest.mark.parametrize("rows", GROUPS.values(), ids=GROUPS)
def test_what_the_owners_next_write_does(
    rows: tuple[Row, ...],
    scene: Scene,
    start_operator: Callable[..., OperatorProcess],
    tmp_path: Path,
) -> None:
    play(cells_of(rows, scene, tmp_path), scene, start_operator)


def play(
    cells: Sequence[Cell], scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    """The whole story of these models."""
    stage = Stage(scene, start_operator, [cell.trial() for cell in cells])
    stage.configure()
    before = stage.entries()
    for cell in cells:
        check_warned(cell, before[cell.name])

    seen = stage.write()
    for cell in cells:
        check_written(cell, seen[cell.name])

    stage.come_back()
    after = stage.entries()
    for cell in cells:
        check_answered(cell, after[cell.name])
        rolled = stage.revision(cell.name) - seen[cell.name].revision
        assert rolled == cell.rollouts, cell.name

    stage.undo()
    for cell in cells:
        assert not unlike(scene.api, scene.deployment(cell.name), cell.last), cell.name
    failed = {name: done.stderr for name, done in stage.write_on().items() if done.returncode}
    assert failed == {}


def check_warned(cell: Cell, entry: Entry) -> None:
    """Who may take arguments away is named as soon as they are his."""
    at_risk = cell.row.warned and cell.kept in (Kept.ARGS, Kept.SLOT)
    warned = any("takes ours away" in note for note in entry.get("notes", ()))
    assert warned is at_risk, cell.name


def check_written(cell: Cell, seen: Seen) -> None:
    """What the owner's write left of ours, and what his program said."""
    assert seen.left == left_of(cell.kept, cell.fate), cell.name
    fails = cell.fate is Fate.FAILS
    assert bool(seen.code) is fails, (cell.name, seen.words)
    conflict = CONFLICT + FIELD.get(cell.kept, ".args")
    assert (conflict in seen.words) is fails, seen.words


def check_answered(cell: Cell, entry: Entry) -> None:
    """What the operator did next."""
    assert repairs(entry) == (1 if cell.fate in REPAIRED else 0), cell.name
    if cell.fate in REPAIRED:
        by = str(entry["repairs"]["by"]).partition(" (")[0]
        # Who writes less than before, and nothing else, leaves no name.
        nameless = cell.fate is Fate.ALL_LOST and (cell.kept, cell.writes) == NOTHING_BUT_LESS
        assert by == ("Someone" if nameless else cell.row.named), cell.name
    if cell.fate is Fate.REFUSED:
        field = f"variable {SLOT_VARIABLE}" if cell.kept is Kept.SLOT else "args"
        assert f"owns the {field} of container vllm" in entry["message"]
        assert "Set spec.mode to Admission: " in entry["message"]
