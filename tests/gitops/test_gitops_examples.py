"""The examples for Argo CD and Flux: they are whole, they name what there is, and each shows its way."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from core.objects import ask
from core.test_preflight import entry
from gitops.argo_vm import ROOT
from gitops.examples import FOLDER, WAYS, applications, built, of_kind, tools
from golden.files import load
from kvsync.cli.main import cli
from kvsync.core.ignore_differences import ignored_slot
from kvsync.core.patch import apply
from kvsync.core.plan import plan
from kvsync.core.planned import ModelPlan, Outcome
from kvsync.core.slot import SLOT_VARIABLE, SLOT_WORD
from kvsync.model.spec import KVEventSyncSpec
from kvsync.model.workload import Deployment
from model.schema import SCHEMA, closed

Json = dict[str, Any]

SCHEMAS = {path.stem: load(path) for path in (Path(__file__).parent / "schemas").glob("*.yaml")}
WAVE = "argocd.argoproj.io/sync-wave"


@pytest.mark.parametrize(
    ("path", "body"),
    [each for each in tools() if each[1]["kind"] in SCHEMAS],
    ids=lambda each: each.stem if isinstance(each, Path) else each["kind"],
)
def test_the_tools_objects_fit_their_published_schemas(path: Path, body: Json) -> None:
    """A field that is not in the excerpt may be misspelt: see there where it is from."""
    schema = SCHEMAS[body["kind"]]
    assert body["apiVersion"] == schema["apiVersion"]
    Draft202012Validator(closed(schema["spec"])).validate(body["spec"])


def test_every_tools_kind_is_looked_at() -> None:
    kinds = {body["kind"] for _, body in tools()}
    assert kinds - SCHEMAS.keys() == {"HelmRelease"}, "its CRD is in no registry that we can ask"


@pytest.mark.parametrize("way", WAYS)
def test_kustomize_builds_what_the_application_names(way: str) -> None:
    app = applications()[f"model-{way}"]
    folder = ROOT / app["spec"]["source"]["path"]
    assert folder == FOLDER / "models" / way
    objects = built(folder)
    assert sorted(body["kind"] for body in objects) == ["Deployment", "KVEventSync", "Service"]
    assert {body["metadata"]["namespace"] for body in objects} == {
        app["spec"]["destination"]["namespace"]
    }


def test_flux_names_folders_and_sources_that_exist() -> None:
    found = {(body["kind"], body["metadata"]["name"]): body for _, body in tools()}
    for (kind, _), body in found.items():
        spec = body["spec"]
        if kind == "Kustomization":
            assert built(ROOT / spec["path"])
            assert ("GitRepository", spec["sourceRef"]["name"]) in found
            for other in spec.get("dependsOn", ()):
                assert ("Kustomization", other["name"]) in found
        elif kind == "HelmRelease":
            assert (ROOT / spec["chart"]["spec"]["chart"] / "Chart.yaml").exists()
            assert ("GitRepository", spec["chart"]["spec"]["sourceRef"]["name"]) in found


def test_the_operators_application_names_the_chart_with_values_that_it_takes() -> None:
    source = applications()["operator"]["spec"]["source"]
    chart = ROOT / source["path"]
    schema = yaml.safe_load((chart / "values.schema.json").read_text())
    Draft202012Validator(schema).validate(
        yaml.safe_load((chart / "values.yaml").read_text()) | source["helm"]["valuesObject"]
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_object_fits_its_schema_and_comes_last(way: str) -> None:
    objects = built(FOLDER / "models" / way)
    sync = of_kind(objects, "KVEventSync")
    Draft202012Validator(closed(SCHEMA["properties"]["spec"])).validate(sync["spec"])
    waves = {body["kind"]: _wave(body) for body in objects}
    assert waves.pop("KVEventSync") > max(waves.values())


def _wave(body: Json) -> int:
    return int((body["metadata"].get("annotations") or {}).get(WAVE, "0"))


# Each way, with the Deployment as Argo CD has it.


def _planned(way: str, *, manager: str = "argocd-controller") -> tuple[Json, ModelPlan]:
    """The Deployment whose container is Argo CD's, field by field, and what is planned for it."""
    objects = built(FOLDER / "models" / way)
    body, sync = of_kind(objects, "Deployment"), of_kind(objects, "KVEventSync")
    (container,) = body["spec"]["template"]["spec"]["containers"]
    fields: Json = {f"f:{key}": {} for key in container if key not in ("env", "ports")}
    if "env" in container:
        fields["f:env"] = {f'k:{{"name":"{e["name"]}"}}': {"f:value": {}} for e in container["env"]}
    body["metadata"]["uid"] = "uid-of-my-model"
    body["metadata"]["managedFields"] = [entry(manager, "Apply", fields)]
    body["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "my-model:apps/Deployment:default/my-model"
    }
    spec = KVEventSyncSpec.from_manifest(sync["spec"])
    return body, plan(Deployment(body), ask(spec))


