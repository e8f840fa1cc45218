"""kvsync render --slot: what it prints for Git, and for the Argo CD Application beside it."""

import json
from typing import Any

import yaml
from click.testing import CliRunner, Result

from kvsync.cli.main import cli

MODEL = """\
# The model of team a.
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  template:
    metadata: {labels: {app: a}}
    spec:
      containers:
        - {name: vllm, image: "vllm/vllm-openai:v0.16.0", args: ["--model=tiny"]}
"""
OTHER = """\
---
apiVersion: v1
kind: ConfigMap   # stays as it is
metadata: {name: c}
"""
OLD = MODEL.replace("v0.16.0", "v0.8.5")


def run(*words: str, stdin: str = MODEL) -> Result:
    return CliRunner().invoke(cli, ["render", "--slot", "-f", "-", *words], input=stdin)


def template(text: str) -> Any:
    return next(iter(yaml.safe_load_all(text)))["spec"]["template"]


def test_what_is_written_for_git_and_the_way_back() -> None:
    written = run("-o", "yaml", stdin=MODEL + OTHER).stdout
    (container,) = template(written)["spec"]["containers"]
    assert container["args"] == ["--model=tiny", "$(KVSYNC_KV_EVENTS)"]
    assert container["env"] == [{"name": "KVSYNC_KV_EVENTS", "value": "--kv-events-config={}"}]
    assert written.endswith(OTHER)
    assert run("-o", "yaml", stdin=written).stdout == written
    back = run("-o", "yaml", "--undo", stdin=written)
    assert template(back.stdout)["spec"] == template(MODEL)["spec"]
    assert back.stderr == ""


def test_a_manifest_that_has_one_keeps_its_own_text() -> None:
    written = run("-o", "yaml").stdout
    commented = written.replace("        env:", "        env:  # ours to fill")
    assert run("-o", "yaml", stdin=commented).stdout == commented
    assert run("-o", "diff", stdin=commented).stdout == ""


def test_argo_cds_part_goes_to_stderr_and_is_an_output_of_its_own() -> None:
    shown = run()
    assert shown.stdout.startswith("--- default/a")
    alone = run("-o", "argocd")
    part = yaml.safe_load(alone.stdout)
    assert part["spec"]["syncPolicy"]["syncOptions"] == ["RespectIgnoreDifferences=true"]
    (rule,) = part["spec"]["ignoreDifferences"]
    assert (rule["group"], rule["kind"]) == ("apps", "Deployment")
    assert shown.stderr.endswith(alone.stdout)
    assert "labels: WhenVerified" in shown.stderr
    assert alone.stderr == ""
    assert run("-o", "argocd", stdin=OTHER).stdout == ""


def test_an_engine_that_would_not_start_with_it_is_refused() -> None:
    refused = run("--strict", stdin=OLD)
    assert refused.exit_code == 1
    assert "refused (EngineTooOld)" in refused.stderr
    assert "ignoreDifferences" not in refused.stderr
    (entry,) = json.loads(run("-o", "json", stdin=OLD).stdout)
    assert (entry["outcome"], entry["patch"]) == ("Refused", [])
    own = MODEL.replace("vllm/vllm-openai:v0.16.0", "registry.example/vllm:ours")
    assert "DialectUnknown" in run(stdin=own).stderr
    assert "KVSYNC_KV_EVENTS" in run("--engine-version=0.20.0", stdin=own).stdout


def test_options_that_do_not_go_together() -> None:
    policy = run("--network-policy", "aibrix-system/app=gateway")
    assert policy.exit_code == 2
    assert "--slot takes no --network-policy" in policy.stderr
    helm = run("-o", "helm")
    assert helm.exit_code == 2
    assert "--slot has no form helm" in helm.stderr
