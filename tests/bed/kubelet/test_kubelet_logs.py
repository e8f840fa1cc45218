"""`kubectl logs`, through the API server, from the kubelet's own endpoint."""

import pytest

from bed.kubelet.stage import Stage, pod, shell

pytestmark = pytest.mark.bed


def test_kubectl_logs_by_container_tail_and_time(stage: Stage) -> None:
    talk = "for i in 1 2 3; do echo $0 $i; done; exec sleep 600"
    name = stage.run(
        pod("talking", shell("one", talk, args=["one"]), shell("two", talk, args=["two"]))
    )
    stage.wait_ready(name)

    def logs(*options: str) -> str:
        return stage.bed.api.kubectl("logs", name, "-n", stage.namespace, *options).stdout

    stage.wait("three lines", lambda: logs("-c", "two") == "two 1\ntwo 2\ntwo 3\n")
    assert logs("-c", "one", "--tail=1") == "one 3\n"
    assert logs("-c", "one", "--since=1h", "--limit-bytes=5") == "one 1"
    stamped = logs("-c", "one", "--tail=1", "--timestamps")
    assert stamped.startswith("20")
    assert stamped.endswith(" one 3\n")
    assert logs("-c", "one", "--since-time=2099-01-01T00:00:00Z") == ""


def test_kubectl_logs_follow_ends_with_the_container_and_misses_no_line(stage: Stage) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; sleep 1; echo end"
    name = stage.run(pod("counting", shell("main", script), restartPolicy="Never"))
    stage.wait_container(name, "main", lambda c: "waiting" not in c["state"])
    out, _ = stage.follow(name).communicate(timeout=30)
    assert out.splitlines() == [*map(str, range(3000)), "end"]


def test_kubectl_logs_previous_is_the_run_before(stage: Stage) -> None:
    mount = {"volumeMounts": [{"name": "kept", "mountPath": "/tmp/kept"}]}
    count = "echo x >> /tmp/kept/n; n=$(wc -l < /tmp/kept/n); echo run $n"
    main = shell("main", f"{count}; [ $n -gt 1 ] || exit 1; exec sleep 600", **mount)
    name = stage.run(pod("again", main, volumes=[{"name": "kept", "emptyDir": {}}]))
    stage.wait_container(name, "main", lambda c: c["restartCount"] == 1 and "running" in c["state"])
    stage.wait("the second run", lambda: stage.log(name) == "run 2\n")
    assert stage.log(name, previous=True) == "run 1\n"


def test_between_two_runs_the_last_one_is_also_the_previous(stage: Stage) -> None:
    name = stage.run(pod("down", shell("main", "echo why; exit 1")))
    stage.wait_container(
        name, "main", lambda c: c["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    )
    assert stage.log(name, previous=True) == "why\n"


def test_there_is_no_previous_run_of_a_first(stage: Stage) -> None:
    name = stage.run(pod("first", shell("main", "exec sleep 600")))
    stage.wait_ready(name)
    answer = stage.bed.api.kubectl("logs", "-p", name, "-n", stage.namespace, check=False)
    assert answer.returncode != 0
    assert "previous terminated container" in answer.stderr
