"""kvsync render: the stable JSON, YAML for Git, the way back, and what it says of bad input."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from kvsync.cli.main import cli
from kvsync.core.patch import apply
from kvsync.model.errors import KvsyncError

CORPUS = Path(__file__).parents[1] / "golden" / "deployments"
MODEL = """\
# The model of team a.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.16.0
          args: ["--model=tiny"]
"""
OTHER = """\
---
apiVersion: v1
kind: ConfigMap   # stays as it is
metadata: {name: c, creationTimestamp: 2026-01-01}
data:
  script: |
    echo "---"
"""
SYNC = """\
apiVersion: kvsync.aibrix.ai/v1alpha1
kind: KVEventSync
metadata: {name: all, namespace: team}
spec:
  models: {selector: {matchLabels: {app: a}}}
  events: {port: 6557, replayPort: 6558}
"""


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["render", *words], input=stdin)


def entries(*words: str, stdin: str | None = None) -> Any:
    done = run(*words, "-o", "json", stdin=stdin)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_patch_and_undo_of_the_whole_corpus_fit_the_objects_as_read() -> None:
    cases = sorted(CORPUS.glob("*/deployment.yaml"))
    for path in cases:
        body = yaml.safe_load(path.read_text())
        (entry,) = entries("-f", str(path))
        after = apply(body, entry["patch"])
        assert apply(after, entry["undo"]) == body
        assert (after != body) == (entry["outcome"] == "Change")
        assert bool(entry["reason"]) == (entry["outcome"] == "Refused")


def test_a_second_rendering_and_the_way_back() -> None:
    text = MODEL.format(name="a") + OTHER
    written = run("-f", "-", "-o", "yaml", stdin=text).stdout
    assert run("-f", "-", "-o", "yaml", stdin=written).stdout == written
    (entry,) = entries("-f", "-", stdin=written)
    assert (entry["outcome"], entry["patch"], entry["undo"]) == ("Unchanged", [], [])
    back = run("-f", "-", "-o", "yaml", "--undo", stdin=written).stdout
    assert [*yaml.safe_load_all(back)] == [*yaml.safe_load_all(text)]


def test_a_mark_of_the_cluster_is_not_written_to_git() -> None:
    written = run("-f", "-", "-o", "yaml", stdin=MODEL.format(name="a")).stdout
    annotations = yaml.safe_load(written)["metadata"]["annotations"]
    assert [*annotations] == ["kvsync.aibrix.ai/record"]


def test_other_objects_keep_their_text_and_are_no_entries() -> None:
    text = MODEL.format(name="a") + OTHER
    written = run("-f", "-", "-o", "yaml", stdin=text).stdout
    assert written.endswith(OTHER)
    assert "--kv-events-config=" in written
    assert [entry["name"] for entry in entries("-f", "-", stdin=text)] == ["a"]


def test_the_object_selects_by_label_and_namespace(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(MODEL.format(name="a"))
    (folder / "b.yml").write_text(MODEL.format(name="b"))
    elsewhere = yaml.safe_load(MODEL.format(name="a"))
    elsewhere["metadata"]["namespace"] = "elsewhere"
    (folder / "c.json").write_text(json.dumps(elsewhere))
    (tmp_path / "sync.yaml").write_text(SYNC)
    found = entries("-f", str(tmp_path / "models"), "--cr", str(tmp_path / "sync.yaml"))
    assert [(entry["namespace"], entry["name"]) for entry in found] == [("default", "a")]
    assert "tcp://*:6557" in json.dumps(found[0]["patch"])


def test_items_of_a_list_are_workloads() -> None:
    items = [yaml.safe_load(MODEL.format(name=name)) for name in "ab"]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    assert [entry["outcome"] for entry in entries("-f", "-", stdin=text)] == ["Change", "Change"]
    written = yaml.safe_load(run("-f", "-", "-o", "yaml", stdin=text).stdout)
    args = [i["spec"]["template"]["spec"]["containers"][0]["args"] for i in written["items"]]
    assert all(len(words) == 2 for words in args)


def test_options_stand_for_fields() -> None:
    text = MODEL.format(name="a").replace(":v0.16.0", "@sha256:" + "0" * 64)
    (entry,) = entries("-f", "-", stdin=text)
    assert (entry["outcome"], entry["reason"]) == ("Refused", "DialectUnknown")
    (entry,) = entries("-f", "-", "--engine-version=0.16.0", "--topic=kv", stdin=text)
    assert entry["outcome"] == "Change"
    assert '\\"topic\\":\\"kv\\"' in json.dumps(entry["patch"])


def test_a_refusal_is_told_with_its_place_and_fails_when_strict() -> None:
    text = OTHER + "---\n" + MODEL.format(name="old").replace("v0.16.0", "v0.8.5")
    lax, strict = run("-f", "-", stdin=text), run("-f", "-", "--strict", stdin=text)
    assert (lax.exit_code, strict.exit_code) == (0, 1)
    assert lax.stderr.startswith("-:8: refused (EngineTooOld): vLLM 0.8.5")
    assert lax.stdout == ""


@pytest.mark.parametrize("kind", ["RayClusterFleet", "PodSet", "RoleSet", "ModelClaim"])
def test_kinds_of_aibrix_are_refused_by_name(kind: str) -> None:
    body = {"apiVersion": "orchestration.aibrix.ai/v1alpha1", "kind": kind}
    text = json.dumps({**body, "metadata": {"name": "s"}, "spec": {}})
    (entry,) = entries("-f", "-", stdin=text)
    assert (entry["kind"], entry["outcome"], entry["reason"]) == (kind, "Refused", "Unsupported")
    (entry,) = entries("-f", "-", "--undo", stdin=text)
    assert entry["outcome"] == "Refused"


STORM: dict[str, Any] = {
    "apiVersion": "orchestration.aibrix.ai/v1alpha1",
    "kind": "StormService",
    "metadata": {"name": "pd"},
    "spec": {
        "replicas": 1,
        "updateStrategy": {"type": "InPlaceUpdate"},
        "template": {
            "spec": {
                "roles": [
                    {
                        "name": name,
                        "replicas": 1,
                        "template": {"spec": {"containers": [{"name": "c", **container}]}},
                    }
                    for name, container in {
                        "prefill": {"image": "vllm/vllm-openai:v0.16.0", "args": ["--model=m"]},
                        "router": {"image": "router:1", "args": []},
                    }.items()
                ]
            }
        },
    },
}


def test_a_storm_service_is_changed_by_role_and_restored() -> None:
    (entry,) = entries("-f", "-", stdin=json.dumps(STORM))
    assert (entry["kind"], entry["outcome"]) == ("StormService", "Change")
    after = apply(STORM, entry["patch"])
    prefill, router = after["spec"]["template"]["spec"]["roles"]
    assert prefill["template"]["spec"]["containers"][0]["args"][0] == "--model=m"
    assert router == STORM["spec"]["template"]["spec"]["roles"][1]
    assert apply(after, entry["undo"]) == STORM
    (back,) = entries("-f", "-", "--undo", stdin=json.dumps(after))
    assert apply(after, back["patch"]) == STORM


def test_a_storm_service_without_roles_is_named_with_its_field() -> None:
    bad = {**STORM, "spec": {"template": {"spec": {"roles": {}}}}}
    done = run("-f", "-", stdin=json.dumps(bad))
    assert "StormService pd: spec.template.spec.roles is not a list of objects" in str(
        done.exception
    )


def test_a_number_among_the_words_is_named_with_its_field() -> None:
    text = MODEL.format(name="a").replace('["--model=tiny"]', "[--port, 8000]")
    done = run("-f", "-", stdin=text)
    assert isinstance(done.exception, KvsyncError)
    assert "spec.template.spec.containers[0].args is not a list of texts" in str(done.exception)


def test_the_engine_is_an_option() -> None:
    body: Any = yaml.safe_load(MODEL.format(name="a"))
    container = body["spec"]["template"]["spec"]["containers"][0]
    container |= {"image": "lmsysorg/sglang:v0.5.16", "command": ["sglang", "serve"]}
    text = json.dumps(body)
    assert entries("-f", "-", stdin=text)[0]["reason"] == "NoEngineContainer"
    (entry,) = entries("-f", "-", "--engine-type", "SGLang", stdin=text)
    assert entry["outcome"] == "Change"


def test_the_diff_shows_only_what_changes() -> None:
    shown = run("-f", "-", stdin=MODEL.format(name="a")).stdout
    added = [line for line in shown.splitlines() if line.startswith("+ ")]
    removed = [line for line in shown.splitlines() if line.startswith("- ")]
    assert any("--kv-events-config=" in line for line in added)
    assert removed == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n---\nkey: [1\n", "-:4: no YAML: "),
        ("a: {{ .Values.x }}\n", "helm template"),
        (
            MODEL.format(name="a").replace("containers:", "others:"),
            "spec.template.spec.containers is not a list of objects",
        ),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: []\n", "-:1: Dep"),
    ],
)
def test_bad_input_is_one_line_with_its_place(text: str, said: str) -> None:
    done = run("-f", "-", stdin=text)
    assert isinstance(done.exception, KvsyncError)
    assert said in str(done.exception)


def test_bad_orders_are_told_apart(tmp_path: Path) -> None:
    sync = tmp_path / "sync.yaml"
    sync.write_text(SYNC)
    both = run("-f", "-", "--cr", str(sync), "--port", "1", stdin="")
    assert both.exit_code == 2
    assert "--port" in both.output
    same = run("-f", "-", "--port", "7000", "--replay-port", "7000", stdin="")
    assert same.exit_code == 2
    sync.write_text(SYNC.replace("6557", "wrong"))
    bad = run("-f", "-", "--cr", str(sync), stdin="")
    assert "spec.events.port" in str(bad.exception)
    assert "no such file" in str(run("-f", str(tmp_path / "none")).exception)
    (tmp_path / "empty").mkdir()
    assert "holds no" in str(run("-f", str(tmp_path / "empty")).exception)


def test_a_relay_is_written_for_git_and_taken_back() -> None:
    text = MODEL.format(name="a").replace("v0.16.0", "v0.32.0")
    plain = yaml.safe_load(run("-f", "-", "-o", "yaml", stdin=text).stdout)
    assert "initContainers" not in plain["spec"]["template"]["spec"]
    words = ("-f", "-", "-o", "yaml", "--relay", "Auto", "--relay-image", "own:1")
    written = run(*words, stdin=text).stdout
    spec = yaml.safe_load(written)["spec"]["template"]["spec"]
    assert [each["image"] for each in spec["initContainers"]] == ["own:1"]
    assert run(*words, stdin=written).stdout.endswith(written)
    back = yaml.safe_load(run("-f", "-", "--undo", "-o", "yaml", stdin=written).stdout)
    assert back == yaml.safe_load(text)


def test_a_relay_for_an_old_cluster_is_a_container_like_any_other() -> None:
    text = MODEL.format(name="a").replace("v0.16.0", "v0.32.0")
    words = ("-f", "-", "-o", "yaml", "--relay", "Always", "--kubernetes-version", "1.28")
    spec = yaml.safe_load(run(*words, stdin=text).stdout)["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["vllm", "kvsync-relay"]
    bad = run(*words[:-1], "old", stdin=text)
    assert bad.exit_code == 2
    assert "such as 1.30" in bad.output


@pytest.mark.parametrize("field", ["initContainers", "volumes"])
def test_lists_beside_the_containers_are_checked_too(field: str) -> None:
    body = yaml.safe_load(MODEL.format(name="a"))
    body["spec"]["template"]["spec"][field] = {"name": "x"}
    with pytest.raises(KvsyncError, match=f"{field} is not a list of objects"):
        CliRunner().invoke(
            cli, ["render", "-f", "-"], input=yaml.safe_dump(body), catch_exceptions=False
        )
