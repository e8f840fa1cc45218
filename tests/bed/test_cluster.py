"""The control plane and the bed: real, quick, apart from each other, and gone when they should be."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.processes import running_with, wait_until_gone
from testbed.api import Api, ApiError
from testbed.bed import Bed
from testbed.cluster import ControlPlane
from testbed.enter import is_inside
from testbed.process import ProgramFailedError
from testbed.programs import NAMES, find_programs
from testbed.session import HOW
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed

# Alone on two cores it takes 3 s; this allows for other tests beside it.
START_WITHIN = 20.0
TESTS = str(Path(__file__).resolve().parents[1])

STARTER = """
import json, signal, sys
from pathlib import Path
from testbed.cluster import ControlPlane
plane = ControlPlane(Path(sys.argv[1]), Path(sys.argv[2]))
plane.start()
print(json.dumps(plane.pids), flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of this file's own, without nodes."""
    if not is_inside():
        pytest.fail(HOW, pytrace=False)
    with ControlPlane(tmp_path_factory.mktemp("plane"), find_programs()) as started:
        yield started


@pytest.fixture
def namespace(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    name: str = request.node.name.removeprefix("test_").replace("_", "-")[:50].strip("-")
    plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    plane.wait_for_namespace(name)
    return name


def config_map(name: str, **labels: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie that merely waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_up_in_seconds_and_as_the_version_it_is(plane: ControlPlane) -> None:
    assert plane.start_seconds < START_WITHIN
    assert sorted(plane.pids) == sorted(NAMES)
    assert plane.api.request("GET", "/version")["gitVersion"].startswith("v1.37.")


def test_two_at_once_know_nothing_of_each_other(plane: ControlPlane, bed: Bed) -> None:
    assert plane.port != bed.plane.port
    assert plane.kubeconfig != bed.kubeconfig
    ids = {api.get("namespace", "default")["metadata"]["uid"] for api in (plane.api, bed.api)}
    assert len(ids) == 2
    foreign = bed.kubeconfig.read_text().replace(bed.plane.server, plane.server)
    path = plane.directory / "foreign.yaml"
    path.write_text(foreign)
    # Another authority signed it: neither side's certificate is good to the other.
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        Api(path).get("namespace", "default")


def test_an_unknown_user_may_nothing_and_then_what_is_granted(
    plane: ControlPlane, namespace: str
) -> None:
    stranger = Api(plane.kubeconfig_for("stranger", ["strangers", "readers"]))
    with pytest.raises(ApiError) as refused:
        stranger.list("configmaps", namespace)
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
    assert 'User "stranger" cannot list resource "configmaps"' in str(refused.value)
    plane.api.create_all(
        f"""
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {{name: readers, namespace: {namespace}}}
        roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}
        subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: Group, name: readers}}]
        """
    )
    found = wait_for(lambda: stranger.list("configmaps", namespace), 10.0, ignore=(ApiError,))
    assert [body["metadata"]["name"] for body in found] == ["kube-root-ca.crt"]
    with pytest.raises(ApiError, match="cannot create"):
        stranger.create(config_map("mine"), namespace)


def test_a_service_account_is_known_by_its_token(plane: ControlPlane, namespace: str) -> None:
    kubeconfig = plane.kubeconfig_for_service_account(namespace, "default")
    done = Api(kubeconfig).kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    assert done.stdout == f"system:serviceaccount:{namespace}:default"


def test_the_audit_log_tells_who_wrote_what(plane: ControlPlane, namespace: str) -> None:
    api = Api(plane.kubeconfig, user_agent="somebody/1.0")
    api.create(config_map("before"), namespace)
    mark = plane.audit.mark()
    assert plane.audit.writes(user_agent_contains="somebody", since=mark) == []

    api.create(config_map("a"), namespace)
    api.patch("configmap", "a", {"data": {"k": "v"}}, namespace)
    with pytest.raises(ApiError):
        api.create(config_map("a"), namespace)
    api.list("configmaps", namespace)
    api.request("POST", f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", config_map("b"))
    plane.api.create(config_map("by-another"), namespace)

    wrote = plane.audit.writes(user_agent_contains="somebody", since=mark)
    assert [(w.verb, w.resource, w.namespace, w.name, w.code) for w in wrote] == [
        ("create", "configmaps", namespace, "a", 201),
        ("patch", "configmaps", namespace, "a", 200),
        ("create", "configmaps", namespace, "a", 409),
    ]
    assert {w.user for w in wrote} == {"admin"}
    assert plane.audit.writes(user="nobody", since=mark) == []


def test_reads_of_ordinary_users_are_in_the_audit_log(plane: ControlPlane) -> None:
    mark = plane.audit.mark()
    with pytest.raises(ApiError):
        Api(plane.kubeconfig_for("curious")).list("secrets")
    asked = [r for r in plane.audit.requests(user="curious", since=mark) if r.resource]
    assert [(r.verb, r.resource, r.code, r.wrote) for r in asked] == [
        ("list", "secrets", 403, False)
    ]


def test_objects_in_and_out(plane: ControlPlane, namespace: str) -> None:
    api = plane.api
    two = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, labels: {a: b}}\n---\n---\n" + (
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: two}}"
    )
    made = api.apply(two, namespace)
    assert [body["kind"] for body in made] == ["ConfigMap", "Secret"]
    assert made[0]["metadata"]["managedFields"][0]["operation"] == "Apply"
    assert [b["metadata"]["name"] for b in api.list("cm", namespace, labels="a=b")] == ["one"]
    patched = api.patch(
        "ConfigMap", "one", [{"op": "remove", "path": "/metadata/labels/a"}], namespace
    )
    assert "labels" not in patched["metadata"]
    assert api.replace({**patched, "data": {"x": "y"}})["data"] == {"x": "y"}
    api.delete("configmaps", "one", namespace)
    api.delete("configmaps", "one", namespace)
    assert api.find("configmaps", "one", namespace) is None
    with pytest.raises(LookupError, match="is its CRD applied"):
        api.list("unheardof")
    with pytest.raises(RuntimeError, match="NotFound"):
        api.kubectl("get", "configmap", "one", "-n", namespace)


