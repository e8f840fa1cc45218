"""What kubectl's verbs do to configured models, in mode Patch and in mode Admission: the page, run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from e2e.long_tail import OPERATIONS, Kept, Operation, Writes
from e2e.long_tail_owners import Done, Kubectl, manifest
from e2e.long_tail_stage import REPAIRED, Stage, Trial, left_of, repairs, unlike
from e2e.manifests import Object
from e2e.scene import OperatorProcess, Scene

pytestmark = [pytest.mark.bed, pytest.mark.timeout(420)]


COLUMNS = (Kept.ARGS, Kept.COMMAND, Kept.ADMISSION)


@dataclass(frozen=True)
class Model:
    """One model, and the verb that it meets."""

    scene: Scene
    operation: Operation
    kept: Kept

    @property
    def name(self) -> str:
        """The Deployment's name."""
        return f"{self.operation.name}-{self.kept}"

    def manifest(self, writes: Writes = Writes.SAME) -> Object:
        """The model as its owner made it."""
        return manifest(self.name, self.scene.namespace, self.kept, writes)

    def make(self) -> None:
        """The model, made by hand: nobody owns its arguments who would write them again."""
        done = Kubectl(self.scene.api, "create").make(self.manifest())
        assert not done.returncode, done.stderr

    def run(self, words: str) -> Done:
        """A verb of kubectl's on it."""
        namespaced = [*words.format(name=self.name).split(), "-n", self.scene.namespace]
        return self.scene.api.kubectl(*namespaced, check=False)

    def write(self) -> Done:
        """The verb of this trial, and what it starts."""
        done = self.run(self.operation.words)
        if "autoscale" in self.operation.words:
            self.scene.wait("scaled", lambda: self.replicas() == 2)
        return done

    def replicas(self) -> int:
        """How many pods are wanted."""
        return int(self.scene.deployment(self.name)["spec"]["replicas"])

    def write_on(self) -> Done:
        """Another set of flags, as whoever made it would bring it."""
        return Kubectl(self.scene.api, "replace").write(self.manifest(Writes.ARGS))

    @property
    def last(self) -> Object:
        """The manifest that stands after the verb."""
        body = self.manifest()
        self.operation.changes(body["spec"]["template"]["spec"]["containers"][0])
        return body

    def trial(self) -> Trial:
        """The same for the stage."""
        operation = self.operation
        return Trial(
            self.name,
            self.kept,
            operation.fate,
            operation.rollouts,
            self.make,
            self.write,
            self.last,
            self.write_on,
        )


def test_what_kubectls_verbs_do(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    models = [Model(scene, operation, kept) for operation in OPERATIONS for kept in COLUMNS]
    play(models, scene, start_operator)


def play(
    models: Sequence[Model], scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    """The whole story of these models."""
    stage = Stage(scene, start_operator, [model.trial() for model in models])
    stage.configure()
    for model in models:
        if model.operation.first:
            assert model.run(model.operation.first).returncode == 0
    stage.wait_rolled_out()
    stage.wait_judged()

    seen = stage.write()
    for model in models:
        left = left_of(model.kept, model.operation.fate)
        assert seen[model.name].left == left, model.name
        assert seen[model.name].code == 0, seen[model.name].words

    stage.come_back()
    after = stage.entries()
    for model in models:
        fate = model.operation.fate
        assert repairs(after[model.name]) == (1 if fate in REPAIRED else 0), model.name
        rolled = stage.revision(model.name) - seen[model.name].revision
        assert rolled == model.operation.rollouts, model.name
    # Where the undo writes a list, its program owns it; where it only takes one away, nobody does.
    by = {kept: after[f"before-{kept}"]["repairs"]["by"] for kept in COLUMNS}
    assert by[Kept.ARGS].startswith("kubectl rollout undo (manager kubectl, operation Update")
    assert by[Kept.COMMAND].startswith("Someone (no name left, as by kubectl rollout undo")

    for model in models:
        if "pause" in model.operation.words:
            assert model.run("rollout resume deployment/{name}").returncode == 0
    stage.undo()
    for model in models:
        assert not unlike(scene.api, scene.deployment(model.name), model.last), model.name
    failed = {name: done.stderr for name, done in stage.write_on().items() if done.returncode}
    assert failed == {}
