"""kvsync render for an owner's tool: kustomize, Argo CD, Helm, and what does not go together."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from cli.test_render import MODEL, STORM, SYNC
from golden.test_golden_kustomize import kustomized
from kvsync.cli.main import cli

STACK = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: rel-llama-deployment-vllm
  labels: {model: llama, helm-release-name: rel}
spec:
  selector: {matchLabels: {model: llama, helm-release-name: rel}}
  template:
    metadata: {labels: {model: llama, helm-release-name: rel}}
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.16.0
          command: [vllm, serve, meta/llama, --port, "8000"]
"""


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["render", *words], input=stdin)


def printed(*words: str, stdin: str) -> str:
    done = run("-f", "-", *words, stdin=stdin)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_component_has_a_patch_for_each_model_that_is_not_right(tmp_path: Path) -> None:
    text = MODEL.format(name="a") + "---\n" + MODEL.format(name="b") + "---\n" + json.dumps(STORM)
    component = printed("-o", "kustomize", stdin=text)
    bodies: list[Any] = [*yaml.safe_load_all(text)]
    built = kustomized(tmp_path / "k", bodies, component)
    args = built["a"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[0] == "--model=tiny"
    assert args[1].startswith("--kv-events-config=")
    prefill, router = built["pd"]["spec"]["template"]["spec"]["roles"]
    assert prefill["template"]["spec"]["containers"][0]["args"][1] == args[1]
    assert router == bodies[2]["spec"]["template"]["spec"]["roles"][1]
    again = yaml.safe_dump_all(built.values())
    assert printed("-o", "kustomize", stdin=again) == "", "what is applied is right"
    assert printed("-o", "json", stdin=again).count("Unchanged") == 3


def test_an_application_has_the_same_patches() -> None:
    text = MODEL.format(name="a")
    component = yaml.safe_load(printed("-o", "kustomize", stdin=text))
    snippet = yaml.safe_load(printed("-o", "argocd", stdin=text))
    assert snippet == {"spec": {"source": {"kustomize": {"patches": component["patches"]}}}}
    assert component["patches"][0]["target"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
        "name": "a",
    }


def test_values_of_a_chart_that_is_known() -> None:
    text = printed("-o", "helm", stdin=STACK)
    values = yaml.safe_load(text)
    (entry,) = values["servingEngineSpec"]["modelSpec"]
    assert entry["name"] == "llama"
    assert entry["vllmConfig"]["extraArgs"][0].startswith("--kv-events-config={")
    assert "#     pod label: model.aibrix.ai/kv-events-enabled: 'true'" in text
    assert "gatewayPlugin" not in text, "no object asks for a gateway"


def test_what_has_no_value_is_told_in_words() -> None:
    text = printed("-o", "helm", stdin=MODEL.format(name="a"))
    assert yaml.safe_load(text) is None
    assert "Deployment a: what makes it is not known here" in text
    assert "argument: --kv-events-config={" in text
    chart = MODEL.format(name="a").replace("{app: a}", "{app: a, helm.sh/chart: own-1.2}", 1)
    assert "the chart own-1.2 is not known here" in printed("-o", "helm", stdin=chart)
    service = MODEL.format(name="a").replace(
        "{app: a}", "{app: a, serving.kserve.io/inferenceservice: chat}", 1
    )
    assert "InferenceService chat: arguments go into spec.predictor.model.args" in printed(
        "-o", "helm", stdin=service
    )


def test_the_gateways_values_are_those_of_the_object(tmp_path: Path) -> None:
    (tmp_path / "sync.yaml").write_text(SYNC)
    cr = ("--cr", str(tmp_path / "sync.yaml"))
    text = printed("-o", "helm", *cr, stdin=MODEL.format(name="a"))
    envs = yaml.safe_load(text)["gatewayPlugin"]["container"]["envs"]
    assert envs["AIBRIX_PREFIX_CACHE_KV_EVENT_SYNC_ENABLED"] == "true"
    assert envs["AIBRIX_PREFIX_CACHE_REMOTE_TOKENIZER_ENDPOINT"] == "http://a.team:8000"
    assert "AIBRIX_PREFIX_CACHE_BLOCK_SIZE is left out" in text
    assert "#     port, for information: 6557" in text


def test_an_object_of_any_mode_says_what_its_owner_is_to_change(tmp_path: Path) -> None:
    for mode in ("Patch", "Admission", "Render"):
        (tmp_path / "sync.yaml").write_text(SYNC + f"  mode: {mode}\n")
        for form in ("kustomize", "diff", "yaml"):
            words = ("-o", form, "--cr", str(tmp_path / "sync.yaml"))
            assert "tcp://*:6557" in printed(*words, stdin=MODEL.format(name="a")), (mode, form)


def test_a_refusal_is_told_and_strict() -> None:
    text = MODEL.format(name="old").replace("v0.16.0", "v0.8.5")
    done = run("-f", "-", "-o", "kustomize", "--strict", stdin=text)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "refused (EngineTooOld)" in done.stderr
    kind = json.dumps(
        {"apiVersion": "orchestration.aibrix.ai/v1alpha1", "kind": "PodSet"}
        | {"metadata": {"name": "p"}}
    )
    assert "refused (Unsupported)" in run("-f", "-", "-o", "helm", stdin=kind).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give -f FILE, or NAMESPACE NAME"),
        (("ns", "name", "-f", "-"), "not both"),
        (("ns", "name", "--undo"), "the object says it all"),
        (("ns", "name", "--topic", "t"), "the object says it all"),
        (("ns", "name", "-o", "yaml"), "-o yaml needs -f"),
        (("a", "b", "c"), "give NAMESPACE NAME"),
        (("-f", "-", "--undo", "-o", "helm"), "has no --undo"),
        (("-f", "-", "-o", "helm", "--network-policy", "a/b=c"), "takes no --network-policy"),
    ],
)
def test_what_does_not_go_together(words: tuple[str, ...], said: str) -> None:
    done = run(*words, stdin="")
    assert done.exit_code == 2
    assert said in done.stderr
