"""``kvsync enable`` chooses the mode by what owns a model, says why, and leaves what was chosen before."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from e2e.blinded import Blinding
from e2e.long_tail import Kept
from e2e.long_tail_owners import manifest
from e2e.manifests import Object
from e2e.scene import KVSYNC, Scene

pytestmark = pytest.mark.bed

Done = subprocess.CompletedProcess[str]


def enable(scene: Scene, name: str, *options: str) -> Done:
    """``kvsync enable``, which waits for nobody."""
    words = (KVSYNC, "enable", scene.namespace, name, "--no-gateway", "--no-wait", *options)
    kubeconfig = ("--kubeconfig", str(scene.api.kubeconfig))
    return subprocess.run([*words, *kubeconfig], capture_output=True, text=True, check=False)


def own(scene: Scene, name: str, *words: str, kept: Kept = Kept.ARGS) -> Object:
    """A model of no pods as its owner's program writes it."""
    body = manifest(name, scene.namespace, kept)
    body["spec"]["replicas"] = 0
    scene.api.kubectl(*words, "-f", "-", stdin=json.dumps(body))
    return body


def mode_of(scene: Scene, name: str) -> str:
    """What stands in the object, or its default."""
    return str((scene.sync(name) or {})["spec"]["mode"])


@pytest.fixture
def no_policy(scene: Scene) -> Iterator[None]:
    """A cluster whose admission policy nobody bound."""
    blinding = Blinding(scene)
    blinding.begin()
    yield
    blinding.end()


def test_what_nobody_owns_is_patched_as_ever(scene: Scene) -> None:
    own(scene, "free", "create")
    assert "mode: " not in enable(scene, "free", "--dry-run").stdout, "left to its default"
    done = enable(scene, "free")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Mode Patch: nobody is known")
    assert mode_of(scene, "free") == "Patch"


def test_who_may_take_it_back_is_named_and_the_mode_stays_patch(scene: Scene) -> None:
    own(scene, "hand", "apply")
    done = enable(scene, "hand")
    assert "Mode Patch: kubectl apply (manager kubectl-client-side-apply" in done.stdout
    assert "one more restart each time" in done.stdout
    assert "Or: Write the engine's flags into command" in done.stdout
    assert mode_of(scene, "hand") == "Patch"


def test_owned_arguments_come_to_mode_admission(scene: Scene) -> None:
    own(scene, "argo", "apply", "--server-side", "--field-manager=argocd-controller")
    done = enable(scene, "argo")
    assert "Mode Admission: Argo CD (manager argocd-controller" in done.stdout
    assert "Or: Put a slot into its manifest" in done.stdout
    assert mode_of(scene, "argo") == "Admission"


@pytest.mark.usefixtures("no_policy")
def test_without_the_policy_they_come_to_mode_render(scene: Scene) -> None:
    own(scene, "flux", "apply", "--server-side", "--field-manager=kustomize-controller")
    done = enable(scene, "flux")
    assert "Mode Render: Flux (manager kustomize-controller" in done.stdout
    assert "Commit what kvsync render prints" in done.stdout
    assert "spec.mode to Admission" not in done.stdout, "this cluster has no such policy"
    assert mode_of(scene, "flux") == "Render"
    # What an object has is left to whoever decided it.
    again = enable(scene, "flux", "--mode", "Patch")
    assert "refuse it in mode Patch (ArgsOwned)" in again.stderr
    assert mode_of(scene, "flux") == "Patch"
    assert "Mode " not in enable(scene, "flux").stdout
    assert mode_of(scene, "flux") == "Patch"


@pytest.mark.usefixtures("no_policy")
def test_a_mode_that_cannot_work_is_written_only_by_name_and_not_silently(scene: Scene) -> None:
    own(scene, "m", "create")
    done = enable(scene, "m", "--mode", "Admission")
    assert "refuse it in mode Admission (AdmissionUnavailable)" in done.stderr
    assert mode_of(scene, "m") == "Admission"


def test_a_dry_run_says_the_same_and_writes_nothing(scene: Scene) -> None:
    own(scene, "helm", "apply", "--server-side", "--field-manager=helm")
    done = enable(scene, "helm", "--dry-run")
    assert "Mode Admission: Helm (manager helm" in done.stdout
    assert "mode: Admission" in done.stdout
    assert scene.sync("helm") is None
