"""What each fault of a process is tried in: two models are enabled and undone, one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.history import annotated, labelled
from chaos.judgement import Stage, retold
from chaos.oracle import Oracle
from chaos.recorder import Recorder
from e2e.manifests import model, sync
from e2e.scene import GATEWAY, OperatorProcess, Scene

MODELS = ("m", "n")
LEASE = ("kvsync-operator", "kvsync-system")
TRUE_WITHIN = 30.0
"""Seconds that a status has to become true."""
RECOVERED_WITHIN = 90.0
"""Seconds that an operator has to go on after its fault is gone."""

Start = Callable[..., OperatorProcess]
Fault = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds."""

    files: int
    threads: int
    children: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """What it holds now (proc(5))."""
        return cls(
            len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - names are enough
            len(os.listdir(f"/proc/{pid}/task")),  # noqa: PTH208
            len(children(pid)),
        )

    def holds(self, later: Footprint, slack: int = 4) -> bool:
        """Whether no more is held later than now, give or take a connection."""
        return (
            later.files <= self.files + slack
            and later.threads <= self.threads + slack
            and later.children <= self.children
        )


def children(pid: int) -> list[int]:
    """The processes that it started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Play:
    """Two models with their gateway, an oracle that looks on, and the moments at which faults strike."""

    def __init__(self, scene: Scene, recorder: Recorder, start: Start) -> None:
        self.scene = scene
        self._start = start
        self._kept: list[tuple[OperatorProcess, dict[str, Any]]] = []
        scene.create(*(model(name, scene.namespace) for name in MODELS))
        for name in MODELS:
            scene.wait_available(name)
        self._templates = {name: scene.template(name) for name in MODELS}
        # There once and back once, the gateway too.
        rollouts = dict.fromkeys((*MODELS, GATEWAY[0]), 2)
        stage = Stage(scene.namespace, GATEWAY, 1, rollouts)
        self.oracle = Oracle(recorder, scene.bed.audit, stage, lease=LEASE)
        self.oracle.begin()

    def start(self, **how: Any) -> OperatorProcess:
        """An operator that takes part in the election; options of the fixture ``start_operator``."""
        return self._start("--leader-elect", "--operator-namespace", LEASE[1], **how)

    def keep(self, **how: Any) -> None:
        """The same, started anew where it ends by itself, as a kubelet does it."""
        self._kept.append((self.start(**how), how))

    @property
    def kept(self) -> OperatorProcess:
        """The one that is kept running, in its present life."""
        ((operator, _),) = self._kept
        return operator

    def end(self) -> int:
        """SIGTERM to what is kept, once it holds the Lease again, and its exit code: one that lost it in
        a fault that took long is about to end by itself."""
        before = self._renewed()
        self.wait("the Lease renewed", lambda: self._renewed() not in ("", before))
        return self.kept.stop()

    def _renewed(self) -> str:
        found = self.scene.api.find("leases", *LEASE) or {}
        return str((found.get("spec") or {}).get("renewTime") or "")

    def _revive(self) -> None:
        for number, (operator, how) in enumerate(self._kept):
            code = operator.process.poll()
            if code is not None:
                assert code == 1, f"the operator ended with {code}"
                self._kept[number] = (self.start(**how), how)

    def wait(self, what: str, is_so: Callable[[], Any], deadline: float = RECOVERED_WITHIN) -> None:
        """Look until something is so, while what is kept is kept running."""

        def looked() -> Any:
            self._revive()
            return is_so()

        self.scene.wait(what, looked, deadline)

    def enable(self, fault: Fault = lambda: None, **spec: Any) -> None:
        """Create the object, strike when one of two models is changed, and wait until it is Ready."""
        rollout = {"maxConcurrent": 1}
        self.scene.create(sync("kv", self.scene.namespace, *MODELS, rollout=rollout, **spec))
        self.wait("the wave in its middle", lambda: self._changed() == 1)
        self._edit("enabling")
        fault()
        self.wait("kv Ready", lambda: self.scene.condition("kv").get("status") == "True")
        self.judge()

    def undo(self, fault: Fault = lambda: None) -> None:
        """Delete the object, strike when one of two models is as it was, and wait until it is gone."""
        self.scene.api.delete("kveventsyncs", "kv", self.scene.namespace)
        self.wait("the way back in its middle", lambda: self._changed() <= 1)
        self._edit("undoing")
        fault()
        self.wait("kv gone", lambda: self.scene.sync("kv") is None)
        for name in MODELS:
            self.scene.wait_available(name)
        self.judge()

    def judge(self, *, ready: bool = True) -> None:
        """No promise was broken until now."""
        broken = self.oracle.judge(ready=ready, within=TRUE_WITHIN)
        if broken:
            print(retold(self.oracle.history()))
        assert broken == [], "\n".join(broken)

    def converged(self, operator: OperatorProcess) -> Footprint:
        """What the operator holds once it is Ready and calm."""
        self.scene.wait("calm", lambda: self._is_calm(operator.process.pid), 30)
        return Footprint.of(operator.process.pid)

    def check_nothing_left(self, operator: OperatorProcess, before: Footprint) -> None:
        """It holds no more than before, ends when it is told to, and its processes with it."""
        pid = operator.process.pid
        self.scene.wait(
            f"no more than {before}; now {Footprint.of(pid)}",
            lambda: before.holds(Footprint.of(pid)),
            45,
        )
        own = children(pid)
        assert operator.stop() == 0
        self.scene.wait("its processes gone", lambda: not any(map(is_alive, own)), 10)

    def _is_calm(self, pid: int) -> bool:
        before = Footprint.of(pid)
        time.sleep(0.5)
        return before == Footprint.of(pid)

    def _edit(self, when: str) -> None:
        """What a user does meanwhile."""
        for name in MODELS:
            where = ("deployments", name, self.scene.namespace)
            self.oracle.edit(*where, annotated(f"team/{when}", "search"))
            self.oracle.edit(*where, labelled(f"{when}-seen", "yes"))

    def _changed(self) -> int:
        templates = self._templates.items()
        return sum(self.scene.template(name) != template for name, template in templates)
