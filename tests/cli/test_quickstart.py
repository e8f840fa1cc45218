"""kvsync quickstart: the committed sample is what it prints."""

from pathlib import Path

import yaml
from click.testing import CliRunner

from kvsync.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs" / "samples" / "quickstart" / "model-with-kv-events.yaml"


def test_the_sample_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(cli, ["quickstart", "my-model"])
    assert printed.exit_code == 0, printed.output
    assert printed.output == SAMPLE.read_text(), "make generate"


def test_service_label_and_served_name_are_one_name() -> None:
    printed = CliRunner().invoke(cli, ["quickstart", "llama", "-n", "team", "--port", "9000"])
    deployment, service, sync = yaml.safe_load_all(printed.output)
    template = deployment["spec"]["template"]
    assert service["metadata"]["name"] == "llama"
    assert template["metadata"]["labels"]["model.aibrix.ai/name"] == "llama"
    assert "--served-model-name=llama" in template["spec"]["containers"][0]["args"]
    assert {body["metadata"]["namespace"] for body in (deployment, service, sync)} == {"team"}


def test_a_name_that_no_service_can_have_is_refused() -> None:
    refused = CliRunner().invoke(cli, ["quickstart", "My_Model"])
    assert refused.exit_code == 2
    assert "lower-case letters" in refused.output