def test_with_all_in_command_args_is_nobodys() -> None:
    before, found = _planned("command")
    assert found.outcome is Outcome.CHANGE, found.refusal
    after: Json = apply(before, found.patch)
    (old,), (new,) = (b["spec"]["template"]["spec"]["containers"] for b in (before, after))
    assert "args" not in old
    assert new["args"][0].startswith("--kv-events-config=")
    assert {key for key in new if new[key] != old.get(key)} == {"args", "ports"}


def test_of_a_slot_the_value_is_all_that_changes() -> None:
    before, found = _planned("slot")
    assert found.outcome is Outcome.CHANGE, found.refusal
    after: Json = apply(before, found.patch)
    (old,), (new,) = (b["spec"]["template"]["spec"]["containers"] for b in (before, after))
    assert old["args"][-1] == new["args"][-1] == SLOT_WORD
    (variable,) = new["env"]
    assert variable["name"] == SLOT_VARIABLE
    assert variable["value"].startswith('--kv-events-config={"')
    new["env"] = old["env"]
    assert after["spec"] == before["spec"]


def test_the_slots_application_ignores_what_kvsync_prints() -> None:
    spec = applications()["model-slot"]["spec"]
    wanted = ignored_slot(["Deployment"])
    assert spec["ignoreDifferences"] == wanted["ignoreDifferences"]
    assert spec["syncPolicy"]["syncOptions"] == wanted["syncPolicy"]["syncOptions"]
    others = [app["spec"] for name, app in applications().items() if name != "model-slot"]
    assert not any("ignoreDifferences" in other for other in others)


def test_with_admission_one_annotation_is_all_that_changes() -> None:
    before, found = _planned("admission")
    assert found.outcome is Outcome.CHANGE, found.refusal
    after: Json = apply(before, found.patch)
    annotations = after["spec"]["template"]["metadata"].pop("annotations")
    assert annotations.keys() == {"kvsync.aibrix.ai/injection"}
    assert after["spec"] == before["spec"]


def test_the_same_deployment_is_refused_in_mode_patch() -> None:
    """So the example is one that needs its mode."""
    (container,) = _planned("admission")[0]["spec"]["template"]["spec"]["containers"]
    assert container["args"]
    body, _ = _planned("admission")
    found = plan(Deployment(body), ask(KVEventSyncSpec.from_manifest({"models": {"names": ["x"]}})))
    assert found.refusal is not None
    assert found.refusal.reason == "ArgsOwned"


def test_what_render_asks_for_is_in_git_and_nothing_is_left_to_do() -> None:
    _, found = _planned("render")
    assert found.outcome is Outcome.UNCHANGED, found.refusal
    folder = FOLDER / "models" / "render"
    words = ["render", "-f", str(folder / "deployment.yaml"), "-o", "kustomize"]
    printed = CliRunner().invoke(cli, words)
    assert printed.exit_code == 0, printed.output
    assert printed.stdout == (folder / "kv-events" / "kustomization.yaml").read_text()
