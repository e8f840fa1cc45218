"""`kvsync run` without a cluster: a kubeconfig that leads nowhere, and what an operator would run with."""

import pytest
from click.testing import CliRunner

from kvsync.cli.main import cli
from kvsync.shell.settings import Settings

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: here}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: here, user: {token: x}}]
"""


def settings_of(
    monkeypatch: pytest.MonkeyPatch, *words: str, env: dict[str, str] | None = None
) -> Settings:
    """What the operator would run with."""
    seen: list[Settings] = []

    async def note(settings: Settings) -> None:
        seen.append(settings)

    monkeypatch.setattr("kvsync.shell.process.serve", note)
    done = CliRunner().invoke(cli, ["run", *words], env=env)
    assert done.exit_code == 0, done.output
    return seen[0]
