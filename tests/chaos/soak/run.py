"""One soak: a bed, an operator, churn for so long, and samples of what its processes hold."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.history import labelled
from chaos.judgement import Stage, retold
from chaos.oracle import Oracle
from chaos.processes.play import Footprint, children
from chaos.recorder import Recorder
from chaos.soak.churn import (
    HOSTILE,
    HOSTILE_NAMESPACE,
    MODELS,
    SYNCS,
    Churn,
    hostile_model,
    hostile_sync,
)
from chaos.soak.flatness import Allowance, Series
from e2e.manifests import model
from e2e.scene import GATEWAY, GATEWAY_ACCESS, OperatorProcess, Scene
from testbed.bed import Bed
from testbed.secrecy import number_lists
from testbed.watching import resident

ROOT = Path(__file__).resolve().parents[3]
INSIDE = ROOT / "tests" / "chaos" / "inside"
ALLOWED = {
    "RSS": Allowance(0.05, 6.0),
    "files": Allowance(0.10, 6.0),
    "tasks": Allowance(0.10, 8.0),
    "threads": Allowance(0.0, 2.0),
}
HISTORY = ROOT / "build" / "soak.txt"
SAMPLE_EVERY = 2.0
STEP_EVERY = 2.5
TELL_EVERY = 60.0
SETTLED_WITHIN = 240.0
RETRY = "kvsync.aibrix.ai/retry"
RETRY_EVERY = 20.0
_MB = 1e6


@dataclass
class Result:
    """What a soak measured. ``series`` by process and unit, RSS in MB."""

    seconds: float
    series: dict[str, Series] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    loads: tuple[float, float] = (0.0, 0.0)


class Sampler:
    """Samples an operator and the process that watches engines for it, from a thread of its own: however
    long a step of the churn takes, samples come at the same pace. A context manager."""

    def __init__(self, operator: OperatorProcess, tasks: Path) -> None:
        self._operator, self._tasks = operator, tasks
        self._series: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._begun = time.monotonic()
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join(10)

    @property
    def series(self) -> dict[str, Series]:
        """What was sampled until now. Raises what ended the sampling."""
        if self._error is not None:
            raise self._error
        return {name: [*series] for name, series in [*self._series.items()]}

    def _run(self) -> None:
        try:
            while not self._stopped.wait(SAMPLE_EVERY):
                self._sample()
        except BaseException as error:  # told where the series are asked for
            self._error = error

    def _sample(self) -> None:
        pid = self._operator.process.pid
        code = self._operator.process.poll()
        if code is not None:
            raise RuntimeError(f"the operator ended with {code}; see {self._operator.log}")
        self._take("operator", pid)
        for worker in children(pid)[:1]:
            self._take("worker", worker)
        counted = self._tasks.read_text() if self._tasks.exists() else ""
        if counted:
            self._note("operator tasks", float(counted))

    def _take(self, name: str, pid: int) -> None:
        try:
            held = Footprint.of(pid)
            self._note(f"{name} RSS", resident(pid) / _MB)
        except (FileNotFoundError, ProcessLookupError):
            return  # a worker that was replaced just now
        self._note(f"{name} files", held.files)
        self._note(f"{name} threads", held.threads)

    def _note(self, name: str, value: float) -> None:
        self._series[name].append((time.monotonic() - self._begun, value))


def soak(
    seconds: float, seed: int, folder: Path, tell: Callable[[str], None]
) -> tuple[Result, list[str]]:
    """Soak for so long; what was measured, and the promises that were broken."""
    result = Result(seconds)
    before = os.getloadavg()[0]
    with Bed() as bed:
        install(bed)
        bed.create_namespace("soak", GATEWAY_ACCESS)
        bed.create_namespace(HOSTILE_NAMESPACE)
        scene = Scene(bed, "soak")
        scene.create(*(model(name, "soak") for name in MODELS))
        for act in HOSTILE:
            bed.api.create(hostile_model(act))
        for name in MODELS:
            scene.wait_available(name)
        with Recorder(bed.api) as recorder:
            oracle = Oracle(recorder, bed.audit, Stage("soak", GATEWAY, at_once=len(SYNCS)))
            oracle.begin()
            broken = _soaked(result, scene, oracle, seed, folder, tell)
    result.loads = (before, os.getloadavg()[0])
    return result, broken


def install(bed: Bed) -> None:
    """The CRD, the gateway and the operator's rights."""
    bed.api.apply(ROOT / "crds" / "kveventsync.yaml")
    bed.api.create_all(ROOT / "tests" / "testbed" / "manifests" / "gateway.yaml")
    documents = (ROOT / "docs" / "samples" / "install" / "operator.yaml").read_text()
    parts = [d for d in documents.split("\n---\n") if "kind: Deployment" not in d]
    bed.api.create_all("\n---\n".join(parts))


