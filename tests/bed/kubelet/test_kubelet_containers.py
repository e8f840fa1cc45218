"""Containers as processes: their order, environment, files, crashes and ends."""

import json
import os
import signal

import pytest

from bed.kubelet.stage import Stage, pod, shell
from bed.processes import running_with, unique_sleep, wait_until_gone
from testbed.bed import Bed
from testbed.kubelet.process import CHECKOUT
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed

SHARED = {"volumes": [{"name": "shared", "emptyDir": {}}]}
MOUNT = {"volumeMounts": [{"name": "shared", "mountPath": "/tmp/shared"}]}


def test_init_containers_and_sidecars_start_one_after_the_other_before_the_rest(
    stage: Stage,
) -> None:
    note = "echo {} >> /tmp/shared/order".format
    sidecar = shell(
        "side",
        f"sleep 0.5; {note('side')}; touch /tmp/up; exec sleep 600",
        restartPolicy="Always",
        startupProbe={
            "exec": {"command": ["test", "-e", "/tmp/up"]},
            "periodSeconds": 1,
            "failureThreshold": 30,
        },
        **MOUNT,
    )
    init = [
        shell("first", f"sleep 0.3; {note('first')}", **MOUNT),
        sidecar,
        shell("second", note("second"), **MOUNT),
    ]
    main = shell("main", "cat /tmp/shared/order; exec sleep 600", **MOUNT)
    name = stage.run(pod("ordered", main, initContainers=init, **SHARED))
    stage.wait_ready(name)
    stage.wait("the order", lambda: stage.log(name, "main") == "first\nside\nsecond\n")
    found = stage.containers(name)
    assert found["first"]["state"]["terminated"]["reason"] == "Completed"
    assert found["side"]["started"] is True
    assert "running" in found["side"]["state"]


def test_a_failing_init_container_holds_the_pod_back(stage: Stage) -> None:
    main = shell("main", "exec sleep 600")
    name = stage.run(pod("held", main, initContainers=[shell("first", "exit 3")]))
    first = stage.wait_container(name, "first", lambda c: c["restartCount"] >= 1)
    assert first["lastState"]["terminated"]["exitCode"] == 3
    assert stage.status(name)["phase"] == "Pending"
    assert stage.containers(name)["main"]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert stage.condition(name, "Initialized")["message"].endswith("[first]")


def test_the_environment_comes_from_literals_fields_config_maps_and_secrets(stage: Stage) -> None:
    api = stage.bed.api
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    api.create({**config, "data": {"colour": "blue", "size": "9"}}, stage.namespace)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}}
    api.create({**secret, "stringData": {"token": "s3cret"}}, stage.namespace)
    env = [
        {"name": "PLAIN", "value": "one"},
        {"name": "BUILT", "value": "$(PLAIN)-$(COLOUR)-$$(PLAIN)-$(MISSING)"},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}},
        {
            "name": "NONE",
            "valueFrom": {"configMapKeyRef": {"name": "no", "key": "no", "optional": True}},
        },
    ]
    env.insert(
        1,
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
    )
    main = shell(
        "main",
        'echo "$PLAIN|$BUILT|$LABEL|$TOKEN|$C_size|${NONE-unset}|$1"; echo "$POD_IP"; exec sleep 600',
        env=env,
        envFrom=[{"prefix": "C_", "configMapRef": {"name": "settings"}}],
        args=["sh", "$(COLOUR)$$(X)"],
    )
    body = pod("environment", main)
    body["metadata"]["labels"] = {"app": "probe"}
    name = stage.run(body)
    stage.wait("two lines", lambda: stage.log(name).count("\n") == 2)
    first, address = stage.log(name).splitlines()
    assert first == "one|one-blue-$(PLAIN)-$(MISSING)|probe|s3cret|9|unset|blue$(X)"
    assert address == stage.status(name)["podIP"]


def test_a_missing_config_map_is_waited_for(stage: Stage) -> None:
    source = {"configMapKeyRef": {"name": "late", "key": "word"}}
    main = shell("main", "echo $WORD; exec sleep 600", env=[{"name": "WORD", "valueFrom": source}])
    name = stage.run(pod("waiting", main))
    found = stage.wait_container(name, "main", lambda c: "message" in c["state"].get("waiting", {}))
    assert found["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert 'configmap "late" not found' in found["state"]["waiting"]["message"]
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}
    stage.bed.api.create({**config, "data": {"word": "here"}}, stage.namespace)
    stage.wait("its word", lambda: stage.log(name) == "here\n")


def test_a_volume_of_a_missing_config_map_is_waited_for(stage: Stage) -> None:
    volume = {
        "name": "files",
        "configMap": {"name": "late", "items": [{"key": "a", "path": "b/c"}]},
    }
    mount = {"name": "files", "mountPath": "/run/files", "readOnly": True}
    script = "cat /run/files/b/c; touch /run/files/x || echo refused; exec sleep 600"
    name = stage.run(pod("volume", shell("main", script, volumeMounts=[mount]), volumes=[volume]))
    stage.wait("an address", lambda: stage.status(name).get("podIP"))
    assert "waiting" in stage.containers(name)["main"]["state"]
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}
    stage.bed.api.create({**config, "data": {"a": "text\n"}}, stage.namespace)
    stage.wait_ready(name)
    stage.wait("its words", lambda: stage.log(name).endswith("refused\n"))
    assert stage.log(name).startswith("text\n")


def test_its_host_name_is_the_pods_name(stage: Stage) -> None:
    name = stage.run(pod("named", shell("main", 'echo "$(hostname) $HOSTNAME"; exec sleep 600')))
    assert stage.log_until(name, "\n") == "named named\n"


