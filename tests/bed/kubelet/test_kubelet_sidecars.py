"""Native sidecars: init containers with restartPolicy Always, from their start to their end."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bed.kubelet.stage import Stage, exec_probe, pod, shell
from bed.processes import running_with, unique_sleep
from testbed.waiting import wait_for

pytestmark = pytest.mark.bed

SHARED = {"volumes": [{"name": "shared", "emptyDir": {}}]}
MOUNT: dict[str, Any] = {"volumeMounts": [{"name": "shared", "mountPath": "/run/shared"}]}
NOTE = "echo {} >> /run/shared/order"
UP = exec_probe("test -e /tmp/up", failureThreshold=30)
SECONDS = "terminationGracePeriodSeconds"


def sidecar(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return shell(name, script, restartPolicy="Always", **MOUNT, **fields)


def leaving(name: str, last: str = "") -> dict[str, Any]:
    """A sidecar that notes when it is asked to end."""
    asked = f"{NOTE.format(name)}; {last or ':'}; exit 0"
    script = f"trap '{asked}' TERM; {NOTE.format(name + '-up')}; touch /tmp/up; sleep 600 & wait"
    return sidecar(name, script, startupProbe=UP)


def process_of(length: str) -> int:
    """The container's own process, not what holds its namespaces."""
    found = wait_for(
        lambda: [n for n in running_with(length) if _is_sleep(n)], 20.0, what="its process"
    )
    return found[0]


def _is_sleep(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"sleep\0")
    except OSError:
        return False


def test_a_killed_sidecar_comes_back_alone_with_its_files(stage: Stage) -> None:
    length = unique_sleep()
    side = sidecar("side", f"{NOTE.format('side')}; exec sleep {length}")
    name = stage.run(
        pod("killed", shell("main", "exec sleep 600"), initContainers=[side], **SHARED)
    )
    stage.wait_ready(name)
    os.kill(process_of(length), signal.SIGKILL)
    found = stage.wait_container(name, "side", lambda c: c["restartCount"] and c["started"])
    ended = found["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    assert "running" in found["state"]
    assert stage.containers(name)["main"]["restartCount"] == 0
    assert stage.status(name)["phase"] == "Running"
    stage.wait_ready(name)
    assert Path(f"/proc/{process_of(length)}/root/run/shared/order").read_text() == "side\nside\n"


def test_a_sidecar_that_dies_while_others_initialise_comes_back(stage: Stage) -> None:
    side = sidecar("side", f"{NOTE.format('side')}; sleep 0.5; exit 3")
    third = "until [ $(cat /run/shared/order | wc -l) -ge 3 ]; do sleep 0.1; done"
    later = shell("later", third, **MOUNT)
    main = shell("main", "exec sleep 600")
    name = stage.run(pod("early", main, initContainers=[side, later], **SHARED))
    stage.wait_container(name, "later", lambda c: "terminated" in c["state"])
    assert stage.containers(name)["side"]["restartCount"] >= 2
    stage.wait_container(name, "main", lambda c: "running" in c["state"])


def test_probes_of_a_sidecar_restart_it_and_hold_the_pod_unready(stage: Stage) -> None:
    length = unique_sleep()
    side = sidecar(
        "side",
        f"touch /run/shared/ready /tmp/alive; exec sleep {length}",
        readinessProbe=exec_probe("test -e /run/shared/ready"),
        livenessProbe=exec_probe("test -e /tmp/alive", initialDelaySeconds=1),
    )
    main = shell("main", "while :; do sleep 0.1; done", **MOUNT)
    name = stage.run(
        pod("probed", main, initContainers=[side], **SHARED, terminationGracePeriodSeconds=1)
    )
    stage.wait_ready(name)
    files = Path(f"/proc/{process_of(length)}/root")
    (files / "run/shared/ready").unlink()
    unready = stage.wait("unready", lambda: _says_unready(stage, name))
    assert unready["message"] == "containers with unready status: [side]"
    (files / "tmp/alive").unlink()
    stage.wait_container(name, "side", lambda c: c["restartCount"] == 1 and c["ready"])
    stage.wait_ready(name)
    assert stage.containers(name)["main"]["restartCount"] == 0


def _says_unready(stage: Stage, name: str) -> Any:
    found = stage.condition(name, "Ready")
    return found if found.get("status") == "False" else None


def test_sidecars_end_after_the_rest_in_the_opposite_order(stage: Stage) -> None:
    script = (
        f"trap 'sleep 0.5; {NOTE.format('main')}; exit 0' TERM; touch /tmp/up; sleep 600 & wait"
    )
    main = shell("main", script, **MOUNT, startupProbe=UP)
    sidecars = [leaving("first", "cat /run/shared/order"), leaving("second")]
    body = pod("leaving", main, initContainers=sidecars, **SHARED)
    body["spec"][SECONDS] = 20
    name = stage.run(body)
    stage.wait_ready(name)
    with stage.follow(name, "first") as follower:
        stage.bed.api.delete("pods", name, stage.namespace)
        said, _ = follower.communicate(timeout=20)
    assert said.split() == ["first-up", "second-up", "main", "second", "first"]


def test_a_task_that_is_done_ends_its_sidecars_and_succeeds(stage: Stage) -> None:
    sidecars = [leaving("first", "cat /run/shared/order"), leaving("second")]
    main = shell("main", f"sleep 0.5; {NOTE.format('main')}", **MOUNT)
    name = stage.run(pod("done", main, initContainers=sidecars, **SHARED, restartPolicy="Never"))
    stage.wait_phase(name, "Succeeded")
    order = ["first-up", "second-up", "main", "second", "first"]
    assert stage.log(name, "first").split() == order
    assert stage.containers(name)["first"]["state"]["terminated"]["exitCode"] == 0


def test_a_pod_that_failed_to_initialise_ends_its_sidecars(stage: Stage) -> None:
    init = [leaving("side"), shell("broken", "exit 4")]
    main = shell("main", "exec sleep 600")
    name = stage.run(pod("broken", main, initContainers=init, **SHARED, restartPolicy="Never"))
    stage.wait_phase(name, "Failed")
    ended = stage.wait_container(name, "side", lambda c: "terminated" in c["state"])
    assert ended["state"]["terminated"]["exitCode"] == 0
    assert "waiting" in stage.containers(name)["main"]["state"]
