"""Where credentials are looked for, when they are loaded again, and that they are never shown."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import incluster_config

from adapters.kube.conftest import Clock
from kvsync.adapters.kube import access as door
from kvsync.adapters.kube.access import Access, Impersonation, Loaded, due
from kvsync.model.errors import AccessError

SECRET = "s3cr3t-t0ken"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without a kubeconfig, outside of any pod."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig(path: Path, user: dict[str, Any], name: str = "one") -> Path:
    context = {"cluster": name, "user": name, "namespace": f"ns-{name}"}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": context}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443/"}}],
        "users": [{"name": name, "user": user}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))
    return path


def plugin(path: Path, **credentials: str) -> dict[str, Any]:
    """A credential plugin that also counts its runs in a file beside it."""
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    answer = json.dumps({**said, "status": credentials})
    path.write_text(f"#!/bin/sh\necho run >> {path}.runs\nprintf '%s' '{answer}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": said["apiVersion"], "command": str(path)}}


def runs(path: Path) -> int:
    return len(Path(f"{path}.runs").read_text().splitlines())


async def test_kubectls_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = kubeconfig(tmp_path / "home" / ".kube" / "config", {"token": "home"}, "home")
    named = kubeconfig(tmp_path / "named", {"token": "named"}, "named")
    given = kubeconfig(tmp_path / "given", {"token": "given"}, "given")
    assert (await Access.find()).configuration.host == "https://home:6443"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{named}:{home}")
    merged = await Access.find()
    assert (merged.configuration.host, merged.namespace) == ("https://named:6443", "ns-named")
    chosen = await Access.find(context="home")
    assert chosen.configuration.host == "https://home:6443"
    assert await chosen.authorization() == "Bearer home"
    assert (await Access.find(str(given))).namespace == "ns-given"


async def test_nothing_found_says_where_it_looked() -> None:
    with pytest.raises(AccessError, match=r"KUBECONFIG.*~/\.kube/config.*--kubeconfig"):
        await Access.find()


async def test_a_missing_file_is_named() -> None:
    with pytest.raises(AccessError, match="/no/such/file does not exist"):
        await Access.find("/no/such/file")


@pytest.mark.parametrize(
    "damage",
    [
        {"current-context": "other"},
        {"contexts": [{"name": "one", "context": {"user": "one"}}]},
        {"users": [{"name": "one", "token": SECRET}]},
        {"users": [{"name": "one", "user": {"exec": {"x": SECRET}}}]},
        {"users": [{"name": "one", "user": {"auth-provider": {"name": "oidc", "t": SECRET}}}]},
        {"clusters": 5},
    ],
)
async def test_a_damaged_file_is_refused_without_its_secrets(
    tmp_path: Path, damage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = kubeconfig(tmp_path / "config", {"token": SECRET})
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(AccessError, match=str(path)) as caught:
        await Access.find(str(path))
    assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text


async def test_a_plugin_runs_again_before_its_token_ends(tmp_path: Path, clock: Clock) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    user = plugin(tmp_path / "plugin", token=SECRET, expirationTimestamp=ends.isoformat())
    path = kubeconfig(tmp_path / "config", user)
    access = await Access.find(str(path))
    clock.now = ends.timestamp() - 301
    access._clock = clock
    assert await access.authorization() == f"Bearer {SECRET}"
    assert runs(tmp_path / "plugin") == 1
    clock.now += 2
    assert await access.authorization() == f"Bearer {SECRET}"
    assert runs(tmp_path / "plugin") == 2


async def test_a_failing_plugin_is_no_anonymous_access(tmp_path: Path) -> None:
    user = plugin(tmp_path / "plugin", wrong="x")
    with pytest.raises(AccessError, match=r"plugin .* gave no credentials"):
        await Access.find(str(kubeconfig(tmp_path / "config", user)))


def pod_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {"token": "one\n", "ca.crt": "x", "namespace": "here"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(door, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path / "token"


async def test_a_pods_token_is_followed_as_it_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    token = pod_files(tmp_path, monkeypatch)
    access = await Access.find()
    assert (access.configuration.host, access.namespace) == ("https://10.0.0.1:443", "here")
    assert access.pod_namespace == "here"
    clock.now = access._due - 1
    access._clock = clock
    token.write_text("two\n")
    assert (await access.authorization() or "").endswith(" one")
    clock.now += 1
    assert (await access.authorization() or "").endswith(" two")
    token.unlink()
    clock.now += 61
    assert (await access.authorization() or "").endswith(" two")  # a bad moment loses nothing


async def test_a_clock_that_is_set_back_keeps_no_dead_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    token = pod_files(tmp_path, monkeypatch)
    access = await Access.find()
    access._clock = clock
    clock.now = access._due - 4000
    token.write_text("two\n")
    assert await access.renew("Bearer one"), "after a 401"
    assert (await access.authorization() or "").endswith(" two")


async def test_only_a_pod_that_says_so_is_in_a_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod_files(tmp_path, monkeypatch)
    elsewhere = kubeconfig(tmp_path / "config", {"token": "x"})
    assert (await Access.find(str(elsewhere))).pod_namespace == "", "it may lead to another cluster"
    (tmp_path / "namespace").unlink()
    access = await Access.find()
    assert (access.namespace, access.pod_namespace) == ("default", "")


async def test_a_context_needs_a_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod_files(tmp_path, monkeypatch)
    with pytest.raises(AccessError, match="no kubeconfig"):
        await Access.find(context="one")


def test_when_credentials_are_due() -> None:
    certificate = Loaded(Configuration(), "default")
    token = Configuration(api_key={"BearerToken": "Bearer x"})
    assert due(certificate, 100) == float("inf")
    assert due(Loaded(token, "default"), 100) == 160
    assert due(Loaded(token, "default", expires=10_000), 100) == 9_700
    assert due(Loaded(token, "default", expires=50), 100) == 105


async def test_whom_to_act_as_is_read_from_the_kubeconfig_and_an_option_wins(
    tmp_path: Path,
) -> None:
    acting = {"token": SECRET, "as": "someone", "as-groups": ["a", "b"]}
    file = str(kubeconfig(tmp_path / "acting", acting))
    found = await Access.find(file)
    assert found.impersonation.headers == (
        ("Impersonate-User", "someone"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
    )
    other = await Access.find(file, impersonation=Impersonation("other"))
    assert other.impersonation.headers == (("Impersonate-User", "other"),)
    plain = await Access.find(str(kubeconfig(tmp_path / "plain", {"token": SECRET})))
    assert plain.impersonation.headers == ()


async def test_acting_as_what_is_not_known_is_refused(tmp_path: Path) -> None:
    user = {"token": SECRET, "as": "someone", "as-user-extra": {"scopes": ["view"]}}
    with pytest.raises(AccessError, match="as-user-extra"):
        await Access.find(str(kubeconfig(tmp_path / "acting", user)))
