"""How the process ends that lost its leadership, and one whose settings contradict what is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.runs import KUBECONFIG
from kvsync.adapters.log_lines import FORMATS
from kvsync.cli.main import cli

LOSE = """
import atexit, sys
from kvsync.adapters.log_lines import begin_logging
from kvsync.shell.process import end_at_once

begin_logging(sys.argv[1], "error")
atexit.register(print, "tidied up", flush=True)
try:
    end_at_once("pod-1_ab12 holds the Lease now")
finally:
    print("went on", flush=True)
"""


@pytest.mark.parametrize("form", FORMATS)
def test_leadership_lost_is_one_line_and_the_end_with_nothing_tidied_up(form: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOSE, form], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    said = json.loads(line)["message"] if form == "json" else line
    assert said.endswith("leadership lost, this process ends: pod-1_ab12 holds the Lease now")


def test_an_election_without_a_namespace_ends_before_anything_is_asked(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    words = ["run", "--leader-elect", "--kubeconfig", str(kubeconfig)]
    refused = CliRunner().invoke(cli, words, env={"KVSYNC_OPERATOR_NAMESPACE": ""})
    assert refused.exit_code == 2
    assert "--operator-namespace NAME (env KVSYNC_OPERATOR_NAMESPACE)" in refused.output