def _soaked(
    result: Result,
    scene: Scene,
    oracle: Oracle,
    seed: int,
    folder: Path,
    tell: Callable[[str], None],
) -> list[str]:
    kubeconfig = scene.bed.kubeconfig_for_service_account("kvsync-system", "kvsync-operator")
    log, tasks = folder / "operator.log", folder / "tasks"
    path = os.pathsep.join(filter(None, (str(INSIDE), os.environ.get("PYTHONPATH"))))
    inside = {"CHAOS_TASKS": str(tasks), "PYTHONPATH": path}
    # The hostile ones never come through their trial, and would keep the places of all others.
    operator = OperatorProcess(kubeconfig, log, "--max-rolling", "0", env=inside)
    try:
        churn = Churn(scene, oracle, seed)
        scene.api.create(hostile_sync())
        churn.create_all()
        with Sampler(operator, tasks) as sampler:
            _churned(result.seconds, churn, sampler, tell)
            result.series, result.done = sampler.series, churn.done
        try:
            return _settled(scene, oracle, churn, operator, tell)
        except TimeoutError as error:  # what was measured is not lost by it
            return [f"it does not come to rest: {error}"]
    except BaseException as error:
        error.add_note("\n".join(log.read_text(errors="replace").splitlines()[-40:]))
        raise
    finally:
        operator.stop()


def _churned(seconds: float, churn: Churn, sampler: Sampler, tell: Callable[[str], None]) -> None:
    begun = time.monotonic()
    step = told = begun
    while (now := time.monotonic()) < begun + seconds:
        if now >= step:
            churn.step()
            step = now + STEP_EVERY
        if now >= told + TELL_EVERY:
            last = {name: f"{series[-1][1]:.0f}" for name, series in sampler.series.items()}
            tell(f"soak: {now - begun:.0f} of {seconds:.0f} s; {last}")
            told = now
        time.sleep(0.1)


def _settled(
    scene: Scene,
    oracle: Oracle,
    churn: Churn,
    operator: OperatorProcess,
    tell: Callable[[str], None],
) -> list[str]:
    """Let all come to rest, judge it, take it back and judge that."""
    tell("soak: coming to rest")
    scene.wait("deletions done", lambda: not _leaving(scene), SETTLED_WITHIN)
    churn.create_all()
    for name in SYNCS:
        scene.wait(f"{name} Ready", partial(_is_ready, scene, name), SETTLED_WITHIN)
    broken = oracle.judge(within=30.0)
    for name in MODELS:
        oracle.edit("deployments", name, scene.namespace, labelled("soaked", "yes"))
    for name in SYNCS:
        scene.api.delete("kveventsyncs", name, scene.namespace)
    scene.wait("all undone", lambda: not scene.api.list("kveventsyncs", "soak"), SETTLED_WITHIN)
    for name in MODELS:
        scene.wait_available(name)
    broken = [*dict.fromkeys([*broken, *oracle.judge()])]
    said = operator.log.read_text(errors="replace")
    broken += [f"the log holds what may be token ids: {found}" for found in number_lists(said)]
    if broken:
        HISTORY.parent.mkdir(exist_ok=True)
        HISTORY.write_text(retold(oracle.history()) + "\n" + said)
        tell(f"soak: what was seen, and the operator's log, are in {HISTORY}")
    return broken


def _is_ready(scene: Scene, name: str) -> bool:
    """Whether it is; one whose engine was killed while its change was on trial is tried again, as a user
    asks for it."""
    if scene.condition(name, "Stalled").get("status") == "True":
        patch = {"metadata": {"annotations": {RETRY: str(time.monotonic() // RETRY_EVERY)}}}
        scene.api.patch("kveventsyncs", name, patch, scene.namespace)
    return scene.condition(name).get("status") == "True"


def _leaving(scene: Scene) -> list[str]:
    bodies = scene.api.list("kveventsyncs", scene.namespace)
    return [b["metadata"]["name"] for b in bodies if "deletionTimestamp" in b["metadata"]]
