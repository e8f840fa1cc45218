"""Probes, readiness gates and rollouts: what decides whether a pod serves."""

import pytest

from bed.kubelet.stage import Stage, exec_probe, pod, shell
from testbed.api import STRATEGIC, Object

pytestmark = pytest.mark.bed

SERVE = "exec python3 -m http.server 8080 --directory /tmp"
BUSY = "exec sleep 600"


def test_readiness_follows_the_probe_both_ways(stage: Stage) -> None:
    toggle = "sleep 1.5; touch /tmp/shared/up; sleep 2; rm /tmp/shared/up; exec sleep 600"
    mount = [{"name": "shared", "mountPath": "/tmp/shared"}]
    probe = exec_probe("test -e /tmp/shared/up")
    main = shell("main", BUSY, readinessProbe=probe, volumeMounts=mount)
    other = shell("other", toggle, volumeMounts=mount)
    name = stage.run(pod("ready", main, other, volumes=[{"name": "shared", "emptyDir": {}}]))
    stage.wait_container(name, "main", lambda c: "running" in c["state"] and not c["ready"])
    stage.wait_ready(name)
    stage.wait("not ready", lambda: stage.condition(name, "Ready").get("status") == "False")
    assert stage.condition(name, "Ready")["message"].endswith("[main]")
    assert stage.containers(name)["main"]["restartCount"] == 0


def test_an_http_probe_asks_a_named_port_of_the_pods_own_address(stage: Stage) -> None:
    get = {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1}
    ports = [{"name": "web", "containerPort": 8080}]
    name = stage.run(pod("web", shell("main", SERVE, readinessProbe=get, ports=ports)))
    stage.wait_ready(name)
    lost = {"httpGet": {"path": "/missing", "port": 8080}, "periodSeconds": 1}
    other = stage.run(pod("lost", shell("main", SERVE, readinessProbe=lost, ports=ports)))
    stage.wait("a 404", lambda: "404" in stage.log(other))
    assert stage.containers(other)["main"]["ready"] is False


def test_a_tcp_probe_wants_an_open_port(stage: Stage) -> None:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    name = stage.run(pod("tcp", shell("main", f"sleep 2; {SERVE}", readinessProbe=probe)))
    stage.wait_container(name, "main", lambda c: "running" in c["state"])
    assert stage.containers(name)["main"]["ready"] is False
    stage.wait_ready(name)


def test_a_failing_liveness_probe_restarts_the_container(stage: Stage) -> None:
    script = "trap 'echo asked; exit 5' TERM; while :; do sleep 0.1; done"
    alive = exec_probe("false", initialDelaySeconds=1)
    name = stage.run(pod("dead", shell("main", script, livenessProbe=alive)))
    found = stage.wait_container(name, "main", lambda c: c["restartCount"] >= 1)
    assert found["lastState"]["terminated"]["exitCode"] == 5
    stage.wait("its last words", lambda: stage.log(name, previous=True) == "asked\n")


def test_a_startup_probe_holds_the_others_back_and_ends_what_never_starts(stage: Stage) -> None:
    slow = shell(
        "slow",
        f"sleep 3; touch /tmp/up; {BUSY}",
        startupProbe=exec_probe("test -e /tmp/up", failureThreshold=20),
        livenessProbe=exec_probe("test -e /tmp/up"),
    )
    never = shell("never", BUSY, startupProbe=exec_probe("false", failureThreshold=2))
    name = stage.run(pod("start", slow, never))
    stage.wait_container(name, "never", lambda c: c["restartCount"] >= 1)
    found = stage.wait_container(name, "slow", lambda c: c["started"])
    assert (found["restartCount"], found["ready"]) == (0, True)


def test_a_readiness_gate_is_waited_for(stage: Stage) -> None:
    gate = "example.com/verified"
    name = stage.run(pod("gated", shell("main", BUSY), readinessGates=[{"conditionType": gate}]))
    stage.wait(
        "containers ready", lambda: stage.condition(name, "ContainersReady").get("status") == "True"
    )
    unready = stage.condition(name, "Ready")
    assert unready["reason"] == "ReadinessGatesNotReady"
    assert gate in unready["message"]
    met = {"status": {"conditions": [{"type": gate, "status": "True"}]}}
    stage.bed.api.patch(
        "pods", name, met, stage.namespace, subresource="status", content_type=STRATEGIC
    )
    stage.wait_ready(name)


def test_a_rolling_update_replaces_ready_by_ready_and_stops_at_a_crash(stage: Stage) -> None:
    api = stage.bed.api
    api.create(_deployment(), stage.namespace)
    stage.wait_rolled_out("web")
    _set_script(stage, f"echo two; {BUSY}")
    stage.wait_rolled_out("web")
    pods = api.list("pods", stage.namespace, labels="app=web")
    living = [p for p in pods if "deletionTimestamp" not in p["metadata"]]
    assert {stage.log(p["metadata"]["name"]) for p in living} == {"two\n"}
    _set_script(stage, "exit 2")
    stage.wait("a crash loop", lambda: _crashing(stage))
    status = api.get("deployments", "web", stage.namespace)["status"]
    assert status["availableReplicas"] == 2
    assert status["updatedReplicas"] == 1


def _deployment() -> Object:
    template = pod("unnamed", shell("main", f"echo one; {BUSY}"))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "minReadySeconds": 1,  # a container without probes is ready until it crashes
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": template["spec"]},
        },
    }


def _set_script(stage: Stage, script: str) -> None:
    path = "/spec/template/spec/containers/0/command/2"
    patch = [{"op": "replace", "path": path, "value": script}]
    stage.bed.api.patch("deployments", "web", patch, stage.namespace)


def _crashing(stage: Stage) -> bool:
    pods = stage.bed.api.list("pods", stage.namespace, labels="app=web")
    statuses = [c for p in pods for c in p["status"].get("containerStatuses", ())]
    return any(c["restartCount"] >= 1 for c in statuses)
