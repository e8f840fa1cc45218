"""`kvsync run`: mistakes in its options are usage errors, before anything is connected to."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from kvsync.cli.main import cli
from kvsync.cli.options import ListenAddress
from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: here}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: here, user: {token: x}}]
"""


@pytest.mark.parametrize("address", ["8080", "localhost", "h:99999", "http://h:8080"])
def test_an_address_of_the_wrong_form_is_a_usage_error(address: str) -> None:
    refused = CliRunner().invoke(cli, ["run", "--metrics-address", address])
    assert refused.exit_code == 2
    assert "--metrics-address" in refused.output


@pytest.mark.parametrize("text", ["", "off"])
def test_metrics_can_be_switched_off(text: str) -> None:
    assert ListenAddress().convert(text, None, None) is None


def test_the_environment_gives_the_address_too() -> None:
    refused = CliRunner().invoke(cli, ["run"], env={"KVSYNC_METRICS_ADDRESS": "nowhere"})
    assert refused.exit_code == 2
    assert "HOST:PORT" in refused.output


def test_a_taken_port_ends_the_operator_with_a_way_out(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = str(Address(*taken.getsockname())).removeprefix("tcp://")
        options = ["run", "--kubeconfig", str(kubeconfig), "--metrics-address", address]
        ended = CliRunner().invoke(cli, options)
    assert isinstance(ended.exception, KvsyncError)
    assert "in use" in str(ended.exception)
    assert "--metrics-address" in str(ended.exception)


@pytest.mark.parametrize("number", ["-1", "many", "1001"])
def test_a_limit_of_the_wrong_form_is_a_usage_error(number: str) -> None:
    refused = CliRunner().invoke(cli, ["run"], env={"KVSYNC_MAX_ROLLING": number})
    assert refused.exit_code == 2
    assert "--max-rolling" in refused.output