def test_what_is_waited_for_in_vain_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0\.1 s: the moon; last: \[\]"):
        wait_for(list, 0.1, what="the moon", pause=0.01)


def test_a_pod_of_the_bed_runs_and_its_words_come_through_the_api_server(bed: Bed) -> None:
    bed.create_namespace("smoke")
    container = {"name": "c", "image": "busybox:1", "args": ["-c", "echo hello; sleep 60"]}
    bed.api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "smoke"},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        }
    )
    wait_for(
        lambda: bed.api.get("pod", "p", "smoke")["status"]["phase"] == "Running",
        20.0,
        what="a running pod",
    )
    wait_for(
        lambda: bed.api.logs("p", "smoke") == "hello\n", 20.0, what="its log", ignore=(ApiError,)
    )
    bed.api.delete("namespace", "smoke")


def test_stopping_leaves_logs_and_nothing_else(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path, find_programs())
    plane.start()
    pids = plane.pids.values()
    assert all(is_running(pid) for pid in pids)
    plane.stop()
    assert not any(is_running(pid) for pid in pids)
    assert not (tmp_path / "etcd").exists()
    assert (tmp_path / "logs" / "audit.log").stat().st_size > 0
    plane.stop()


def test_a_program_that_fails_is_quoted_and_the_others_are_stopped(tmp_path: Path) -> None:
    real, broken = find_programs(), tmp_path / "programs"
    broken.mkdir()
    for name in NAMES:
        (broken / name).symlink_to(real / name)
    (broken / "kube-apiserver").unlink()
    (broken / "kube-apiserver").write_text("#!/bin/sh\necho no such flag: --x\nexit 3\n")
    (broken / "kube-apiserver").chmod(0o755)
    plane = ControlPlane(tmp_path / "plane", broken)
    with pytest.raises(ProgramFailedError) as failure:
        plane.start()
    assert "kube-apiserver ended with status 3" in str(failure.value)
    assert "no such flag: --x" in str(failure.value)
    assert plane.pids == {}
    assert not running_with(str(tmp_path))


def test_killing_the_process_that_started_it_kills_it_all(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path), str(find_programs())],
        env={**os.environ, "PYTHONPATH": TESTS},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert starter.stdout is not None
        assert "kube-apiserver" in starter.stdout.readline()
        assert running_with(str(tmp_path))
    finally:
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    wait_until_gone(str(tmp_path))
