"""The values that ``kvsync render -o helm`` prints, rendered by the real Helms from charts of the same shape.

The templates are ours; they take what AIBrix's and production-stack's charts take, in the way that those do.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cli.test_render import SYNC
from cli.test_render_forms import STACK
from kvsync.cli.main import cli
from testbed.helm.install import MAJORS, find_helm

pytestmark = pytest.mark.bed

ENVIRONMENT = """\
kind: Gateway
env:
{{- range $name, $value := .Values.gatewayPlugin.container.envs }}
  - name: {{ $name }}
    value: "{{ $value }}"
{{- end }}
"""
ENGINES = """\
{{- range $one := .Values.servingEngineSpec.modelSpec }}
---
kind: Engine
name: {{ $one.name }}
command:
  - vllm
{{- with $one.vllmConfig }}
{{- range .extraArgs }}
  - {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shape\nversion: 0.1.0\n")
    (folder / "templates" / "gateway.yaml").write_text(ENVIRONMENT)
    (folder / "templates" / "engines.yaml").write_text(ENGINES)
    return folder


@pytest.mark.parametrize("major", MAJORS)
def test_the_charts_get_what_the_values_say(chart: Path, tmp_path: Path, major: int) -> None:
    (tmp_path / "sync.yaml").write_text(SYNC.replace("{app: a}", "{model: llama}"))
    words = ["render", "-f", "-", "-o", "helm", "--cr", str(tmp_path / "sync.yaml")]
    values = CliRunner().invoke(cli, words, input=STACK).stdout
    done = subprocess.run(
        [str(find_helm(major)), "template", "rel", str(chart), "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    bodies: list[Any] = [body for body in yaml.safe_load_all(done.stdout) if body]
    by_kind = {body["kind"]: body for body in bodies}
    said = yaml.safe_load(values)
    env = {each["name"]: each["value"] for each in by_kind["Gateway"]["env"]}
    assert env == said["gatewayPlugin"]["container"]["envs"]
    assert env["AIBRIX_PREFIX_CACHE_TOKENIZER_TYPE"] == "remote"
    engine = by_kind["Engine"]
    assert (
        engine["command"][1:]
        == said["servingEngineSpec"]["modelSpec"][0]["vllmConfig"]["extraArgs"]
    )
    assert '"endpoint":"tcp://*:6557"' in engine["command"][1]
