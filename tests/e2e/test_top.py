"""kvsync top on a real control plane: tables on paper, in place on a terminal, and pods that come and go."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.manifests import model, sync
from e2e.onlookers import DEADLINE, frozen, kvsync
from e2e.scene import KVSYNC, OperatorProcess, Scene
from testbed.bed import Bed

pytestmark = pytest.mark.bed


@pytest.fixture
def access(installed: Bed) -> Path:
    return installed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator")


@pytest.fixture
def models(scene: Scene, operator: OperatorProcess) -> tuple[str, str]:
    """Two models that are synchronized, of two pods and of one."""
    names = f"a-{scene.namespace}", f"b-{scene.namespace}"
    scene.create(model(names[0], scene.namespace, replicas=2), model(names[1], scene.namespace))
    scene.create(sync("kv", scene.namespace, *names))
    scene.wait_ready("kv", 90)
    return names


def test_tables_on_paper(scene: Scene, models: tuple[str, str], access: Path) -> None:
    a, b = models
    once = kvsync(access, "top", scene.namespace, "--once")
    assert (once.returncode, once.stderr) == (0, "")
    title, header, *rows = once.stdout.splitlines()
    assert title == (
        f"namespace {scene.namespace}: 1 KVEventSync, 2 models, 3 of 3 sources healthy"
    )
    assert header.split() == ["MODEL", "SOURCES", "VERDICTS", "RATE", "LAG", "LAST"]
    assert [row.split()[:4] for row in rows] == [[a, "2/2", "2", "Idle"], [b, "1/1", "1", "Idle"]]

    with frozen(b):
        twice = kvsync(access, "top", scene.namespace, "kv", "--pods", "--count", "2")
    assert twice.returncode == 0
    first, second = twice.stdout.split("\n\n")
    assert [row.split()[0] for row in second.splitlines()[2:]] == [b, a, a], "what fails is first"
    assert len(first.splitlines()) == 5

    few = kvsync(access, "top", "-A", "--pods", "--once", "--rows", "1")
    assert few.stdout.splitlines()[-1] == "… and 2 more, 0 of them failing"


def test_pods_come_and_go_on_a_terminal_and_ctrl_c_ends_it(
    scene: Scene, models: tuple[str, str], access: Path
) -> None:
    with Terminal.running("top", scene.namespace, "--kubeconfig", str(access)) as terminal:
        terminal.wait_for("3 of 3 sources healthy")
        scene.api.patch("deployments", models[1], {"spec": {"replicas": 3}}, scene.namespace)
        terminal.wait_for("5 of 5 sources healthy")
        scene.api.patch("deployments", models[0], {"spec": {"replicas": 0}}, scene.namespace)
        terminal.wait_for("ScaledToZero")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(10) == 0
        terminal.drain()
    opened, closed = "\x1b[?1049h", "\x1b[?1049l"
    assert terminal.text.startswith(opened)
    assert terminal.text.count(closed) == 1
    assert "ScaledToZero" in terminal.text.partition(closed)[2], "the last table stays"
    drawn = [part.count("\r\n") for part in terminal.text.split("\x1b[H")]
    assert max(drawn) < Terminal.LINES


def test_a_reader_that_leaves_ends_it_quietly(
    scene: Scene, models: tuple[str, str], access: Path
) -> None:
    words = [KVSYNC, "top", scene.namespace, "--kubeconfig", str(access)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"namespace ")
    process.stdout.close()
    assert process.wait(15) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


class Terminal:
    """A terminal of 24 lines, and a command on it."""

    LINES = 24

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.text = ""
        self._master = master

    @classmethod
    @contextmanager
    def running(cls, *words: str) -> Iterator["Terminal"]:
        master, slave = pty.openpty()
        env = {**os.environ, "LINES": str(cls.LINES), "COLUMNS": "120"}
        process = subprocess.Popen(
            [KVSYNC, *words], stdin=slave, stdout=slave, stderr=slave, env=env
        )
        os.close(slave)
        try:
            yield cls(process, master)
        finally:
            process.kill()
            process.wait()
            os.close(master)

    def wait_for(self, text: str) -> None:
        """Read until what is drawn now says this."""
        end = time.monotonic() + DEADLINE
        while text not in self._drawn():
            assert time.monotonic() < end, f"never saw {text!r}; the last table:\n{self._drawn()}"
            self.drain(0.5)

    def drain(self, patience: float = 0.2) -> None:
        """Read what there is."""
        while select.select([self._master], [], [], patience)[0]:
            try:
                self.text += os.read(self._master, 65536).decode()
            except OSError:  # how Linux says that the other end is closed
                return
            patience = 0

    def _drawn(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.text.rpartition("\x1b[H")[2])