def test_run_and_tmp_are_a_containers_own(stage: Stage) -> None:
    script = "ls -A /tmp /run /dev/shm; echo mine > /run/x; echo done; exec sleep 600"
    name = stage.run(pod("private", shell("one", script), shell("two", script)))
    seen = f"{CHECKOUT.parts[2]}\n" if CHECKOUT.is_relative_to("/tmp") else ""
    for container in ("one", "two"):
        said = stage.log_until(name, "done\n", container)
        assert said == f"/dev/shm:\n\n/run:\nsecrets\n\n/tmp:\n{seen}done\n"


def test_a_crash_loop_shows_exit_code_last_words_and_count(stage: Stage) -> None:
    talk = "echo $$; echo unknown flag >&2; exit 2"
    told = shell("main", talk, terminationMessagePolicy="FallbackToLogsOnError")
    name = stage.run(pod("crash", told, shell("silent", talk)))
    found = stage.wait_container(name, "main", lambda c: c["restartCount"] >= 2)
    assert found["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert "back-off" in found["state"]["waiting"]["message"]
    ended = found["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (2, "Error")
    assert ended["message"].endswith("unknown flag")
    silent = stage.wait_container(name, "silent", lambda c: c["restartCount"] >= 2)
    assert "message" not in silent["lastState"]["terminated"], "the default policy is File"
    assert found["ready"] is False
    assert stage.condition(name, "Ready")["reason"] == "ContainersNotReady"


def test_a_container_that_ended_well_is_not_started_again_on_failure_only(stage: Stage) -> None:
    name = stage.run(pod("task", shell("main", "exit 0"), restartPolicy="OnFailure"))
    stage.wait_phase(name, "Succeeded")
    failing = stage.run(pod("lost", shell("main", "exit 7"), restartPolicy="Never"))
    stage.wait_phase(failing, "Failed")
    assert stage.containers(failing)["main"]["state"]["terminated"]["exitCode"] == 7
    assert stage.containers(failing)["main"]["restartCount"] == 0


def test_an_image_without_a_program_waits_with_its_name(stage: Stage) -> None:
    name = stage.run(pod("strange", {"name": "main", "image": "example.com/strange:1"}))
    found = stage.wait_container(
        name, "main", lambda c: c["state"].get("waiting", {}).get("reason") == "ImagePullBackOff"
    )
    assert "example.com/strange:1" in found["state"]["waiting"]["message"]


def test_a_service_account_token_authenticates_from_inside(stage: Stage) -> None:
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = (
        "import json,os,ssl,urllib.request as u\n"
        f"d='{place}/'\n"
        "b={'apiVersion':'authentication.k8s.io/v1','kind':'SelfSubjectReview'}\n"
        "h=os.environ['KUBERNETES_SERVICE_HOST']+':'+os.environ['KUBERNETES_SERVICE_PORT']\n"
        "r=u.Request('https://'+h+'/apis/authentication.k8s.io/v1/selfsubjectreviews',"
        "json.dumps(b).encode(),{'Content-Type':'application/json',"
        "'Authorization':'Bearer '+open(d+'token').read()})\n"
        "c=ssl.create_default_context(cafile=d+'ca.crt')\n"
        "i=json.load(u.urlopen(r,context=c))['status']['userInfo']\n"
        "print(json.dumps([i['username'],i['extra'],open(d+'namespace').read()]))\n"
    )
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "walker"}}
    stage.bed.api.create(account, stage.namespace)
    main = {"name": "main", "image": "busybox:1", "command": ["python3", "-c", script]}
    name = stage.run(pod("identity", main, serviceAccountName="walker", restartPolicy="Never"))
    stage.wait_phase(name, "Succeeded", "Failed")
    user, extra, namespace = json.loads(stage.log(name))
    assert user == f"system:serviceaccount:{stage.namespace}:walker"
    assert extra["authentication.kubernetes.io/pod-name"] == ["identity"]
    assert namespace == stage.namespace


def test_a_pod_ends_by_sigterm_and_its_address_with_it(stage: Stage) -> None:
    length = unique_sleep()
    trap = f"trap 'echo asked; exit 0' TERM; echo up; sleep {length} & wait"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /proc/1/fd/1"]}}}
    name = stage.run(
        pod("leaving", shell("main", trap, lifecycle=hook), terminationGracePeriodSeconds=20)
    )
    stage.wait("its first word", lambda: running_with(length) and stage.log(name) == "up\n")
    follower = stage.follow(name)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "up\n"
    stage.bed.api.delete("pods", name, stage.namespace)
    out, _ = follower.communicate(timeout=15)
    assert out.splitlines() == ["hook", "asked"]
    stage.wait("the pod gone", lambda: stage.bed.api.find("pods", name, stage.namespace) is None)
    wait_until_gone(length)


def test_a_pod_that_does_not_listen_is_killed_after_its_grace(stage: Stage) -> None:
    length = unique_sleep()
    name = stage.run(pod("deaf", shell("main", f"trap '' TERM; sleep {length}; sleep 600")))
    wait_for(lambda: running_with(length), 20, what="its process")
    stage.bed.api.delete("pods", name, stage.namespace)
    stage.wait("the pod gone", lambda: stage.bed.api.find("pods", name, stage.namespace) is None)
    wait_until_gone(length)


def test_a_killed_kubelet_takes_its_containers_along() -> None:
    length = unique_sleep()
    with Bed() as bed:
        stage = Stage(bed, "default")
        stage.run(pod("orphan", shell("main", f"exec sleep {length}")))
        wait_for(lambda: running_with(f"sleep {length}"), 20, what="its process")
        (kubelet,) = set(running_with("testbed.kubelet")) & set(running_with(str(bed.directory)))
        os.kill(kubelet, signal.SIGKILL)
        wait_until_gone(length)
