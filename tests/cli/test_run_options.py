"""`kvsync run`: mistakes in its options are usage errors, before anything is connected to."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.runs import KUBECONFIG, settings_of
from kvsync.cli.main import cli
from kvsync.cli.options import ListenAddress
from kvsync.core.gateway_access import GatewayGrant
from kvsync.model.address import Address
from kvsync.model.errors import KvsyncError


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


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["--gateway", "aibrix-system"], {}),
        (["--gateway", "a/b=Team"], {}),
        ([], {"KVSYNC_GATEWAYS": "a/b a/b="}),
    ],
)
def test_a_gateway_of_the_wrong_form_is_named_with_the_form(
    words: list[str], env: dict[str, str]
) -> None:
    refused = CliRunner().invoke(cli, ["run", *words], env=env)
    assert refused.exit_code == 2
    assert "NAMESPACE/NAME=NAMESPACE,…" in refused.output
    assert repr(words[-1] if words else "a/b=") in refused.output


def test_gateways_are_granted_by_label_or_to_whom_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--gateway", "a/b", "--gateway", "c/*=team-*,x", "--operator-namespace", "ops")
    settings = settings_of(monkeypatch, *words)
    assert settings.gateways == (
        GatewayGrant("a", "b"),
        GatewayGrant("c", "*", ("team-*", "x")),
    )
    assert settings.access.own_namespace == "ops"


def test_the_environment_grants_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"KVSYNC_GATEWAYS": "a/b=x,y c/d", "KVSYNC_OPERATOR_NAMESPACE": "ops"}
    settings = settings_of(monkeypatch, env=env)
    assert settings.gateways == (GatewayGrant("a", "b", ("x", "y")), GatewayGrant("c", "d"))
    assert settings.operator_namespace == "ops"


def test_without_a_word_the_default_gateway_is_granted_by_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_of(monkeypatch)
    assert settings.gateways == (
        GatewayGrant("aibrix-system", "aibrix-gateway-plugins"),
        GatewayGrant("aibrix-system", "kvcache-watcher"),
    )
    assert settings.access.needs_labels
    assert settings.access.own_namespace == ""


def test_a_namespace_of_the_operator_that_can_be_none_is_a_usage_error() -> None:
    refused = CliRunner().invoke(cli, ["run", "--operator-namespace", "*"])
    assert refused.exit_code == 2
    assert "'*' is no name of a namespace" in refused.output


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


@pytest.mark.parametrize("number", ["-1", "much", "10000001"])
def test_a_budget_of_the_wrong_form_is_a_usage_error(number: str) -> None:
    refused = CliRunner().invoke(cli, ["run"], env={"KVSYNC_RELAY_BUDGET": number})
    assert refused.exit_code == 2
    assert "--relay-budget" in refused.output


@pytest.mark.parametrize("number", ["-1", "many", "1001"])
def test_a_limit_of_the_wrong_form_is_a_usage_error(number: str) -> None:
    refused = CliRunner().invoke(cli, ["run"], env={"KVSYNC_MAX_ROLLING": number})
    assert refused.exit_code == 2
    assert "--max-rolling" in refused.output


@pytest.mark.parametrize("label", ["app", "=kvsync", "app=a b", "a/b/c=d"])
def test_a_label_of_the_wrong_form_is_a_usage_error(label: str) -> None:
    refused = CliRunner().invoke(cli, ["run", "--operator-labels", label])
    assert refused.exit_code == 2
    assert "KEY=VALUE" in refused.output
