"""Every setting of `kvsync run`: by flag and by variable, its default told, a wrong value refused by name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cli.runs import settings_of
from kvsync.cli.main import cli
from kvsync.cli.run import run
from kvsync.model.address import Address
from kvsync.model.selector_text import parse_selector
from kvsync.model.shard import Shard
from kvsync.shell.settings import BOUNDS, Settings, SettingsError

SETTINGS = {str(param.name): param for param in run.params}

WRONG = {
    "namespaces": ("Team_A", "name of a namespace"),
    "object_selector": ("replicas>3", "shard in (a, b)"),
    "gateways": ("gateway", "NAMESPACE/NAME"),
    "operator_namespace": ("a/b", "name of a namespace"),
    "operator_labels": ("app", "KEY=VALUE"),
    "model_network_policy": ("maybe", "true"),
    "admission_policy": ("maybe", "true"),
    "image": ("an image", "registry.example.com/kvsync-operator:0.1.0"),
    "relay_images": ("registry/repo:tag", "repository without tag"),
    "templates": ("/nowhere/at/all", "does not exist"),
    "workers": ("0", "from 1 to 64"),
    "max_rolling": ("many", "from 0 to 1000"),
    "probe_workers": ("1.5", "from 1 to 16"),
    "probe_memory": ("63", "from 64 to 65536"),
    "gateway_silence": ("nan", "from 1 to 3600"),
    "relay_budget": ("-1", "from 0 to 1e+07"),
    "metrics_address": ("8080", "HOST:PORT"),
    "leader_elect": ("maybe", "true"),
    "lease_name": ("Kvsync_Lease", "lower case letters"),
    "lease_duration": ("2", "from 3 to 60"),
    "log_format": ("xml", "'text', 'json'"),
    "log_level": ("loud", "'debug', 'info', 'warning', 'error'"),
}
"""A wrong value of each, and what the refusal says of the right ones."""

ANYTHING = {
    "kubeconfig": "a list of files; whether one is of use is found out by reading it",
    "context": "a name in the kubeconfig; kubectl has no variable for it either",
}
"""Settings of which no value is wrong by itself, and why."""

NO_FLAG_FOR_IT = ("admission_policy", "leader_elect", "model_network_policy")
"""Switches, which take no value but by their variables."""


def refused(*words: str, env: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(cli, ["run", *words], env=env)
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def variable(name: str) -> str:
    option = SETTINGS[name]
    assert isinstance(option.envvar, str), f"{name} has no variable"
    return option.envvar


def test_each_setting_is_tried_here() -> None:
    assert SETTINGS.keys() == WRONG.keys() | ANYTHING.keys()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_of_a_variable_is_refused_by_both_names_and_with_what_is_right(
    name: str,
) -> None:
    value, right = WRONG[name]
    said = refused(env={variable(name): value})
    assert SETTINGS[name].opts[0] in said
    assert variable(name) in said
    assert right in said


@pytest.mark.parametrize("name", [name for name in WRONG if name not in NO_FLAG_FOR_IT])
def test_so_is_a_wrong_value_of_a_flag(name: str) -> None:
    value, right = WRONG[name]
    said = refused(f"{SETTINGS[name].opts[0]}={value}")
    assert SETTINGS[name].opts[0] in said
    assert variable(name) in said
    assert right in said


@pytest.mark.parametrize("name", SETTINGS)
def test_the_help_tells_each_with_its_variable_and_its_default(name: str) -> None:
    option = SETTINGS[name]
    assert isinstance(option, click.Option)
    assert option.help
    if name not in ANYTHING:
        word = option.opts[0].removeprefix("--").replace("-", "_").upper()
        assert variable(name) in (f"KVSYNC_{word}", f"KVSYNC_{word}S")
        assert option.show_envvar
        assert option.show_default
    said = " ".join(CliRunner().invoke(cli, ["run", "--help"]).output.split())
    assert f" {option.opts[0]} " in said
    if name not in ANYTHING:
        assert f"[env var: {variable(name)}; default: " in said


def test_settings_are_the_commands_options_and_none_is_left_out() -> None:
    assert {field.name for field in fields(Settings)} == SETTINGS.keys()


RIGHT: dict[str, tuple[str, Any]] = {
    "namespaces": ("team-a team-b", ("team-a", "team-b")),
    "object_selector": ("tier!=x, shard in (b)", parse_selector("shard=b,tier!=x")),
    "operator_labels": ("b=c a=", (("a", ""), ("b", "c"))),
    "model_network_policy": ("true", True),
    "admission_policy": ("true", True),
    "image": ("reg:5000/kvsync@sha256:0a", "reg:5000/kvsync@sha256:0a"),
    "relay_images": ("reg.example.com/ own/relay", ("reg.example.com/", "own/relay")),
    "workers": ("64", 64),
    "max_rolling": ("0", 0),
    "probe_workers": ("2", 2),
    "probe_memory": ("64", 64),
    "gateway_silence": ("1.5", 1.5),
    "relay_budget": ("0", 0.0),
    "metrics_address": ("[::]:9090", Address("::", 9090)),
    "leader_elect": ("true", True),
    "lease_name": ("a.b-c", "a.b-c"),
    "lease_duration": ("60", 60),
    "log_format": ("json", "json"),
    "log_level": ("error", "error"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_value_of_a_variable_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = RIGHT[name]
    assert getattr(settings_of(monkeypatch, env={variable(name): text}), name) == value


def test_a_flag_goes_before_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env = {"KVSYNC_WORKERS": "9", "KVSYNC_LEADER_ELECT": "1", "KVSYNC_TEMPLATES": str(tmp_path)}
    settings = settings_of(monkeypatch, "--workers=7", "--no-leader-elect", env=env)
    assert (settings.workers, settings.leader_elect) == (7, False)
    assert settings.templates == str(tmp_path)


@pytest.mark.parametrize("name", BOUNDS)
def test_settings_are_within_their_bounds_whoever_makes_them(name: str) -> None:
    def made(value: int) -> Settings:
        wanted: dict[str, Any] = {name: value}
        return Settings(**wanted)

    least, most = BOUNDS[name]
    assert getattr(made(least), name) == least
    assert getattr(made(most), name) == most
    for value in (least - 1, most + 1):
        with pytest.raises(SettingsError, match=f"{variable(name)}.*from {least} to {most}"):
            made(value)


@pytest.mark.parametrize(
    ("said", "pod", "elects"),
    [(None, "ops", True), (None, "", False), (True, "ops", True), (False, "ops", False)],
)
def test_leaders_are_elected_in_a_pod_unless_it_is_said_otherwise(
    said: bool | None, pod: str, elects: bool
) -> None:
    found = Settings(leader_elect=said).at(pod)
    assert found.leader_elect is elects
    assert found.operator_namespace == pod


def test_operators_of_different_objects_have_leases_of_their_own() -> None:
    selectors = map(parse_selector, ("shard=a", "shard=b", "!shard"))
    shards = [Settings(object_selector=each).at("ops").shard_name for each in selectors]
    names = ["ops/kvsync-operator", *shards]
    assert len(set(names)) == 4
    same = Settings(object_selector=parse_selector("shard in (a)")).at("ops")
    assert same.shard_name == names[1]
    assert same.shard_name.startswith("ops/kvsync-operator-")
    named = Settings(object_selector=parse_selector("shard=a"), lease_name="mine").at("ops")
    assert named.shard_name == "ops/mine"
    alone = Settings().at("ops")
    assert (alone.shard.name, alone.shard_name) == ("ops/kvsync-operator", "")
    assert Settings().at("").shard == Shard()


def test_a_selector_without_a_lease_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"--object-selector .*--leader-elect"):
        Settings(object_selector=parse_selector("shard=a")).at("")


def test_an_election_without_a_namespace_is_refused_with_the_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingsError, match="--operator-namespace"):
        Settings(leader_elect=True).at("")
    assert Settings(leader_elect=True, operator_namespace="ops").at("").leader_elect

    async def contradict(settings: Settings) -> None:
        settings.at("")

    monkeypatch.setattr("kvsync.shell.process.serve", contradict)
    said = refused("--leader-elect")
    assert "KVSYNC_LEADER_ELECT" in said
    assert "--no-leader-elect" in said
