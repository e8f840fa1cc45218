"""No room on the disk, no file descriptors, a clock that jumps, names that nobody resolves, a dead token."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from chaos.processes.play import Play, children
from e2e.scene import OperatorProcess
from testbed.bed import Bed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

INSIDE = Path(__file__).resolve().parents[1] / "inside"
HOUR = 3600
ACCOUNT = ("kvsync-system", "kvsync-operator")


def with_inside(**env: str) -> dict[str, str]:
    """The environment of an operator into which ``inside/sitecustomize.py`` is loaded."""
    path = os.pathsep.join(filter(None, (str(INSIDE), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, **env}


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_the_clock_is_set_by_an_hour(play: Play, tmp_path: Path, step: int) -> None:
    """While a rollout is under way, and back on the way out: no deadline passes, nothing is repeated."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    operator = play.start(env=with_inside(CHAOS_CLOCK=str(clock)))
    play.enable(lambda: set_clock(clock, step))
    before = play.converged(operator)
    play.undo(lambda: set_clock(clock, 0))
    play.check_nothing_left(operator, before)


def set_clock(file: Path, seconds: int) -> None:
    """Written at once as a whole: it is read at any moment."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(file)


def test_file_descriptors_run_out_and_come_back(play: Play) -> None:
    """Nothing can be connected to, and the process that watches engines cannot be started again."""
    operator = play.start()
    pid = operator.process.pid

    def exhaust() -> None:
        play.wait("a worker", lambda: children(pid))
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        held = {int(each) for each in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208
        (worker,) = children(pid)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free(held), limits[1]))
        os.kill(worker, 9)
        time.sleep(6)
        assert operator.process.poll() is None
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

    play.enable(exhaust)
    before = play.converged(operator)
    play.undo()
    play.check_nothing_left(operator, before)
    assert "Too many open files" in operator.log.read_text(errors="replace")


def first_free(held: set[int]) -> int:
    """The lowest number that is not held: a limit of it leaves none."""
    return next(number for number in range(len(held) + 1) if number not in held)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own that can be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_the_disk_is_full_where_it_writes(play: Play, full_disk: Path, tmp_path: Path) -> None:
    """Its log, and the temporary files of the library that reads a kubeconfig."""
    temporary = full_disk / "tmp"
    temporary.mkdir()
    kubeconfig = play.scene.bed.kubeconfig_for_service_account(*ACCOUNT)
    options = ("--leader-elect", "--operator-namespace", ACCOUNT[0])
    log = full_disk / "operator.log"
    operator = OperatorProcess(kubeconfig, log, *options, env={"TMPDIR": str(temporary)})
    filler = full_disk / "filler"

    def fill() -> None:
        descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(4096))
        os.close(descriptor)

    try:
        play.enable(fill)
        before = play.converged(operator)
        play.undo()
        assert log.stat().st_size < 256 << 10
        filler.unlink()
        play.check_nothing_left(operator, before)
    finally:
        if operator.process.poll() is None:
            operator.kill()
        # Where all operators' logs are looked through for token ids.
        (tmp_path / log.name).write_bytes(log.read_bytes())


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Path]:
    """What names mean here, instead of /etc/hosts; no name server can be reached."""
    file, original = tmp_path / "hosts", Path("/etc/hosts").read_text()
    file.write_text(f"{original}\n127.0.0.1 kubernetes\n")
    subprocess.run(["mount", "--bind", file, "/etc/hosts"], check=True)
    yield file
    subprocess.run(["umount", "/etc/hosts"], check=True)


def test_names_are_resolved_no_more(play: Play, hosts: Path) -> None:
    """Neither the API server's nor the tokenizer's; connections that were open end meanwhile."""
    plane = play.scene.bed.plane
    server = f"https://kubernetes:{plane.port}"
    through = plane.kubeconfig_for_service_account(*ACCOUNT, server=server)
    play.keep(through=through)
    text = hosts.read_text()
    tokenizer = {"remoteTokenizer": {"endpoint": "http://tokenizer:8000"}}
    pods = play.scene.api.list("pods", play.scene.namespace)

    def lose_names() -> None:
        hosts.write_text(text.replace("kubernetes", "no-kubernetes"))
        plane.restart_apiserver(kill=True)
        time.sleep(4)
        hosts.write_text(text)

    def find_tokenizer() -> None:
        lose_names()
        play.wait("TokenizerFailing", lambda: tokenizer_fails(play))
        pods = play.scene.api.list("pods", play.scene.namespace)
        address = next(p["status"]["podIP"] for p in pods if p["metadata"]["name"].startswith("m-"))
        hosts.write_text(f"{text}\n{address} tokenizer\n")

    assert pods
    play.enable(find_tokenizer, gateway=tokenizer)
    play.undo(lose_names)
    assert play.end() == 0


def tokenizer_fails(play: Play) -> bool:
    """Whether the status says so, and the gateway is left alone."""
    return play.scene.condition("kv", "GatewayConfigured").get("reason") == "TokenizerFailing"


def test_the_token_expires_and_is_replaced(play: Play, tmp_path: Path) -> None:
    """In its file, as a kubelet does it: the old one is refused from one moment to the next."""
    bed = play.scene.bed
    config = tmp_path / "kubeconfig"
    kubeconfig = bed.kubeconfig_for_service_account(*ACCOUNT)
    give(bed, kubeconfig, config, "first")
    play.keep(through=config)
    log = play.kept.log

    def expire() -> None:
        bed.api.delete("secrets", "first", ACCOUNT[0])
        play.wait("refused", lambda: "Unauthorized" in log.read_text(errors="replace"), 40)
        give(bed, kubeconfig, config, "second")

    play.enable(expire)
    play.undo()
    assert play.end() == 0


def give(bed: Bed, like: Path, config: Path, name: str) -> None:
    """Write a kubeconfig whose token ends with a Secret of this name."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    made = bed.api.create(secret, ACCOUNT[0])
    bound = {"kind": "Secret", "apiVersion": "v1", "name": name, "uid": made["metadata"]["uid"]}
    path = f"/api/v1/namespaces/{ACCOUNT[0]}/serviceaccounts/{ACCOUNT[1]}/token"
    answer = bed.api.request("POST", path, {"spec": {"boundObjectRef": bound}})
    body = yaml.safe_load(like.read_text())
    body["users"][0]["user"] = {"token": answer["status"]["token"]}
    fresh = config.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(body))
    fresh.replace(config)
